"""What commands print: results in words and tables for the terminal, and as JSON."""
