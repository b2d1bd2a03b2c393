"""Live signals against a replay, field by field."""
