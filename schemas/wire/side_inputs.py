"""Side inputs on the wire: what the bars of a partition are joined with, in the order in which it counts.

Times are integers: milliseconds since the epoch, UTC.
"""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from schemas.errors import BadRecord
from schemas.wire.decoding import decode
from schemas.wire.fields import Interval, Symbol, Time

Count = Annotated[int, Meta(ge=0)]


class ReferenceBar(Struct, tag="bar", tag_field="kind", gc=False):
    """Topic `side.inputs`, key the reference's symbol: a copy of the bar at `offset` of partition `partition` of
    `bars`, on the partition of the bars that it stands beside. A copy that is not newer than the last one of its
    symbol and interval is nothing.
    """

    reference: Symbol
    interval: Interval
    close_time: Time
    open: float
    high: float
    low: float
    close: float
    volume: float
    partition: Count
    offset: Count


class Absent(Struct, tag="absent", tag_field="kind", gc=False):
    """Topic `side.inputs`, key ``:absent``: the bars of its partition with offsets in [first, until), if they were not
    decided before, were decided with what was known of the reference here.
    """

    reference: Symbol
    interval: Interval
    partition: Count
    first: Count
    until: Count


SideInput = ReferenceBar | Absent
_decoder: msgspec.json.Decoder[SideInput] = msgspec.json.Decoder(SideInput)


def decode_side_input(value: bytes | None) -> SideInput:
    """A valid record of `side.inputs`, or `BadRecord` that says why not."""
    record: SideInput = decode(_decoder, value)
    if isinstance(record, Absent) and record.first >= record.until:
        raise BadRecord("invalid", f"no bar lies in [{record.first}, {record.until})")
    return record
