"""What was seen of bars while they were read, in bounded memory: how many, of what, from when to when."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from streams.ingest.normal.left_out import Refused

SAMPLED, MOST = 64, 1 << 21
"""Symbols, and rows of them, by which is told how bars follow each other."""


@dataclass
class Survey:
    """`sample`: the bars of the first symbols (`complete`: of all), without their values."""

    bars: int = 0
    symbols: dict[str, int] = field(default_factory=dict)
    """Symbol → its number, in the order in which they came."""
    intervals: dict[str, int] = field(default_factory=dict)
    first_start: int = 0
    last_close: int = 0
    columns: dict[str, Any] = field(default_factory=dict)
    """Of the first file: ``used`` for what, and ``ignored``."""
    left_out: Refused = field(default_factory=Refused)
    complete: bool = True
    _parts: list[pd.DataFrame] = field(default_factory=list)
    _sampled: int = 0

    def take(self, frame: pd.DataFrame) -> None:
        self.columns = self.columns or frame.attrs.get("columns", {})
        if not len(frame):
            return
        first, last = int(frame["open_time"].min()), int(frame["close_time"].max())
        self.first_start = min(self.first_start, first) if self.bars else first
        self.last_close = max(self.last_close, last) if self.bars else last
        self.bars += len(frame)
        for known, column in ((self.symbols, frame["symbol"]), (self.intervals, frame["interval"])):
            for name in column.cat.remove_unused_categories().cat.categories:
                known.setdefault(str(name), len(known))
        self._sample(frame)

    def _sample(self, frame: pd.DataFrame) -> None:
        names = [name for name, number in self.symbols.items() if number < SAMPLED]
        part = frame.loc[frame["symbol"].isin(names), ["symbol", "interval", "open_time", "close_time"]]
        self.complete = self.complete and len(part) == len(frame) and self._sampled + len(part) <= MOST
        part = part.head(MOST - self._sampled)
        self._sampled += len(part)
        if len(part):
            self._parts.append(part.astype({"symbol": object, "interval": object}))

    @property
    def sample(self) -> pd.DataFrame:
        whole = pd.concat(self._parts, ignore_index=True) if self._parts else pd.DataFrame()
        return whole.sort_values("close_time", kind="stable", ignore_index=True) if len(whole) else whole
