"""Control: what workers are asked for, what they answer, and what they put in force: the topic `control`."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from schemas.errors import BadRecord
from schemas.wire.decoding import decode
from schemas.wire.fields import Time
from schemas.wire.signals import Model, Origin

MAX_WISH_BYTES = 4 * 1024


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
    partitioner: Annotated[
        str | None, Meta(description="says which symbols belong on the partition; null: an earlier worker did not say")
    ] = None
    partitioner_from: Annotated[int, Meta(description="it says so of this record and later ones")] = 0
    group: Annotated[
        str | None, Meta(description="the owner's consumer group; null: an earlier worker did not say")
    ] = None
    exactly_once_from: Annotated[
        int | None,
        Meta(description="signals of this record and later ones are there once; null: they may be repeated"),
    ] = None
    left_out: Annotated[
        list[int], Meta(description="offsets of bars that are in no state from here on, as an operator asked for")
    ] = []
    source: Annotated[
        str | None,
        Meta(
            description="how records of the topic are read from `partitioner_from` on, as `sources` declares it, in"
            " JSON; null: they are alphawire's own"
        ),
    ] = None


class RefusedBars(Struct, tag="refused", tag_field="kind"):
    """Topic `control`, key topic/partition: bars that the owner of a partition refused by its clock, or whose schema no
    registry knew then. They are in no state, whoever reads them.
    """

    topic: str
    partition: int
    offsets: list[int]
    clocks: Annotated[list[int], Meta(description="what the clock said at each, in ms since the epoch, UTC")]


class LeaveOut(Struct, tag="leave_out", tag_field="kind", forbid_unknown_fields=True):
    """Topic `control`, key topic/partition: an operator asks that a bar be in no state any more, as if it had never
    come. The next owner of the partition puts it in force: its `applied` records say from which offset on.
    """

    topic: str
    partition: int
    offset: Annotated[int, Meta(description="of the bar", ge=0)]
    symbol: str
    interval: str
    close_time: Annotated[Time, Meta(description="no other bar of this time is taken: there may be a signal of it")]


class DeletedUnread(Struct, tag="deleted", tag_field="kind"):
    """Topic `control`, key topic/partition: records that were gone before an owner of the partition read them.
    Those of `news` lie on the partition of `control` with its number, modulo how many there are.
    """

    topic: Annotated[str, Meta(description="`bars`, `predictions`, `news.scores`, or `news`")]
    partition: int
    begin: Annotated[int, Meta(description="the first offset")]
    end: Annotated[int, Meta(description="the offset after the last one")]


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


class Placed(Struct, tag="placed", tag_field="kind"):
    """Topic `control`, partition 0, key the topic of the bars: symbols that have bars on `partition`, each said once.
    Written where the partitioner alone does not tell where a symbol is, before what these bars lead to.
    """

    topic: str
    partition: int
    symbols: list[str]


Wish = Use | Pause | Resume
ControlRecord = Applied | RefusedBars | LeaveOut | DeletedUnread | Placed | Use | Pause | Resume | Answer
_decoder: msgspec.json.Decoder[ControlRecord] = msgspec.json.Decoder(ControlRecord)


def decode_control(value: bytes | None) -> ControlRecord:
    """A valid record of `control`, or `BadRecord` that says why not."""
    record: ControlRecord = decode(_decoder, value)
    if isinstance(record, Wish | Answer) and len(value or b"") > MAX_WISH_BYTES:
        raise BadRecord("too_large", f"{len(value or b'')} bytes; a wish or an answer has at most {MAX_WISH_BYTES}")
    if isinstance(record, Use) and (record.artifact is None) != (record.sha256 is None):
        raise BadRecord("invalid", "`artifact` and `sha256` belong together")
    if isinstance(record, RefusedBars) and len(record.offsets) != len(record.clocks):
        raise BadRecord("invalid", "each of `offsets` has one of `clocks`")
    return record
