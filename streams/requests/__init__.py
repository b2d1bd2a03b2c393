"""What the topic `control` asks of a strategy, and what this worker makes of it."""
