"""The live service on Kafka: brokers, topics, getting data in, and the Faust app."""
