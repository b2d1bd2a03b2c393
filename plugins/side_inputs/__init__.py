"""Inputs beside a symbol's own bars, joined by when they were available: news, and the bars of other symbols."""
