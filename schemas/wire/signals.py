"""Signals: what is on the topics `signals` and `predictions.shadow`."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from schemas.wire.fields import BarTime, Time


class Model(Struct, gc=False):
    """The model behind a prediction."""

    key: str
    sha256: str


class Origin(Struct, gc=False):
    """Where the fold of a state began: the first record that it includes."""

    partition: int
    offset: int
    time: int | None = None


class SignalContent(Struct, gc=False, omit_defaults=True):
    """What the signal says. Equal input gives equal content, to the byte: live, replayed, from a file."""

    id: Annotated[str, Meta(description="hash of strategy, symbol and bar time")]
    strategy: str
    symbol: str
    time: BarTime
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
    silent_until: Annotated[
        int | None,
        Meta(
            description="of a strategy that publishes changes only (else left out): the decision stands without another"
            " record until then; the first bar that closes at this time or later has one, whatever it says"
        ),
    ] = None


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
