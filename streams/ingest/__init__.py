"""Files to topics: bars and articles."""
