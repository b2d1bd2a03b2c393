"""The topic `dead-letters`: reading letters, mending them, putting each back once."""
