"""The changed states of a partition at one offset, copied at once and turned into snapshots at leisure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from plugins.base.streaming import IntArray, Rows
from plugins.fold import gate
from plugins.pipeline.interval_group import IntervalGroup
from plugins.pipeline.prediction.shadow import ShadowStates
from plugins.pipeline.strategy_run import StrategyRun
from schemas.canonical import sha256_hex
from schemas.wire import Snapshot


@dataclass(frozen=True)
class _Copy:
    """The rows of one owner, a strategy or a gate, at the moment of a capture."""

    owner: str
    layout: str
    counts: IntArray
    arrays: list[Rows]
    shadow: ShadowStates | None = None


class Capture:
    """Copies of the states that changed since the last capture; `counts`: bars in each state, changed or not, by the
    key of its snapshot (``owner/symbol``).

    The gate's snapshots come last: on the log no gate is ever ahead of a strategy behind it.
    """

    def __init__(self, groups: Iterable[IntervalGroup], partition: int, offset: int) -> None:
        self.offset = offset
        self.strategies: list[str] = []
        self.counts: dict[str, int] = {}
        self._partition = partition
        self._parts: list[tuple[list[str], list[_Copy]]] = []
        for group in groups:
            active = [run for run in group.runs if run.active]
            self.strategies += [run.strategy.name for run in active]
            self.counts |= _counts(group, active)
            slots = np.flatnonzero(group.dirty)
            group.dirty[:] = False
            copied = _Copied(slots)
            copies = [_copy(run, copied) for run in active]
            copies.append(_Copy(group.owner, gate.LAYOUT, group.gate["count"][slots], [group.gate[slots]]))
            self._parts.append(([group.symbols[slot] for slot in slots], copies))
        self.strategies.sort()

    def snapshots(self) -> Iterator[Snapshot]:
        """A snapshot of each state with a bar in it."""
        for symbols, copies in self._parts:
            for copy in copies:
                for row, symbol in enumerate(symbols):
                    if count := int(copy.counts[row]):
                        payload = b"".join(array[row].tobytes() for array in copy.arrays)
                        yield Snapshot(
                            copy.owner,
                            symbol,
                            self._partition,
                            self.offset,
                            count,
                            copy.layout,
                            sha256_hex(payload),
                            payload,
                            copy.shadow[row] if copy.shadow else None,
                        )


class _Copied(dict[int, Rows]):
    """The rows of `slots` of each array, copied once for all strategies that share it."""

    def __init__(self, slots: IntArray) -> None:
        super().__init__()
        self.slots = slots

    def rows_of(self, array: Rows) -> Rows:
        """The copy of an array that lives on."""
        if (rows := self.get(id(array))) is None:
            rows = self[id(array)] = array[self.slots]
        return rows


def _copy(run: StrategyRun, copied: _Copied) -> _Copy:
    book, shadow = copied.rows_of(run.book), run.shadow
    return _Copy(
        run.strategy.name,
        run.strategy.layout,
        book["count"],
        [book, *map(copied.rows_of, run.states)],
        shadow.copy(copied.slots) if shadow else None,
    )


def _counts(group: IntervalGroup, runs: Iterable[StrategyRun]) -> dict[str, int]:
    counts: dict[str, int] = {}
    owners = [(run.strategy.name, run.book["count"]) for run in runs]
    for owner, column in [*owners, (group.owner, group.gate["count"])]:
        bars = column[: len(group.symbols)].tolist()
        counts |= {f"{owner}/{symbol}": count for symbol, count in zip(group.symbols, bars, strict=True) if count}
    return counts
