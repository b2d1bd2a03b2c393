"""The fold over predictions and closings, by a generator whose decisions can be read off."""

import itertools
from typing import Any

import pandas as pd
import pytest

from plugins.base import BaseSignalGenerator
from plugins.pipeline.cross_sections.cross_section import (
    LATE,
    LEFT,
    CrossSections,
    SectionOutcome,
    closing_of,
    signals_of,
)  # fmt: skip
from plugins.pipeline.cross_sections.deciding import Decider, decide, generator_of
from schemas.errors import PluginError
from schemas.wire import Origin, Provenance, encode
from schemas.wire.cross_sections import Closing, Generator, Prediction, Weighing
from tests.support.memory import ready


class Best(BaseSignalGenerator):
    """The highest prediction BUY, the others FLAT."""

    key = "signal.best"
    cross_section = True

    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        rank = predictions["prediction"].rank(method="first").astype(int)
        best = rank == len(predictions)
        return predictions.assign(
            signal=["BUY" if b else "FLAT" for b in best], reason=[f"rank {r} of {len(predictions)}" for r in rank]
        )


def prediction(symbol: str, time: int, value: float | None = 1.0, reason: str | None = None) -> Prediction:
    place = Provenance("bars", 0, time * 100 + ord(symbol[0]), None, Origin(0, 0, 0), "v")
    return Prediction("demo", symbol, time, value, reason, None, "c0ffee", 0, time + 60, place)


def closing(time: int, members: str, **changes: Any) -> Closing:
    settings: dict[str, Any] = {
        "missing": [], "expected": len(members), "left": [], "signal": Generator("signal.best", "1", {}),
        "execution": Weighing(0.5, False), "config_hash": "c0ffee",
    }  # fmt: skip
    return Closing("demo", time, list(members), **(settings | changes))


def fold() -> CrossSections:
    return CrossSections(decider_of=lambda _: Decider(Best()))


def told(made: SectionOutcome) -> list[tuple[str, Any, float | None, str]]:
    return [(s.content.symbol, s.content.signal, s.content.weight, s.content.reason) for s in made.signals]


def test_members_are_decided_about_together() -> None:
    sections = fold()
    for symbol, value in (("B", 3.0), ("A", 1.0), ("C", 2.0)):
        assert told(sections.take(prediction(symbol, 60, value))) == []
    assert told(sections.close(closing(60, "ABC"))) == [
        ("A", "FLAT", 0.0, "rank 1 of 3"),
        ("B", "BUY", 0.5, "rank 3 of 3"),
        ("C", "FLAT", 0.0, "rank 2 of 3"),
    ]


def test_one_without_a_prediction_keeps_its_position_and_has_no_rank() -> None:
    sections = fold()
    sections.take(prediction("A", 60, None, "warming up: bar 1 of 14"))
    sections.take(prediction("B", 60, None))
    sections.take(prediction("C", 60, 2.0))
    assert told(sections.close(closing(60, "ABC"))) == [
        ("A", "HOLD", None, "warming up: bar 1 of 14"),
        ("B", "HOLD", None, "no prediction"),
        ("C", "BUY", 0.5, "rank 1 of 1"),
    ]


def test_what_comes_after_the_closing_is_late_and_changes_nothing() -> None:
    sections = fold()
    sections.take(prediction("A", 60))
    assert told(sections.close(closing(60, "A", missing=["B"]))) == [("A", "BUY", 0.5, "rank 1 of 1")]
    made = sections.take(prediction("B", 60, 9.0))
    assert told(made) == [("B", "HOLD", None, LATE)]
    assert [late.symbol for late in made.late] == ["B"]


def test_what_was_on_the_log_and_is_no_member_is_late() -> None:
    """It came between what the one who closed had read, and the closing."""
    sections = fold()
    for symbol in "AB":
        sections.take(prediction(symbol, 60))
    assert told(sections.close(closing(60, "A"))) == [("A", "BUY", 0.5, "rank 1 of 1"), ("B", "HOLD", None, LATE)]


def test_an_earlier_time_that_was_passed_over_is_late() -> None:
    sections = fold()
    sections.take(prediction("A", 60))
    sections.take(prediction("A", 120))
    assert [s.content.time for s in sections.close(closing(120, "A")).signals] == [120, 60]


def test_the_first_closing_of_a_time_holds() -> None:
    sections = fold()
    sections.take(prediction("A", 60))
    sections.take(prediction("B", 60))
    assert len(sections.close(closing(60, "AB")).signals) == 2
    assert sections.close(closing(60, "A")) == SectionOutcome()
    assert sections.close(closing(30, "A")) == SectionOutcome()


def test_repeats_are_dropped_and_counted() -> None:
    sections = fold()
    sections.take(prediction("A", 60))
    assert sections.take(prediction("A", 60)) == SectionOutcome()
    sections.close(closing(60, "A"))
    assert sections.take(prediction("A", 60)) == SectionOutcome()
    assert sections.repeats == 2


