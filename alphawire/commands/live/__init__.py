"""Commands that run the service and feed it: topics, produce, worker, scorer."""
