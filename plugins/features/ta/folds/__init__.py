"""The functions that depend on every bar, as folds: TA-Lib's recursions."""
