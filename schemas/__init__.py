"""The messages on the wire and the configuration. Knows neither Kafka nor pandas nor any plugin."""
