"""News beside bars: the one join, and the same join over frames."""

from plugins.side_inputs.news.frames import (
    NEEDED,
    NEWS_COLUMNS,
    SCORES,
    joined,
    uncertainty,
    with_news,
)

__all__ = [
    "NEEDED",
    "NEWS_COLUMNS",
    "SCORES",
    "joined",
    "uncertainty",
    "with_news",
]
