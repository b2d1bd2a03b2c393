"""Features of the cross-section under test."""
