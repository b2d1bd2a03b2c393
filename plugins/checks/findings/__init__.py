"""What a check finds, and how frames are compared."""
