"""What the log knows of a partition, and where its owner goes on."""
