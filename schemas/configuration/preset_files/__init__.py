"""One file for each preset: its settings, what they were checked against, and where the layout is documented."""