def test_a_closing_that_is_not_newer_than_the_last_changes_nothing() -> None:
    sections = fold()
    for symbol, time in (("A", 60), ("A", 120), ("B", 180)):
        sections.take(prediction(symbol, time))
    sections.close(closing(120, "A"))
    for time in (60, 119, 120):
        assert told(sections.close(closing(time, "A"))) == []
        assert (sections.closed, list(sections.times), list(sections.pending)) == (120, [120], [180])


def test_missing_is_who_was_expected_and_has_not_come() -> None:
    strategy = ready("demo", signal={"key": "signal.ranking", "top_n": 1, "bottom_n": 1})
    made = closing_of(strategy, 60, members=["C", "A"], left=["D"], expected=["B", "A"])
    assert (made.members, made.missing, made.expected, made.left) == (["A", "C"], ["B"], 2, ["D"])


@pytest.mark.parametrize("version", ["0", "2"])
def test_a_generator_of_another_version_decides_nothing(version: str) -> None:
    named = Generator("signal.ranking", version, {"top_n": 1, "bottom_n": 1})
    with pytest.raises(PluginError, match=f"decided by signal.ranking version {version}, and here is version 1"):
        generator_of(closing(60, "A", signal=named))


def test_a_generator_that_is_not_here_is_named() -> None:
    with pytest.raises(PluginError, match=r"decided by signal.nowhere, which is not here: .*signal.nowhere"):
        generator_of(closing(60, "A", signal=Generator("signal.nowhere", "1", {})))


def test_one_that_left_the_universe_is_flat() -> None:
    sections = fold()
    sections.take(prediction("A", 60))
    sections.take(prediction("B", 60))
    assert told(sections.close(closing(60, "B", left=["A"]))) == [
        ("A", "FLAT", 0.0, LEFT),
        ("B", "BUY", 0.5, "rank 1 of 1"),
    ]


def test_a_closing_of_what_never_came_is_harmless() -> None:
    sections = fold()
    assert sections.close(closing(60, "XYZ")) == SectionOutcome()
    assert sections.closed == 60


def test_a_state_and_the_log_from_its_floor_go_on_as_if_nothing_had_been() -> None:
    """Wherever the state is taken, and however far back the log is read again."""
    log: list[Prediction | Closing] = [
        prediction("A", 60), prediction("B", 60, 2.0), closing(60, "AB"), prediction("A", 120), prediction("C", 60),
        prediction("A", 180), prediction("B", 120), prediction("A", 120), closing(120, "AB"), prediction("C", 120),
        prediction("B", 180), closing(180, "AB"),
    ]  # fmt: skip

    def run(sections: CrossSections, records: list[Prediction | Closing]) -> list[bytes]:
        made = [sections.close(r) if isinstance(r, Closing) else sections.take(r) for r in records]
        return [encode(signal) for part in made for signal in part.signals]

    whole = run(fold(), log)
    assert len(whole) == 8
    for cut in range(len(log) + 1):
        before = fold()
        first = run(before, log[:cut])
        times = {p.time for part in before.pending.values() for p in part.values()}
        floor = next((i for i, r in enumerate(log) if isinstance(r, Prediction) and r.time in times), cut)
        after = CrossSections(before.closed, before.last, before.times, lambda _: Decider(Best()))
        for record in log[:cut][floor:]:
            if isinstance(record, Prediction):
                after.collect_again(record)
        assert first + run(after, log[cut:]) == whole


def test_the_order_in_which_predictions_come_does_not_matter() -> None:
    made = set()
    for order in itertools.permutations("ABC"):
        sections = fold()
        for symbol in order:
            sections.take(prediction(symbol, 60, float(ord(symbol) % 3)))
        made.add(tuple(encode(signal) for signal in sections.close(closing(60, "ABC")).signals))
    assert len(made) == 1


@pytest.mark.parametrize(
    ("returned", "fault"),
    [
        (lambda frame: frame.iloc[:1].assign(signal="BUY"), "as many rows"),
        (lambda frame: pd.concat([frame, frame]).assign(signal="BUY"), "as many rows"),
        (lambda frame: frame, "as many rows"),
        (lambda frame: frame.assign(signal="PERHAPS"), "'PERHAPS' is none of"),
        (lambda frame: frame.assign(signal="BUY", weight=float("inf")), "weight inf is not a finite number"),
        (lambda frame: frame["nothing"], "generate failed: KeyError"),
    ],
)
def test_a_generator_that_returns_something_else_is_told(returned: Any, fault: str) -> None:
    class Wrong(Best):
        def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
            result: pd.DataFrame = returned(predictions)
            return result

    with pytest.raises(PluginError, match=fault):
        decide(Wrong(), 60, ["A", "B"], [1.0, 2.0])


def test_long_only_and_weight_are_those_of_the_closing() -> None:
    class Short(Best):
        def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
            return predictions.assign(signal=["SELL", "BUY"])

    found = {symbol: prediction(symbol, 60) for symbol in "AB"}
    weights = [
        signal.content.weight
        for signal in signals_of(closing(60, "AB", execution=Weighing(0.25, True)), found, Decider(Short()))
    ]
    assert weights == [0.0, 0.25]
