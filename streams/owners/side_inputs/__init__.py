"""What bars wait for: the second track of a partition."""
