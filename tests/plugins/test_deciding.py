"""When a cross-section is closed, by a clock that the test sets."""

from plugins.pipeline.cross_sections.closing import BACKLOG, ClosingProposer
from plugins.pipeline.cross_sections.cross_section import CrossSections
from tests.plugins.test_cross_section import prediction
from tests.support.memory import ready


class Owner:
    """A decider with its fold, and the time."""

    def __init__(self, grace: float = 2.0) -> None:
        signal = {"key": "signal.ranking", "top_n": 1, "bottom_n": 1}
        strategy = ready("demo", signal=signal, universe=["A", "B"], cross_section={"grace": grace})
        self.now = 0.0
        self.sections = CrossSections()
        self.decider = ClosingProposer(strategy, self.sections, lambda: self.now)

    def comes(self, symbol: str, time: int, at: float) -> None:
        self.now = at
        made = prediction(symbol, time)
        self.sections.take(made)
        self.decider.saw(made)


def test_at_once_when_all_have_come() -> None:
    owner = Owner()
    owner.comes("A", 60, 0.0)
    assert owner.decider.next() == (60, 2.0)
    owner.comes("B", 60, 0.5)
    assert owner.decider.next() == (60, None)
    closing = owner.decider.close(60)
    assert (closing.members, closing.missing, closing.expected) == (["A", "B"], [], 2)
    assert owner.decider.next() is None


def test_the_grace_begins_with_the_first_that_came() -> None:
    owner = Owner(grace=3.0)
    owner.comes("A", 60, 10.0)
    owner.comes("A", 120, 11.0)
    assert owner.decider.next() == (60, 13.0)
    assert owner.decider.close(60).missing == ["B"]
    owner.now = 30.0
    assert owner.decider.next() == (120, 14.0)


def test_one_that_came_with_a_later_time_will_not_come_any_more() -> None:
    owner = Owner()
    owner.comes("A", 60, 0.0)
    owner.comes("B", 120, 0.1)
    assert owner.decider.next() == (60, None)


def test_of_a_backlog_who_gets_on_is_waited_for() -> None:
    """Partition A has run ahead of B, as when history is read."""
    owner = Owner()
    for number in range(1, BACKLOG + 3):
        owner.comes("A", 60 * number, 0.0)
    owner.comes("B", 60, 1.5)
    assert owner.decider.next() == (60, None)
    owner.sections.close(owner.decider.close(60))
    assert owner.decider.next() == (120, 3.5)
    owner.comes("B", 120, 3.4)
    assert owner.decider.next() == (120, None)


def ahead(count: int) -> Owner:
    """Partition A has run `count` times ahead of B, which has come with the first only."""
    owner = Owner()
    for number in range(1, count + 2):
        owner.comes("A", 60 * number, 0.0)
    owner.comes("B", 60, 1.5)
    owner.sections.close(owner.decider.close(60))
    return owner


def test_a_backlog_is_more_than_so_many_times() -> None:
    assert ahead(BACKLOG).decider.next() == (120, 2.0)
    assert ahead(BACKLOG + 1).decider.next() == (120, 3.5)
    assert ahead(1).decider.next() == (120, 2.0)


def test_of_a_backlog_only_who_is_waited_for_counts_and_one_that_never_came_does_not() -> None:
    owner = ahead(BACKLOG + 1)
    owner.comes("A", 60 * (BACKLOG + 3), 1.9)
    assert owner.decider.next() == (120, 3.5)
    alone = Owner()
    for number in range(1, BACKLOG + 3):
        alone.comes("A", 60 * number, 0.0)
    assert alone.decider.next() == (60, 2.0)
