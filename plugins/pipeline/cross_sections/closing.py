"""When a cross-section is closed: as soon as every expected symbol has come, or when its grace is over.

This proposes and nothing more: what holds is the first closing on the log. So its clock decides only who is waited for.
"""

from collections.abc import Callable, Iterable

from plugins.pipeline.cross_sections.cross_section import CrossSections, closing_of
from plugins.pipeline.cross_sections.deciding import Deciders
from plugins.strategy.ready import ReadyStrategy
from plugins.strategy.universe import Universe
from schemas.wire.cross_sections import Closing, Prediction

BACKLOG = 16
"""With more bar times pending than this, the owner is catching up: symbols that make progress are waited for."""


class ClosingProposer:
    """Proposes the closings of one strategy; `clock` in seconds.

    A time is complete when every symbol that is expected has come with it, or with a later one. Earlier times are
    closed first. Where predictions come with the closing, it is the newest configuration of those present that
    predicts, among the `deciders`.
    """

    def __init__(
        self,
        strategy: ReadyStrategy,
        sections: CrossSections,
        clock: Callable[[], float],
        deciders: Deciders | None = None,
    ) -> None:
        self.strategy = strategy
        self.deciders = deciders or Deciders([strategy])
        self.sections = sections
        self.proposed = -1
        self._clock = clock
        self._first: dict[int, float] = {}
        self._seen: dict[str, float] = {}
        self._head: int | None = None
        self._waiting: set[str] = set()
        self._expected: frozenset[str] = frozenset()

    def saw(self, prediction: Prediction) -> None:
        """It has just been taken."""
        now = self._clock()
        self._seen[prediction.symbol] = now
        self._first.setdefault(prediction.time, now)
        if self._head is not None and prediction.time >= self._head:
            self._waiting.discard(prediction.symbol)

    def next(self) -> "tuple[int, float | None] | None":
        """The next time to close, and from when on (None: at once); None when nothing is pending."""
        reached = max(self.proposed, self.sections.closed)
        head = min((time for time in self.sections.pending if time > reached), default=None)
        if head is None:
            self._head = None
            return None
        if head != self._head:
            self._look_at(head)
        if self._expected and not self._waiting:
            return head, None
        since = self._first.setdefault(head, self._clock())
        if len(self.sections.pending) > BACKLOG:
            since = max([since, *(self._seen[symbol] for symbol in self._waiting & self._seen.keys())])
        return head, since + self.strategy.grace

    def _look_at(self, head: int) -> None:
        self._head = head
        self._expected = expected(self.strategy, self.sections, head)
        last = self.sections.last
        self._waiting = {symbol for symbol in self._expected if last.get(symbol, -1) < head}
        self._first = {time: at for time, at in self._first.items() if time >= head}

    def close(self, time: int) -> Closing:
        """The closing of `time`, which `next` has just named."""
        self.proposed = time
        present = self.sections.pending[time]
        members, left = members_and_left(self.strategy.universe, time, present)
        return closing_of(self.deciders.deciding(present, self.strategy), time, members, left, expected=self._expected)


def expected(strategy: ReadyStrategy, sections: CrossSections, time: int) -> frozenset[str]:
    """The symbols that the cross-section of `time` waits for; none while the universe's rule cannot tell yet."""
    return strategy.universe.expected(time, sections.last, list(sections.times)) or frozenset()


def members_and_left(universe: Universe, time: int, present: Iterable[str]) -> tuple[list[str], list[str]]:
    """Of those present: the members at `time`, and those that have left."""
    names = sorted(present)
    return [symbol for symbol in names if universe.member(symbol, time)], [
        symbol for symbol in names if universe.left(symbol, time)
    ]
