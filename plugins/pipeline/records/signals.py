"""Signals as columns, which are structs to whoever looks at one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import overload

import numpy as np
from numpy.typing import NDArray

from plugins.base.streaming import IntArray
from plugins.pipeline.records.published import BarsToPublish, Decided
from plugins.pipeline.records.rendering import RenderedRecords, SignalTexts, render
from plugins.strategy.ready import ReadyStrategy
from schemas.wire import Signal


@dataclass(frozen=True, slots=True)
class SignalColumns:
    """One strategy's signals for `published` bars; `texts`: those that are kept from batch to batch."""

    published: BarsToPublish
    strategy: ReadyStrategy
    decided: Decided
    texts: SignalTexts

    def __len__(self) -> int:
        return len(self.published)

    def at(self, rows: IntArray) -> "SignalColumns":
        """The signals of `rows`."""
        return SignalColumns(self.published.at(rows), self.strategy, self.decided.at(rows), self.texts)

    def structs(self) -> list[Signal]:
        """One struct a signal."""
        return self.published.signals(self.strategy, self.decided)

    def rendered(self) -> RenderedRecords:
        """Their JSON bytes."""
        return render(self.published, self.strategy, self.decided, self.texts)


def together(parts: Sequence[Sequence[Signal]]) -> Sequence[Signal]:
    """The signals of all parts in order: columns, where each part is."""
    columns = [part for part in parts if isinstance(part, Signals)]
    if len(columns) == len(parts):
        return Signals(chain.from_iterable(part.columns for part in columns))
    return list(chain.from_iterable(parts))


class Signals(Sequence[Signal]):
    """Signals in order; structs are made when they are asked for, and not kept."""

    def __init__(self, columns: Iterable[SignalColumns] = ()) -> None:
        self.columns = list(columns)

    def __len__(self) -> int:
        return sum(map(len, self.columns))

    def __iter__(self) -> Iterator[Signal]:
        for part in self.columns:
            yield from part.structs()

    @overload
    def __getitem__(self, at: int) -> Signal: ...
    @overload
    def __getitem__(self, at: slice) -> list[Signal]: ...
    def __getitem__(self, at: int | slice) -> Signal | list[Signal]:
        if isinstance(at, slice):
            return list(self)[at]
        place = at + len(self) if at < 0 else at
        for part in self.columns:
            if 0 <= place < len(part):
                return part.at(np.array([place])).structs()[0]
            place -= len(part)
        raise IndexError(f"signal {at} of {len(self)}")

    def where(self, wanted: Callable[[BarsToPublish], NDArray[np.bool_]]) -> "Signals":
        """Those about the bars that are `wanted`."""
        chosen = ((part, np.flatnonzero(wanted(part.published))) for part in self.columns)
        return Signals(part if len(rows) == len(part) else part.at(rows) for part, rows in chosen if len(rows))

    def __add__(self, later: "Signals") -> "Signals":
        return Signals([*self.columns, *later.columns])

    def __iadd__(self, later: "Signals") -> "Signals":
        self.columns += later.columns
        return self

    def __eq__(self, other: object) -> bool:
        return list(self) == list(other) if isinstance(other, Sequence) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Signals({list(self)!r})"
