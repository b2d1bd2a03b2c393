"""Columns made of other columns: what they were some bars ago, and how they have changed."""
