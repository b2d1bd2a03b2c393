"""Bars of any number of files in time order, a chunk at a time, in bounded memory.

The files are read once, in parts: each part becomes bars in the normal form and is judged as a file is, its bars go to
`Runs`, and the merge gives them in order. Nothing is given before everything was read and judged: what is refused is
refused before anything is sent.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from plugins.base.bars import COLUMNS
from schemas.configuration.sources import Source
from streams.ingest.bar_files import UNDECLARED, pieces_for
from streams.ingest.normal.bars import bars_of
from streams.ingest.normal.doubts import Scales, check_clock, once
from streams.ingest.ordered.runs import ROW, RUN, Rows, Runs
from streams.ingest.ordered.survey import MOST, SAMPLED, Survey
from streams.ingest.reading.pieces import Piece
from streams.ingest.reading.tables import Table, tables

PART = 1 << 18
"""Rows of a file that are read at once."""
Progress = Callable[[int, int], None]
"""Called with how many bars were read since the last call, and the close of the last."""
Mask = NDArray[np.bool_]


class BarStream:
    """The bars of `open_bars`: what was seen of them, and the bars themselves, as often as wanted."""

    def __init__(self, source: Source, run: int) -> None:
        self.source, self.survey, self._runs = source, Survey(), Runs(run)

    def read(self, pieces: Iterable[Piece], interval: str | None, part: int, progress: Progress | None) -> None:
        scales, clock = Scales(), _Clock()
        for table in (table for piece in pieces for table in tables(piece, self.source, part)):
            if table.first == 0:
                clock.judge()
            bars = bars_of(table, interval, self.survey.left_out, clock.take)
            if table.first == 0:
                scales.take(table.piece.name, bars)
            self._keep(bars)
            if progress and len(bars):
                progress(len(bars), int(bars["close_time"].iloc[-1]))
        clock.judge()

    def _keep(self, bars: pd.DataFrame) -> None:
        self.survey.take(bars)
        rows = np.zeros(len(bars), ROW)
        for name in ("open_time", "close_time", *COLUMNS):
            rows[name] = bars[name]
        for name, known in (("symbol", self.survey.symbols), ("interval", self.survey.intervals)):
            column = bars[name].cat
            numbers = np.array([known.get(str(each), -1) for each in column.categories], np.int32)
            rows[name] = numbers[column.codes.to_numpy()] if len(bars) else 0
        if len(rows):
            self._runs.add(rows)

    def __len__(self) -> int:
        return self.survey.bars

    def chunks(self) -> Iterator[pd.DataFrame]:
        """The bars by close time, then symbol, as `read_bars` has them; those of one time are together."""
        for rows in self._ordered():
            frame = self._frame(rows)
            yield once(frame, self.source).reset_index(drop=True) if _repeat(rows) else frame

    def check(self) -> None:
        """`ConfigurationError` for two bars of one symbol and time with other values."""
        for rows in self._ordered():
            if _repeat(rows):
                once(self._frame(rows), self.source)

    def _ordered(self) -> Iterator[Rows]:
        """By close time, then symbol."""
        symbols = np.array(list(self.survey.symbols), object)
        ranks = np.argsort(np.argsort(symbols)) if len(symbols) else np.empty(0, np.int64)
        for rows in self._runs.merged():
            yield rows[np.lexsort((ranks[rows["symbol"]], rows["close_time"]))]

    def _frame(self, rows: Rows) -> pd.DataFrame:
        symbols, intervals = (np.array(list(each), object) for each in (self.survey.symbols, self.survey.intervals))
        frame = pd.DataFrame({name: rows[name] for name in ("open_time", "close_time", *COLUMNS)})
        frame.insert(0, "symbol", pd.Series(symbols[rows["symbol"]], dtype=object))
        frame.insert(1, "interval", pd.Series(intervals[rows["interval"]], dtype=object))
        return frame

    def close(self) -> None:
        self._runs.close()


def _repeat(rows: Rows) -> bool:
    """Are there two bars of one symbol and close, one after the other?"""
    same = (rows["close_time"][1:] == rows["close_time"][:-1]) & (rows["symbol"][1:] == rows["symbol"][:-1])
    return bool(same.any())


class _Clock:
    """Whose clock a file's times are by, and which end they say, by as much of it as is needed: of a file that is read
    in parts, the bars of a few symbols.
    """

    def __init__(self) -> None:
        self._parts: list[tuple[Table, pd.DataFrame, Mask, Mask]] = []
        self._symbols: frozenset[str] = frozenset()
        self._rows = 0

    def take(self, table: Table, frame: pd.DataFrame, naive: Mask, dates: Mask) -> None:
        if table.whole:
            check_clock(table, frame, naive, dates)
            return
        if not self._parts:
            self._symbols = frozenset(frame["symbol"].value_counts().index[:SAMPLED])
        some = frame["symbol"].isin(self._symbols).to_numpy() & (self._rows < MOST)
        self._rows += int(some.sum())
        columns = ["symbol", "interval", "open_time", "close_time"]
        part = frame.loc[some, columns].astype({"symbol": object, "interval": object})
        self._parts.append((replace(table, frame=pd.DataFrame()), part, naive[some], dates[some]))

    def judge(self) -> None:
        """The file of the parts that were taken; what is taken next is another one's."""
        if self._parts:
            table, frames, naive, dates = zip(*self._parts, strict=True)
            check_clock(table[0], pd.concat(frames, ignore_index=True), np.concatenate(naive), np.concatenate(dates))
        self._parts, self._symbols, self._rows = [], frozenset(), 0


@contextlib.contextmanager
def open_bars(
    paths: str | Path | Iterable[str | Path],
    interval: str | None = None,
    source: Source = UNDECLARED,
    progress: Progress | None = None,
    part: int = PART,
    run: int = RUN,
) -> Iterator[BarStream]:
    """The bars of files, as `streams.ingest.bar_files.read_bars` reads them, however many.

    Parameters
    ----------
    paths, interval, source
        As of `read_bars`.
    part, run
        Rows of a file that are read at once, and that are sorted at once.

    Raises
    ------
    ConfigurationError
        As `read_bars`; and where the temporary folder cannot hold the bars.
    """
    stream = BarStream(source, run)
    with contextlib.closing(stream):
        stream.read(pieces_for(paths, source), interval, part, progress)
        stream.check()
        yield stream
