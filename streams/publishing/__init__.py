"""From an owner to Kafka: its pending output, and the writer that puts it on the log."""
