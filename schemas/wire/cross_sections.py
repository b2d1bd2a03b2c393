"""What is on the topic `predictions`: how the signals of strategies that look at all symbols at once come about.

Key strategy; all records of a strategy lie on one partition, whose owner gathers them. Of each strategy's bar times the
first `Closing` in the order of the log says which predictions are decided about together.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas.wire.decoding import decode
from schemas.wire.fields import Time
from schemas.wire.signals import Model, Provenance


class Prediction(Struct, tag="prediction", tag_field="kind", gc=False):
    """What a strategy makes of one bar of one symbol, before it is seen beside those of the other symbols."""

    strategy: str
    symbol: str
    time: Time
    prediction: float | None
    reason: Annotated[str | None, Meta(description="why there is no prediction, where that is known")]
    model: Model | None
    config_hash: str
    gap: Annotated[int | None, Meta(description="intervals missing before this bar; null for a symbol's first bar")]
    valid_until: int
    provenance: Provenance
    columns: Annotated[
        dict[str, float | None] | UnsetType,
        Meta(
            description="where features of the cross-section are made of them: the symbol's own columns, null where one"
            " is unknown; its prediction then comes with the closing"
        ),
    ] = UNSET


class Generator(Struct):
    """The signal plugin that decides about a cross-section."""

    key: str
    version: str
    params: dict[str, Any]


class Weighing(Struct):
    """What the configuration's `execution` adds to a decision."""

    weight: float
    long_only: bool


class Closing(Struct, tag="closing", tag_field="kind"):
    """A cross-section is complete, or no longer waited for: how it is decided, and about whom. The first one of a
    strategy and time holds, and none of a time that is not after the last one's.
    """

    strategy: str
    time: Time
    members: Annotated[list[str], Meta(description="the symbols, sorted, whose predictions are decided about")]
    missing: Annotated[list[str], Meta(description="symbols that were expected and had not come")]
    expected: Annotated[int, Meta(description="how many symbols were expected")]
    left: Annotated[list[str], Meta(description="symbols with a bar that belong to the universe no longer: flat")]
    signal: Generator
    execution: Weighing
    config_hash: Annotated[str, Meta(description="of the configuration that decides")]
    with_signals: Annotated[
        bool, Meta(description="its signals were written in the same transaction; false: they come after it")
    ] = False
    predicts: Annotated[
        bool | UnsetType,
        Meta(
            description="true: the members' predictions are made here, of the columns of those that have the closing's"
            " configuration"
        ),
    ] = UNSET


class Late(Struct, tag="late", tag_field="kind"):
    """For the record: predictions that came after the closing of their time, whose signals change nothing."""

    strategy: str
    time: Time
    symbols: list[str]


PredictionRecord = Prediction | Closing | Late
_decoder: msgspec.json.Decoder[PredictionRecord] = msgspec.json.Decoder(PredictionRecord)


def decode_prediction_record(value: bytes | None) -> PredictionRecord:
    """A valid record of `predictions`, or `BadRecord` that says why not."""
    return decode(_decoder, value)
