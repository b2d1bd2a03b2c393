"""Kafka clients, credentials, topics, partitioners, gaps in a log, and brokers for development. Knows no plugin."""
