"""What output consists of: how many signals of each strategy and decision, how many dead letters for each reason."""

from collections import Counter
from collections.abc import Iterable

from plugins.pipeline.records.signals import Signals
from schemas.wire import Signal
from streams.consuming.intake import DeadLetter

Tally = Counter[tuple[str, ...]]
"""By ``("signal", strategy, decision)`` or ``("dead letter", reason)``."""
NOTHING: Tally = Counter()
NUMBER = "NUMBER"
"""The decision of signals that are a number: the numbers themselves are without bound."""


def signal_tally(signals: Signals) -> Tally:
    """Of signals as columns."""
    tally: Tally = Counter()
    for columns in signals.columns:
        for decision, count in Counter(columns.decided.signals).items():
            tally["signal", columns.strategy.name, _named(decision)] += count
    return tally


def each_signal_tally(signals: Iterable[Signal]) -> Tally:
    """Of signals one by one."""
    contents = (signal.content for signal in signals)
    return Counter(("signal", content.strategy, _named(content.signal)) for content in contents)


def letter_tally(letters: Iterable[DeadLetter]) -> Tally:
    return Counter(("dead letter", letter.kind) for letter in letters)


def _named(decision: str | float) -> str:
    return decision if isinstance(decision, str) else NUMBER
