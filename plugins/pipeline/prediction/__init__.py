"""What a strategy predicts: by the model in force, and by its shadow."""
