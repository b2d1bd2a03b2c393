"""Which symbols a strategy has, and when: one answer for a worker, a replay and a training."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from typing import Any

from plugins.base import BaseSignalGenerator
from plugins.strategy.membership import ALWAYS, Periods, digest, read_history, read_symbols
from schemas.configuration import Strategy
from schemas.configuration.universe import Rule
from schemas.errors import ConfigurationError

LEFT = "left the universe"
"""The reason of a signal that ends what is held of a symbol that is no member any longer."""


class Universe:
    """Members by time. Times are milliseconds since the epoch, of a bar's close.

    Parameters
    ----------
    periods
        When each symbol is a member: ``(first, end)`` pairs in order, half-open. None: all that `rule` fits, always.
    rule
        For a universe without periods.
    resolved
        How a resolved configuration names it: equal for universes that have equal members.
    """

    def __init__(self, periods: Mapping[str, Periods] | None, rule: Rule | None = None, resolved: Any = "*") -> None:
        self.periods = None if periods is None else dict(periods)
        self.rule = rule or Rule()
        self.resolved = resolved
        self._fits = lru_cache(maxsize=65_536)(lambda symbol: fnmatchcase(symbol, self.rule.match))

    @classmethod
    def of(cls, symbols: Iterable[str]) -> "Universe":
        """These symbols, always."""
        names = sorted(symbols)
        return cls(dict.fromkeys(names, ALWAYS), resolved=names)

    def ever(self, symbol: str) -> bool:
        """Is, was or will be a member."""
        return self._fits(symbol) if self.periods is None else symbol in self.periods

    def member(self, symbol: str, time: int) -> bool:
        """Is a member at `time`."""
        if self.periods is None:
            return self._fits(symbol)
        return any(first <= time < end for first, end in self.periods.get(symbol, ()))

    def left(self, symbol: str, time: int) -> bool:
        """Was a member before `time`, and is none then."""
        return self.concerns(symbol, time) and not self.member(symbol, time)

    def concerns(self, symbol: str, time: int) -> bool:
        """Is a member at `time`, or was one before: there is something to say of it."""
        if self.periods is None:
            return self._fits(symbol)
        return symbol in self.periods and self.periods[symbol][0][0] <= time

    @cached_property
    def changes(self) -> bool:
        """Has it other members at one time than at another?"""
        return self.periods is not None and any(periods != ALWAYS for periods in self.periods.values())

    @property
    def symbols(self) -> frozenset[str] | None:
        """All that are ever members; None when that is not known beforehand."""
        return None if self.periods is None else frozenset(self.periods)

    @cached_property
    def size(self) -> int | None:
        """The most members at any one time; None when that is not known beforehand."""
        return None if self.periods is None else max(map(len, self._stretches[1]), default=0)

    def expected(self, time: int, last: Mapping[str, int], closed: Sequence[int]) -> frozenset[str] | None:
        """Who should report for `time`; None when that is not known yet.

        Of a rule these are all that reported for the oldest of the last `active_bars` closed times or a later one:
        `last` is each symbol's newest time, `closed` the times that were closed, in order.
        """
        if self.periods is not None:
            return self._members_at(time)
        recent = closed[-self.rule.active_bars :]
        if not recent:
            return None
        return frozenset(symbol for symbol, newest in last.items() if newest >= recent[0] and self._fits(symbol))

    def _members_at(self, time: int) -> frozenset[str]:
        begins, members = self._stretches
        place = bisect_right(begins, time) - 1
        return members[place] if place >= 0 else frozenset()

    @cached_property
    def _stretches(self) -> tuple[list[int], list[frozenset[str]]]:
        """When the members change, and who they are from then on."""
        assert self.periods is not None
        joins: dict[int, set[str]] = {}
        leaves: dict[int, set[str]] = {}
        for symbol, periods in self.periods.items():
            for first, end in periods:
                joins.setdefault(first, set()).add(symbol)
                leaves.setdefault(end, set()).add(symbol)
        begins, now = sorted(joins.keys() | leaves.keys()), frozenset[str]()
        members = [now := (now - leaves.get(begin, set())) | joins.get(begin, set()) for begin in begins]
        return begins, members


def universe_of(name: str, strategy: Strategy) -> Universe:
    """The universe of strategy `name`.

    Raises
    ------
    ConfigurationError
        A file that it names cannot be used.
    """
    given, place = strategy.universe, f"strategies.{name}.universe"
    if given == "*":
        return Universe(None)
    if isinstance(given, list):
        return Universe.of(given)
    assert not isinstance(given, str)
    if given.file is not None:
        return Universe.of(read_symbols(given.file, place))
    if given.history is not None:
        periods = read_history(given.history, place)
        return Universe(periods, resolved={"history": digest(periods)})
    assert given.rule is not None
    plain = "*" if given.rule.match == "*" else {"rule": {"match": given.rule.match}}
    return Universe(None, given.rule, plain)


def check_size(place: str, universe: Universe, generator: BaseSignalGenerator) -> None:
    """Checks that the generator can work for so few symbols.

    Raises
    ------
    ConfigurationError
        It cannot; `place` is the generator's in the configuration.
    """
    if universe.size is not None and (fault := generator.universe_fault(universe.size)):
        raise ConfigurationError(f"{place}: {generator.key}: {fault}")
