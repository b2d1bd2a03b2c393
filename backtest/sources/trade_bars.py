"""Bars of trades in files, by the code that makes them live."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import pandas as pd

from backtest.sources.files import Files
from plugins.fold.trades.builder import BarBuilder, feed_each
from plugins.fold.trades.kinds import BarKind, TimeRules
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import Bar
from streams.consuming.clock_bound import ClockBound
from streams.ingest.bar_files import FRAME, Refused
from streams.ingest.trade_files import Numbered, read_trades


@dataclass
class BarsOfTrades:
    """`bars` by close and symbol; of so many `trades`, `repeats` of which came before, and `outside` when the market
    was closed; `left`: rows and trades in none; `still_open`: bars that had not closed at the end.
    """

    bars: list[Bar] = field(default_factory=list)
    trades: int = 0
    repeats: int = 0
    outside: int = 0
    still_open: int = 0
    left: Refused = field(default_factory=Refused)

    def frame(self) -> pd.DataFrame:
        """As files have bars; with a column `flat` where there are some without trades."""
        frame = pd.DataFrame([[getattr(bar, name) for name in FRAME] for bar in self.bars], columns=list(FRAME))
        flat = [bar.flat is True for bar in self.bars]
        return frame.assign(flat=flat) if any(flat) else frame


def bars_of_files(
    files: Files,
    kinds: Mapping[BarKind, TimeRules],
    bound: ClockBound,
    until: int | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> BarsOfTrades:
    """The bars that the trades of files give, in the files' order.

    Time bars that end by the newest trade of all, or by `until` (ms since the epoch, UTC), close at the end, as live
    ticks close those of silent symbols.

    Parameters
    ----------
    kinds
        Each with its rules.
    bound
        Which trades come from the future.

    Raises
    ------
    ConfigurationError
        For files that cannot be read, or hold no trade.
    """
    made = BarsOfTrades()
    builders = {kind.name: BarBuilder(kind, rules) for kind, rules in kinds.items()}
    newest, rows = until or 0, 0
    for some in read_trades(files.paths, files.source, made.left):
        progress(len(some))
        newest = max(newest, _feed(some, builders, bound, made))
        rows = some[-1][0] + 1 if some else rows
    if not made.trades:
        raise ConfigurationError(f"{files}: holds no trade that can be used: {made.left}")
    for builder in builders.values():
        while ticks := builder.due(newest):
            for tick in ticks:
                made.bars += [one.bar for one in builder.feed(tick, rows)]
        made.still_open += builder.still_open
    made.repeats = max(builder.repeats for builder in builders.values())
    made.outside = max(builder.outside for builder in builders.values())
    made.bars.sort(key=lambda bar: (bar.close_time, bar.symbol))
    return made


def _feed(some: Iterable[Numbered], builders: Mapping[str, BarBuilder], bound: ClockBound, made: BarsOfTrades) -> int:
    """The time of the newest trade."""
    newest = 0
    for number, trade in some:
        try:
            bound.check_time(number, trade.time, "the trade is of")
        except BadRecord as bad:
            made.left.add(bad.kind, f"row {number}: {bad.reason}")
            continue
        closed, refusals = feed_each(builders, trade, number)
        made.bars += [one.bar for one in closed]
        for name, refusal in refusals.items():
            made.left.add(f"{refusal.kind} for {name}", f"row {number}: {refusal.reason}")
        made.trades += 1
        newest = max(newest, trade.time)
    return newest
