"""States: what is on the topic `state`."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.wire.decoding import decode

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
    left_out: Annotated[list[int], Meta(description="offsets of bars that are in none of its states")] = []


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
_decoder: msgspec.json.Decoder[StateRecord] = msgspec.json.Decoder(StateRecord)


def decode_state(value: bytes | None) -> StateRecord:
    """A valid record of `state`, or `BadRecord` that says why not."""
    return decode(_decoder, value)
