"""What a training came to: what columns weigh, and the page of a cross-validation."""
