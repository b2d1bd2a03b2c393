"""The section of news: how articles are scored, and how bars are joined with their scores."""

from typing import Literal

from pydantic import Field

from schemas.configuration.fields import Name, Section, Zone


class NewsUse(Section):
    """Which scores count, and when: what a strategy that uses news depends on."""

    scorer: Name = Field("none", description="finbert, lexicon, or another; none: what uses news is unknown")
    delay: float = Field(
        60.0, ge=0, le=31_536_000, description="seconds from the publication of a historical article until it counts"
    )
    syndicated: Literal["once", "each"] = Field("once", description="how often copies of a text count")
    memory: float = Field(
        604_800.0, gt=0, le=31_536_000, description="seconds for which articles and texts are remembered"
    )


class News(NewsUse):
    """How articles are scored, and how bars are joined with their scores; see docs/news.md."""

    model: str = Field("ProsusAI/finbert", min_length=1, description="of finbert: a folder, or a name of the hub")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_size: int = Field(64, ge=1, le=4096, description="articles that are scored and written at once at most")
    max_length: int = Field(256, ge=8, le=8192, description="tokens of a text that are read")
    http_port: int = Field(6067, ge=0, le=65535, description="of the scorer's pages; 0 takes a free one")
    mark_interval: float = Field(1.0, ge=0.02, le=60, description="seconds between progress marks")
    timezone: Zone = Field("UTC", description="of times in files of news that name no zone, and of dates")
    dates: Literal["refuse", "end_of_day"] = Field(
        "refuse", description="a date without a time among times, in files of news; end_of_day: it counts from there"
    )
    symbols: Literal["plain", "as_written"] = Field(
        "plain", description="in files of news: $NVDA and NASDAQ:NVDA are NVDA; as_written: they stay"
    )
    grace: float = Field(5.0, ge=0, le=3600, description="seconds that a bar waits for its news")
