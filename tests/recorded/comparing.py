"""Two recordings of one story: what must be equal to the byte, and the few fields that are a matter of time or process.

A record is found again by what it is about (a signal's id, a snapshot's key and offset), as repeats after a kill and
the order among independent writers are a matter of time. Within a recording the same must have the same bytes, too.
"""

import base64
import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.recorded.strategies import NEWS, PREFIX, SECTIONS
from tests.recorded.topics import Recording, Seen

MASKS = {
    "control, state: the record's timestamp": "the broker's or the client's clock",
    "control: `worker` of an answer": "host and process id",
    "control: how often a refusal is answered": "once by each worker that reads the wish at its start",
    "predictions: `with_signals` of a closing": "true where the owner had read all that a killed one wrote",
    "signals: the order of the times of one cross-section's strategy": "signals in one transaction with their closing"
    " may come before those of an earlier closing that a killed owner left, or that was written without signals",
    "predictions: later closings of a time": "the first one holds; a killed owner may leave one that holds no more",
    "state: markers and rosters between two checkpoints": "where a commit or a round of snapshots happens to fall",
    "state: `offset` of a snapshot at a checkpoint": "that of the last round after its symbol's last bar; its count of"
    " bars and its payload must be equal",
    "state: `offset`, `floor`, and those of `published`, on partitions of predictions": "they count the repeats and the"
    " transactions' own records on that topic",
    "state: in a marker, `published` of strategies of the other track": "as it was when this one's owner took over",
    "state: the order of names in `last` of a cross-section's state": "which partition of the bars was read first",
    "news.scores: the marks of a real scorer": "they hold its clock",
    "news.scores: how many bars one `unknown` covers": "compared is which bars are decided without news",
}
"""What is not compared, and why."""

ANY_VALUE = rb'(?:"(?:[^"\\]|\\.)*"|\{[^{}]*\}|[^,"{}\[\]]+)'
"""JSON: a text, an object of plain values, or another plain value."""


@dataclass
class Comparison:
    """Differences in words, and how much was found equal."""

    differences: list[str] = field(default_factory=list)
    equal: dict[str, int] = field(default_factory=dict)

    def of(self, what: str, before: dict[Any, Any], after: dict[Any, Any]) -> None:
        """All keys, and all values."""
        self.differences += [f"{what}: only before: {key}" for key in before if key not in after]
        self.differences += [f"{what}: only after: {key}" for key in after if key not in before]
        self.common(what, before, after)

    def common(self, what: str, before: dict[Any, Any], after: dict[Any, Any]) -> None:
        """The values of keys that both have."""
        keys = [key for key in before if key in after]
        found = [f"{what}: {key}: {told}" for key in keys if (told := first_difference(before[key], after[key]))]
        self.differences += found
        self.equal[what] = self.equal.get(what, 0) + len(keys) - len(found)


def compare(before: Recording, after: Recording) -> Comparison:
    """All topics."""
    found = Comparison()
    for view in VIEWS:
        found.of(view.what, _collected(view, before, found), _collected(view, after, found))
    for recording in (before, after):
        if recording.exactly_once:
            found.differences += _repeats(recording)
    for what, order in (("signals", _signal_order), ("predictions", _prediction_order), ("control", _control_order)):
        found.of(f"{what}, order", order(before), order(after))
    snapshots = [_snapshots(recording, found) for recording in (before, after)]
    found.common("state, snapshots of one key and offset", *snapshots)
    for name in before.checkpoints.keys() | after.checkpoints.keys():
        found.of(f"state at checkpoint {name}", _standing(before, name), _standing(after, name))
    found.of("news.scores, bars without news", _unknown(before), _unknown(after))
    return found


@dataclass(frozen=True)
class View:
    """Records of a topic by what they are about."""

    what: str
    topic: str
    key: Callable[[Seen, dict[str, Any]], Hashable]
    """None: it is not compared here."""
    masked: tuple[str, ...] = ()
    first: bool = False
    """Only the first one holds."""
    timestamps: bool = True


def _about_prediction(record: Seen, value: dict[str, Any]) -> Hashable:
    if value["kind"] == "closing":
        return None
    name = value["symbol"] if value["kind"] == "prediction" else tuple(value["symbols"])
    return value["kind"], value["strategy"], name, value["time"]


def _about_closing(record: Seen, value: dict[str, Any]) -> Hashable:
    return (value["strategy"], value["time"]) if value["kind"] == "closing" else None


def _about_letter(record: Seen, value: Any) -> Hashable:
    headers = dict(record.headers)
    return headers["topic"], headers["partition"], headers["offset"]


def _about_control(record: Seen, value: dict[str, Any]) -> Hashable:
    if value["kind"] == "applied":
        return record.partition, value["strategy"], value["offset"], value["config_hash"], value["paused"]
    return value["kind"], value.get("wish", value.get("id")), value.get("accepted")


def _about_score(record: Seen, value: dict[str, Any]) -> Hashable:
    return (value["article"], value["symbol"], value["news_offset"]) if value["kind"] == "score" else None


VIEWS = [
    View("signals", "signals", lambda _, value: value["content"]["id"]),
    View("predictions", "predictions", _about_prediction),
    View("predictions, closings", "predictions", _about_closing, ("with_signals",), first=True),
    View("predictions.shadow", "predictions.shadow", lambda _, v: (v["strategy"], v["symbol"], v["time"])),
    View("dead-letters", "dead-letters", _about_letter),
    View("control", "control", _about_control, ("worker",), timestamps=False),
    View("scores by the scorer", "scored.news.scores", _about_score),
    View("dead-letters of the scorer", "scored.dead-letters", _about_letter),
]


