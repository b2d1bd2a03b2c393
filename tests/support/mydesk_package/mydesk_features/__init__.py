"""Features of a desk, in a package of their own."""
