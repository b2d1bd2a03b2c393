"""The one pure core: bars in, signals out. No clock, no Kafka, no random numbers."""
