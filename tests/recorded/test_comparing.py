"""A comparison that could not fail would prove nothing: each of these differences is seen; what is masked is not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.recorded.comparing import compare
from tests.recorded.topics import Recording, Seen

SIGNAL = {
    "content": {"id": "s1", "strategy": "plain", "symbol": "AAA", "time": 60_000, "prediction": 0.1, "gap": None},
    "provenance": {"topic": "recorded.bars", "partition": 0, "offset": 3},
}
PREDICTION = {"kind": "prediction", "strategy": "ranked", "symbol": "AAA", "time": 60_000, "prediction": 0.5,
              "provenance": {"partition": 1, "offset": 3}}  # fmt: skip
CLOSING = {"kind": "closing", "strategy": "ranked", "time": 60_000, "members": ["AAA"], "with_signals": True}
APPLIED = {"kind": "applied", "strategy": "plain", "offset": 0, "config_hash": "aa", "paused": False, "artifact": None}
ANSWER = {"kind": "answer", "wish": "w1", "strategy": "plain", "worker": "host-1", "accepted": True, "reason": None}
SNAPSHOT = {"kind": "snapshot", "owner": "plain", "symbol": "AAA", "offset": 9, "count": 4, "payload": "AAEC"}
MARKER = {"kind": "marker", "topic": "recorded.bars", "offset": 9, "published": {"plain": 9}, "floor": 9, "track": ""}
GATHERED = {"kind": "gathered", "strategy": "ranked", "topic": "recorded.predictions", "offset": 40, "floor": 40,
            "closed": 60_000, "last": {"AAA": 60_000, "BBB": 60_000}, "times": [60_000]}  # fmt: skip
LETTER = [("topic", b"recorded.bars"), ("partition", b"0"), ("offset", b"5"), ("reason", b"no JSON")]


def seen(topic: str, key: str, value: dict[str, Any] | bytes, timestamp: int = 60_000, headers: Any = ()) -> Seen:
    data = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return Seen(topic, 0, 0, key.encode(), data, timestamp, list(headers))


def recording(**changes: Any) -> Recording:
    """A run in miniature; `changes` to its records by their names, each a function of the value."""
    values: dict[str, tuple[str, str, dict[str, Any]]] = {
        "signal": ("signals", "AAA", SIGNAL), "prediction": ("predictions", "ranked", PREDICTION),
        "closing": ("predictions", "ranked", CLOSING), "applied": ("control", "plain", APPLIED),
        "answer": ("control", "plain", ANSWER), "snapshot": ("state", "plain/AAA", SNAPSHOT),
        "marker": ("state", "recorded.bars/0", MARKER),
        "gathered": ("state", "recorded.predictions/0/ranked", GATHERED),
    }  # fmt: skip
    found = Recording("one", exactly_once=True)
    for name, (topic, key, value) in values.items():
        change: Callable[[Any], Any] = changes.get(name, lambda same: same)
        found.records.append(seen(topic, key, change(json.loads(json.dumps(value)))))
    found.records.append(seen("dead-letters", "AAA", b"rubbish", headers=changes.get("letter", LETTER)))
    found.checkpoints["end"] = len(found.records)
    return found


def field(*path: str, to: Any) -> Callable[[Any], Any]:
    """The change of one field."""

    def change(value: Any) -> Any:
        at = value
        for name in path[:-1]:
            at = at[name]
        at[path[-1]] = to
        return value

    return change


def reordered(value: dict[str, Any]) -> dict[str, Any]:
    return dict(reversed(value.items()))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"signal": field("content", "prediction", to=0.1 + 2**-55)}, ".fields.content.prediction: 0.1 before"),
        ({"signal": field("provenance", "offset", to=4)}, ".fields.provenance.offset: 3 before, 4 after"),
        ({"signal": reordered}, ".fields: the order of the fields"),
        ({"signal": lambda v: json.dumps(v).encode()}, ".bytes: "),
        ({"signal": field("content", "id", to="s2")}, "only before: s1"),
        ({"prediction": field("prediction", to=None)}, ".fields.prediction: 0.5 before, None after"),
        ({"closing": field("members", to=["AAA", "BBB"])}, ".fields.members: "),
        ({"applied": field("artifact", to="b")}, ".fields.artifact: None before, 'b' after"),
        ({"applied": field("offset", to=3)}, "control: only before: (0, 'plain', 0"),
        ({"answer": field("reason", to="no")}, ".fields.reason: None before, 'no' after"),
        ({"snapshot": field("payload", to="AAED")}, ".fields.payload: b'\\x00\\x01\\x02' before"),
        ({"snapshot": field("count", to=5)}, ".fields.count: 4 before, 5 after"),
        ({"marker": field("published", to={"plain": 8})}, ".of this track.plain: 9 before, 8 after"),
        ({"marker": field("floor", to=8)}, ".fields.floor: 9 before, 8 after"),
        ({"gathered": field("closed", to=0)}, ".fields.closed: 60000 before, 0 after"),
        ({"gathered": field("last", to={"AAA": 60_000, "BBB": 1})}, ".known.BBB: 60000 before, 1 after"),
        ({"snapshot": lambda v: json.dumps(v).encode()}, ".bytes: "),
        ({"closing": lambda v: json.dumps(v).encode()}, ".bytes: "),
        ({"answer": lambda v: json.dumps(v).encode()}, ".bytes: "),
        ({"letter": [*LETTER[:3], ("reason", b"other")]}, ".headers[3]"),
    ],
)
def test_a_difference_is_seen(changes: dict[str, Any], told: str) -> None:
    found = compare(recording(), recording(**changes)).differences
    assert any(told in text for text in found), found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"answer": field("worker", to="host-2")},
        {"closing": field("with_signals", to=False)},
        {"snapshot": field("offset", to=8)},
        {"gathered": field("last", to={"BBB": 60_000, "AAA": 60_000})},
        {"gathered": field("offset", to=44)},
        {"marker": field("published", to={"plain": 9, "news": 5})},
    ],
)
def test_what_is_a_matter_of_time_is_not(changes: dict[str, Any]) -> None:
    assert compare(recording(), recording(**changes)).differences == []


def test_a_repeat_is_seen_where_there_are_transactions() -> None:
    twice, other = recording(), recording()
    twice.records.append(twice.records[0])
    assert compare(recording(), twice).differences == ["signals: one has s1 twice"]
    twice.exactly_once = other.exactly_once = False
    assert compare(other, twice).differences == []


def test_a_repeat_with_other_bytes_is_seen_always() -> None:
    twice = recording()
    twice.exactly_once = False
    twice.records.append(seen("signals", "AAA", field("content", "gap", to=1)(json.loads(json.dumps(SIGNAL)))))
    (told,) = compare(recording(), twice).differences
    assert told.startswith("signals: one has two of s1: .fields.content.gap: None before, 1 after")


def test_the_order_of_a_strategys_signals_is_seen_unless_other_times_of_a_cross_section() -> None:
    def two(strategy: str, *times: int) -> Recording:
        found = recording()
        for time in times:
            value = {"content": SIGNAL["content"] | {"id": f"t{time}", "strategy": strategy, "time": time}}
            found.records.append(seen("signals", "AAA", value | {"provenance": SIGNAL["provenance"]}))
        return found

    (told,) = compare(two("deep", 1, 2), two("deep", 2, 1)).differences
    assert told.startswith("signals, order: (0, 'deep', None): [0]: ('AAA', 1) before")
    assert compare(two("ranked", 1, 2), two("ranked", 2, 1)).differences == []