def _collected(view: View, recording: Recording, into: Comparison) -> dict[Hashable, Any]:
    """By what it is about; one that is there with two values is a difference already."""
    found: dict[Hashable, Any] = {}
    for record in recording.of(view.topic):
        value = {} if view.topic.endswith("dead-letters") else record.decoded()
        about = view.key(record, value)
        if about is None:
            continue
        shown = _shown(record, value, view)
        if told := None if view.first else first_difference(found.get(about, shown), shown):
            into.differences.append(f"{view.what}: {recording.name} has two of {about}: {told}")
        found.setdefault(about, shown)
    return found


def _shown(record: Seen, value: dict[str, Any], view: View) -> dict[str, Any]:
    """Bytes, and before them the fields, to name the one that differs."""
    whole = {"partition": record.partition, "key": record.key, "headers": record.headers}
    if view.timestamps:
        whole["timestamp"] = record.timestamp
    return whole | _masked(record.value, value, view.masked)


def _masked(data: bytes | None, fields: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The fields and the bytes without the values of these names."""
    for name in names:
        data = re.sub(b'"%s":%s' % (name.encode(), ANY_VALUE), b'"%s":' % name.encode(), data or b"")
    return {"fields": {name: None if name in names else value for name, value in fields.items()}, "bytes": data}


def _repeats(recording: Recording) -> Iterator[str]:
    """Signals that are there twice, though there are transactions."""
    seen: set[str] = set()
    for record in recording.of("signals"):
        identity = record.decoded()["content"]["id"]
        if identity in seen:
            yield f"signals: {recording.name} has {identity} twice"
        seen.add(identity)


def _in_order(pairs: Iterable[tuple[Hashable, Any]]) -> dict[Hashable, list[Any]]:
    """By group, what is in it, in the order in which it came first."""
    found: dict[Hashable, dict[Any, None]] = defaultdict(dict)
    for group, each in pairs:
        found[group].setdefault(each)
    return {group: list(each) for group, each in found.items()}


def _signal_order(recording: Recording) -> dict[Hashable, list[Any]]:
    contents = ((record.partition, record.decoded()["content"]) for record in recording.of("signals"))
    return _in_order(
        ((number, c["strategy"], c["time"] if c["strategy"] in SECTIONS else None), (c["symbol"], c["time"]))
        for number, c in contents
    )


def _prediction_order(recording: Recording) -> dict[Hashable, list[Any]]:
    """Of those that one partition of the bars gives; closings by themselves."""
    values = [record.decoded() for record in recording.of("predictions")]
    parts = [(v, v["provenance"]["partition"] if v["kind"] == "prediction" else v["kind"]) for v in values]
    return _in_order(((v["strategy"], part), (v.get("symbol"), v["time"])) for v, part in parts)


def _control_order(recording: Recording) -> dict[Hashable, list[Any]]:
    values = [(record.partition, record.decoded()) for record in recording.of("control")]
    applied = [(partition, value) for partition, value in values if value["kind"] == "applied"]
    return _in_order(
        ((number, v["strategy"]), (v["offset"], v["config_hash"], v["paused"], v["artifact"])) for number, v in applied
    )


def _snapshots(recording: Recording, into: Comparison) -> dict[Hashable, Any]:
    found: dict[Hashable, Any] = {}
    for record in recording.of("state"):
        value = record.decoded()
        if value["kind"] == "snapshot":
            about, shown = (record.partition, record.key, value["offset"]), _snapshot(record, value)
            if told := first_difference(found.setdefault(about, shown), shown):
                into.differences.append(f"state: {recording.name} has two snapshots of {about}: {told}")
    return found


def _snapshot(record: Seen, value: dict[str, Any]) -> dict[str, Any]:
    payload = base64.b64decode(value["payload"])
    return {"fields": value | {"payload": payload}, "headers": record.headers, "bytes": record.value}


def _standing(recording: Recording, checkpoint: str) -> dict[Hashable, Any]:
    """The latest of each key of `state` when all was at rest."""
    records = recording.records[: recording.checkpoints.get(checkpoint, 0)]
    latest = {(r.partition, r.key): r for r in records if r.topic == "state"}
    return {about: _rested(record) for about, record in latest.items()}


def _rested(record: Seen) -> dict[str, Any]:
    value = record.decoded()
    kind, masked = value["kind"], list[str]()
    more: dict[str, Any] = {"headers": record.headers}
    if kind == "snapshot":
        masked = ["offset"]
    elif kind == "marker" and value["topic"] == f"{PREFIX}bars":
        masked = ["published"]
        more["of this track"] = {n: at for n, at in value["published"].items() if (n in NEWS) == bool(value["track"])}
    elif kind == "marker":
        masked = ["offset", "published"]
        more["strategies"] = sorted(value["published"])
    elif kind == "gathered":
        masked = ["offset", "floor", "last"]
        more["known"] = dict(sorted(value["last"].items()))
    return more | _masked(record.value, value, masked)


def _unknown(recording: Recording) -> dict[Hashable, Any]:
    values = [r.decoded() for r in recording.of("news.scores") if r.key == b":unknown"]
    return {(v["partition"], at): list(v) for v in values for at in range(v["first"], v["until"])}


def first_difference(before: Any, after: Any, path: str = "") -> str | None:
    """The first field that differs, and both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            if name not in before or name not in after:
                return f"{path}.{name}: only {'after' if name in after else 'before'}"
            if told := first_difference(before[name], after[name], f"{path}.{name}"):
                return told
        return None if list(before) == list(after) else f"{path}: the order of the fields"
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return next((told for at, (a, b) in pairs if (told := first_difference(a, b, f"{path}[{at}]"))), None)
    if type(before) is type(after) and before == after:
        return None
    return f"{path}: {_brief(before)} before, {_brief(after)} after"


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 160 else f"{text[:160]}…"
