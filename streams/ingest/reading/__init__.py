"""Files of any kind to tables: which files there are, what they hold, and what a source or a preset says about them."""
