"""What a strategy remembers: the states of its symbols, features shared by strategies, and copies for snapshots."""
