"""Model artifacts: a folder with the model's file, its self-test and its manifest."""
