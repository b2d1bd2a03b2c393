"""The messages on the wire, one struct each. Times are integers: milliseconds since the epoch, UTC.

Not yet known or undefined is ``None``, never zero.
"""

import math
import re
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from schemas.errors import BadRecord

INTERVAL_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
MAX_BAR_BYTES = 64 * 1024
MAX_REQUEST_BYTES = 4 * 1024
MAX_WISH_BYTES = 4 * 1024
# white space, control, and what cannot be seen: soft hyphen, zero width, directions of text, tags
_SYMBOL_PATTERN = (
    r"[^\s\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
_SYMBOL = re.compile(_SYMBOL_PATTERN + "{1,64}")
_INTERVAL = re.compile(r"([1-9][0-9]{0,4})([smhd])")


def interval_ms(interval: str) -> int:
    """Length of an interval such as ``1m``, ``4h`` or ``1d`` in milliseconds; `ValueError` for anything else."""
    match = _INTERVAL.fullmatch(interval)
    if match is None:
        raise ValueError(f"{interval!r} is not an interval; write a number and s, m, h or d, such as 1m, 1h or 1d")
    return int(match[1]) * INTERVAL_UNITS[match[2]]


Time = Annotated[int, Meta(ge=0, le=253_402_300_799_999, description="milliseconds since the epoch, UTC")]
T = TypeVar("T")
_SYMBOL_SCHEMA = f"^{_SYMBOL_PATTERN}+$"
# msgspec would run a pattern on each record, which costs more than the rest of the decoding: `check_bar` looks at a new
# symbol or interval once
Symbol = Annotated[str, Meta(extra_json_schema={"minLength": 1, "maxLength": 64, "pattern": _SYMBOL_SCHEMA})]
Interval = Annotated[
    str, Meta(extra_json_schema={"pattern": "^[1-9][0-9]{0,4}[smhd]$"}, description="such as 1m, 1h or 1d")
]
Price = Annotated[float, Meta(gt=0)]


class Bar(Struct, forbid_unknown_fields=True, gc=False):
    """One OHLCV bar of one symbol: topic `bars`, key symbol. ``close_time = open_time + interval``.

    `closed: false` marks a bar that is still forming; such a bar is counted and ignored.
    """

    symbol: Symbol
    interval: Interval
    open_time: Time
    close_time: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Annotated[float, Meta(ge=0)]
    closed: bool = True


class Model(Struct, gc=False):
    """The model behind a prediction."""

    key: str
    sha256: str


class Origin(Struct, gc=False):
    """Where the fold of a state began: the first record that it includes."""

    partition: int
    offset: int
    time: int | None = None


class SignalContent(Struct, gc=False):
    """What the signal says. Equal input gives equal content, to the byte: live, replayed, from a file."""

    id: Annotated[str, Meta(description="hash of strategy, symbol and bar time")]
    strategy: str
    symbol: str
    time: Time
    signal: Annotated[
        Literal["BUY", "SELL", "HOLD", "FLAT"] | float, Meta(description="BUY, SELL, HOLD, FLAT or a number")
    ]
    weight: Annotated[float | None, Meta(description="target weight of equity; null: keep what you have")]
    reason: str
    prediction: float | None
    model: Model | None
    config_hash: str
    gap: Annotated[int | None, Meta(description="intervals missing before this bar; null for a symbol's first bar")]
    valid_until: Annotated[int, Meta(description="a consumer that reads the signal later must not trade on it")]


class Provenance(Struct, gc=False, omit_defaults=True):
    """Where the signal came from."""

    topic: str
    partition: int
    offset: int
    news_offset: Annotated[
        int | None, Meta(description="the last score counted, on `news.scores`, same partition; null: none")
    ]
    origin: Origin
    worker: Annotated[str, Meta(description="version of the worker that published it")]
    historical: Annotated[
        bool,
        Meta(description="true (else left out): a score counted was made later, for publication plus a declared delay"),
    ] = False


class Signal(Struct, gc=False):
    """One decision for one bar: topic `signals`, key symbol, the partition of the symbol's bars."""

    content: SignalContent
    provenance: Provenance


class ShadowPrediction(Struct, gc=False):
    """Topic `predictions.shadow`, key strategy, the partition of the symbol's bars: what a strategy's model and its
    shadow say of one bar for which there is a signal. It decides nothing.
    """

    strategy: str
    symbol: str
    time: Annotated[Time, Meta(description="close of the bar")]
    prediction: Annotated[float | None, Meta(description="what the signal's decision was taken on")]
    shadow: Annotated[float | None, Meta(description="what the shadow predicts; null: warming up, or it failed")]
    model: Model | None
    shadow_model: Model
    offset: Annotated[int, Meta(description="of the bar's record")]
    fault: Annotated[str | None, Meta(description="the error's class, where the shadow failed")] = None


Track = Annotated[
    str,
    Meta(description="empty: strategies that wait for nothing; news: those that wait for their bars' news"),
]


class Marker(Struct, tag="marker", tag_field="kind"):
    """Topic `state`, key ``bars/PARTITION`` (and ``/TRACK``): everything before `offset` is published, for each
    strategy in `published` before its own offset.

    `floor` is the offset of the last complete round of snapshots (null: none yet), `roster` the SHA-256 of its roster
    record's bytes.
    """

    topic: str
    partition: int
    offset: int
    published: dict[str, int]
    floor: int | None = None
    roster: str | None = None
    track: Track = ""


class Roster(Struct, tag="roster", tag_field="kind"):
    """Topic `state`, key ``bars/PARTITION/roster`` (with a track ``bars/PARTITION/TRACK/roster``): which snapshots a
    complete round consists of, each with its symbol's count of bars, and the strategies whose states it holds (some may
    have seen no symbol yet).
    """

    topic: str
    partition: int
    floor: int
    counts: dict[str, int]
    strategies: list[str] = []
    track: Track = ""


class BesideState(Struct):
    """One symbol's state of a strategy's shadow. One of another layout, or a damaged one, begins anew."""

    layout: str
    sha256: Annotated[str, Meta(description="of the payload")]
    payload: bytes


class Snapshot(Struct, tag="snapshot", tag_field="kind", omit_defaults=True):
    """Topic `state`, key ``strategy/symbol`` (``:interval/symbol`` for the memory of repeats): state that includes
    every record before `offset`.
    """

    owner: Annotated[str, Meta(description="the strategy, or :interval")]
    symbol: str
    partition: int
    offset: int
    count: Annotated[int, Meta(description="bars of this symbol in the state")]
    layout: Annotated[
        str, Meta(description="hash of plugin versions, parameters and state layout; another layout is not loaded")
    ]
    sha256: Annotated[str, Meta(description="of the payload")]
    payload: bytes
    shadow: Annotated[BesideState | None, Meta(description="of the strategy's shadow, where that looks back")] = None


class Gathered(Struct, tag="gathered", tag_field="kind"):
    """Topic `state`, key ``predictions/PARTITION/strategy``: what the owner of a partition of `predictions` knows of
    one strategy after every record before `offset`. The records from `floor` on hold what is not closed yet.
    """

    strategy: str
    topic: str
    partition: int
    offset: int
    floor: int
    closed: Annotated[int, Meta(description="the last closed time, ms; -1: none yet")]
    last: Annotated[dict[str, int], Meta(description="by symbol, the time of its newest prediction, ms")]
    times: Annotated[list[int], Meta(description="the last closed times, ms, oldest first")]


StateRecord = Marker | Roster | Snapshot | Gathered


class Applied(Struct, tag="applied", tag_field="kind"):
    """Topic `control`, key strategy: what the owner of a partition put in force there, from which offset on."""

    strategy: str
    topic: str
    partition: int
    offset: Annotated[int, Meta(description="in force from this record on")]
    origin: Origin
    publish_from: Annotated[int, Meta(description="signals of earlier records are folded silently")]
    config_hash: str
    config: dict[str, Any]
    model: Model | None = None
    layout: Annotated[str, Meta(description="hash of plugin versions, parameters and state layout")] = ""
    artifact: Annotated[
        str | None, Meta(description="the model's folder, as a wish named it; null: the configured one, or no model")
    ] = None
    paused: Annotated[bool, Meta(description="folded silently: nothing is published")] = False


WishId = Annotated[str, Meta(pattern="^[A-Za-z0-9-]{1,64}$")]
StrategyName = Annotated[str, Meta(pattern="^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
ArtifactName = Annotated[
    str,
    Meta(
        pattern="^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$",
        description="a folder beside the configured artifact: a plain name, no path",
    ),
]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
FromTime = Annotated[
    Time | None,
    Meta(description="from the first bar on that closes at this time or later; null: at once"),
]


class Use(Struct, tag="use", tag_field="kind", forbid_unknown_fields=True):
    """Topic `control`, partition 0, key strategy: a wish for another model. `artifact` null: back to the configured
    one.
    """

    id: WishId
    strategy: StrategyName
    artifact: ArtifactName | None
    sha256: Annotated[Sha256 | None, Meta(description="of the artifact's manifest; null only with `artifact` null")]
    from_time: FromTime = None


class Pause(Struct, tag="pause", tag_field="kind", forbid_unknown_fields=True):
    """Topic `control`, partition 0, key strategy: a wish that nothing be published, while its state goes on."""

    id: WishId
    strategy: StrategyName
    from_time: FromTime = None


class Resume(Struct, tag="resume", tag_field="kind", forbid_unknown_fields=True):
    """Topic `control`, partition 0, key strategy: a wish that signals be published again."""

    id: WishId
    strategy: StrategyName
    from_time: FromTime = None


class Answer(Struct, tag="answer", tag_field="kind"):
    """Topic `control`, partition 0, key strategy: what one worker says to a wish."""

    wish: Annotated[str, Meta(description="the wish's id")]
    strategy: str
    worker: Annotated[str, Meta(description="host and process id")]
    accepted: bool
    reason: Annotated[str | None, Meta(description="why it is refused")] = None


Wish = Use | Pause | Resume
ControlRecord = Applied | Use | Pause | Resume | Answer


class PluginEntry(Struct):
    """Topic `plugins`, key ``category/key``: one registered plugin."""

    category: str
    key: str
    version: str
    distribution: str
    distribution_version: str
    module: str
    summary: str
    available: bool
    install: Annotated[str | None, Meta(description="the command that makes it available, when it is not")] = None
    outputs: list[str] | None = None
    requires: Annotated[list[str] | None, Meta(description="columns of other features that it reads")] = None
    labels: Annotated[dict[str, dict[str, str]] | None, Meta(description="by column: what its numbers stand for")] = (
        None
    )
    parameters: dict[str, Any] | None = None
    cost: str | None = None


class PluginRequest(Struct):
    """Topic `plugins.requests`: ask for the listing; `category` and `key` narrow it."""

    id: Annotated[str, Meta(min_length=1, max_length=200)]
    category: str | None = None
    key: str | None = None


class PluginReply(Struct):
    """Topic `plugins.replies`, key the request's id."""

    id: str
    plugins: list[PluginEntry]
    error: str | None = None


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are not what they should be: text that is no UTF-8 and deep nesting, too."""
_bar_decoder = msgspec.json.Decoder(Bar)
_request_decoder = msgspec.json.Decoder(PluginRequest)
_control_decoder: msgspec.json.Decoder[ControlRecord] = msgspec.json.Decoder(ControlRecord)
encode = msgspec.json.Encoder(order=None).encode


def decode(decoder: "msgspec.json.Decoder[T]", value: bytes | None) -> T:
    """What `decoder` makes of the value, or `BadRecord` that says why not; no value is an empty one."""
    try:
        return decoder.decode(value or b"")
    except UNREADABLE as error:
        raise unreadable(error) from None


def unreadable(error: Exception) -> BadRecord:
    """The class of the error that a decoder raised, and its text."""
    return BadRecord("invalid" if isinstance(error, msgspec.ValidationError) else "undecodable", str(error))


def decode_bar(value: bytes | None) -> Bar:
    """A valid bar, or `BadRecord` that says why not."""
    if value is None:
        raise BadRecord("tombstone", "a bar cannot be deleted: the record has no value")
    if len(value) > MAX_BAR_BYTES:
        raise BadRecord("too_large", f"{len(value)} bytes; a bar has at most {MAX_BAR_BYTES}")
    try:
        bar = _bar_decoder.decode(value)
    except UNREADABLE as error:
        raise unreadable(error) from None
    check_bar(bar)
    return bar


def decode_request(value: bytes | None) -> PluginRequest:
    """A valid request, or `BadRecord` that says why not."""
    if value is not None and len(value) > MAX_REQUEST_BYTES:
        raise BadRecord("too_large", f"{len(value)} bytes; a request has at most {MAX_REQUEST_BYTES}")
    return decode(_request_decoder, value)


def decode_control(value: bytes | None) -> ControlRecord:
    """A valid record of `control`, or `BadRecord` that says why not."""
    record: ControlRecord = decode(_control_decoder, value)
    if not isinstance(record, Applied) and len(value or b"") > MAX_WISH_BYTES:
        raise BadRecord("too_large", f"{len(value or b'')} bytes; a wish or an answer has at most {MAX_WISH_BYTES}")
    if isinstance(record, Use) and (record.artifact is None) != (record.sha256 is None):
        raise BadRecord("invalid", "`artifact` and `sha256` belong together")
    return record


@lru_cache(maxsize=1024)
def _known_interval(interval: str) -> int | None:
    return interval_ms(interval) if _INTERVAL.fullmatch(interval) else None


@lru_cache(maxsize=65_536)
def is_symbol(symbol: str) -> bool:
    """1 to 64 characters, none of them white space, control or invisible (zero width, turning the direction of text).

    Two symbols are the same when their bytes are; nothing is normalised.
    """
    return len(symbol) <= 64 and _SYMBOL.fullmatch(symbol) is not None


def check_bar(bar: Bar) -> None:
    """What types alone do not say: names, the order of prices, times."""
    length = _known_interval(bar.interval)
    if length is None:
        raise BadRecord("invalid", f"{bar.interval[:80]!r} is not an interval such as 1m, 1h or 1d")
    if not is_symbol(bar.symbol):
        raise BadRecord(
            "invalid",
            f"{bar.symbol[:80]!r} is not a symbol: 1 to 64 characters, none of them white space or invisible",
        )
    low, high = bar.low, bar.high
    if not low <= bar.open <= high or not low <= bar.close <= high:
        raise BadRecord("invalid", _price_fault(bar))
    if bar.close_time != bar.open_time + length:
        raise BadRecord("invalid", f"close_time {bar.close_time} is not open_time {bar.open_time} + {bar.interval}")
    if math.isinf(high) or math.isinf(bar.volume):
        raise BadRecord("invalid", "a price or the volume is infinite")


def _price_fault(bar: Bar) -> str:
    if bar.high < bar.low:
        return f"high {bar.high} is below low {bar.low}"
    name = "open" if not bar.low <= bar.open <= bar.high else "close"
    return f"{name} {getattr(bar, name)} is outside [low {bar.low}, high {bar.high}]"
