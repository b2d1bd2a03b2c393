"""Rows that are no bars: why each was left out, how many of each, and where the first few are."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS, PRICES
from schemas.wire import is_symbol, symbol_fault
from streams.ingest.reading.tables import Table
from streams.ingest.row_places import row_places

FRAME = ("symbol", "interval", "open_time", "close_time", *COLUMNS)
EXAMPLES = 5


@dataclass
class Refused:
    """What of a source could not be used: how many for each reason, and the first few as ``place: reason``."""

    reasons: dict[str, int] = field(default_factory=dict)
    examples: list[str] = field(default_factory=list)
    read_as: dict[str, str] = field(default_factory=dict)
    """What was used otherwise than it is written → how."""

    def add(self, reason: str, example: str) -> None:
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def take(self, other: "Refused") -> None:
        """The same of another source."""
        for reason, count in other.reasons.items():
            self.reasons[reason] = self.reasons.get(reason, 0) + count
        self.examples += other.examples[: EXAMPLES - len(self.examples)]
        self.read_as |= other.read_as

    @property
    def rows(self) -> int:
        return sum(self.reasons.values())

    def __str__(self) -> str:
        return ", ".join(f"{count} {reason}" for reason, count in self.reasons.items()) or "none"


def faults_of(frame: pd.DataFrame) -> dict[str, Any]:
    """Which rows are no bars, and why; as `schemas.wire.check_bar` has it."""
    low, high, volume = (frame[name].to_numpy() for name in ("low", "high", "volume"))
    values = frame[list(COLUMNS)].to_numpy()
    outside = [(frame[name].to_numpy() < low) | (frame[name].to_numpy() > high) for name in ("open", "close")]
    return {
        **_unnamed(frame["symbol"].cat),
        "without values": np.isnan(values).any(axis=1),
        "with an infinite value": np.isinf(values).any(axis=1),
        "with a price not above 0": (frame[list(PRICES)].to_numpy() <= 0).any(axis=1),
        "with high below low": high < low,
        "with open or close outside low to high": outside[0] | outside[1],
        "with volume below 0": volume < 0,
    }


def _unnamed(symbols: Any) -> dict[str, NDArray[np.bool_]]:
    """Rows whose symbol is none, by what is wrong with it; the reason shows the first such symbol and the mend."""
    reasons: dict[str, str] = {}  # what is wrong → the reason
    places: dict[str, list[int]] = {}  # the reason → its symbols
    for place, symbol in enumerate(symbols.categories):
        if not is_symbol(symbol):
            fault, mend = symbol_fault(symbol)
            shown = f"whose symbol {fault} ({symbol[:20]!r}: {mend})" if symbol else "without a symbol"
            places.setdefault(reasons.setdefault(fault, shown), []).append(place)
    return {reason: np.isin(symbols.codes, found) for reason, found in places.items()}


def cleaned(table: Table, frame: pd.DataFrame, faults: dict[str, Any], out: Refused) -> pd.DataFrame:
    """The rows without `faults`; the others are counted."""
    good = np.ones(len(frame), bool)
    for reason, faulty in faults.items():
        rows = np.nonzero(faulty & good)[0]
        if len(rows):
            out.reasons[reason] = out.reasons.get(reason, 0) + len(rows)
            places = frame.index[rows[: EXAMPLES - len(out.examples)]] + table.first
            out.examples += [f"{place}: {reason}" for place in row_places(table.piece.path, places.tolist())]
            good[rows] = False
    return frame.loc[:, list(FRAME)] if good.all() else frame.loc[good, list(FRAME)]
