"""From Kafka to an owner: the chunk transport, and records to batches."""
