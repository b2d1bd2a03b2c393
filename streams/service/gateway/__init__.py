"""Signals over HTTP, for consumers without a Kafka client: queries and a stream. It only reads."""
