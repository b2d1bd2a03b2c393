"""The section of a strategy: its plugins, its universe, how its model is trained, and how it is executed."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from schemas.configuration.fields import BarInterval, Interval, Section
from schemas.configuration.news import NewsUse
from schemas.configuration.universe import UniverseSetting
from schemas.wire import bar_length, interval_ms, is_symbol, is_varying, not_a_symbol

COLUMN = r"^[A-Za-z][A-Za-z0-9_]{0,63}$"
"""What a user may call one."""
LOT = 1e-4
Size = Annotated[float, Field(gt=0)]


class PluginUse(Section):
    """One plugin with its parameters: ``technical.rsi: {period: 14, as: rsi_fast}``, or just its key."""

    key: str
    params: dict[str, Any] = {}
    alias: str | None = Field(None, pattern=COLUMN)

    @model_validator(mode="before")
    @classmethod
    def _unfold(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"key": value}
        if isinstance(value, dict) and len(value) == 1 and "key" not in value:
            ((key, params),) = value.items()
            if not isinstance(params or {}, dict):
                raise ValueError(f"the parameters of {key} are not a mapping")
            params = dict(params or {})
            return {"key": key, "alias": params.pop("as", None), "params": params}
        if isinstance(value, dict) and "params" not in value and "key" in value:
            value = dict(value)
            return {"key": value.pop("key"), "alias": value.pop("as", None), "params": value}
        return value


class ModelUse(Section):
    """A trained artifact; `trusted` allows a plugin to unpickle it; `columns` are those that the model sees."""

    key: str
    artifact: Path
    params: dict[str, Any] = {}
    trusted: bool = False
    columns: list[str] | None = Field(None, min_length=1, description="its inputs; by default all columns")


class Training(Section):
    """What a model learns, and how; see docs/training.md."""

    target: Literal["forward_return", "forward_direction", "triple_barrier"] = "forward_return"
    horizon_bars: int = Field(5, ge=1, le=10_000)
    profit_taking: float = Field(2.0, ge=0, description="upper barrier, in units of volatility; 0: there is none")
    stop_loss: float = Field(2.0, ge=0, description="lower barrier, in units of volatility; 0: there is none")
    volatility_bars: int = Field(20, ge=2, le=10_000, description="bars of the barriers' volatility")
    max_span_bars: int | None = Field(
        None,
        ge=1,
        description="bars of the market's time that a target may span, gaps included; by default twice those it counts",
    )
    per_symbol: bool = Field(False, description="one model for each symbol, instead of one for all")
    embargo_bars: int = Field(0, ge=0, description="bars left out beside test rows, besides those that reach into them")

    @model_serializer(mode="wrap")
    def _without_the_newer(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A configuration of before has the hash that it had."""
        values: dict[str, Any] = serialize(self)
        return {name: value for name, value in values.items() if name != "max_span_bars" or value is not None}

    @model_validator(mode="after")
    def _some_barrier(self) -> "Training":
        if self.target == "triple_barrier" and not self.profit_taking and not self.stop_loss:
            raise ValueError("triple_barrier with neither profit_taking nor stop_loss: every label is 0; give one")
        return self


def _check_lots(lots: dict[str, float]) -> dict[str, float]:
    if bad := [name for name in lots if not is_symbol(name)]:
        raise ValueError(not_a_symbol(bad[0]))
    return lots


Lots = Annotated[
    Annotated[Size, Tag("<size>")] | Annotated[dict[str, Size], AfterValidator(_check_lots), Tag("<by symbol>")],
    Discriminator(lambda value: "<by symbol>" if isinstance(value, dict) else "<size>"),
]
"""One size for all symbols, or sizes by symbol with a ``default``."""


class Execution(Section):
    """How a signal becomes a trade in a backtest; see the execution contract in the docs."""

    price: Literal["next_open", "next_close", "this_close"] = "next_open"
    commission: float = Field(0.0005, ge=0, lt=1, description="fraction of the notional")
    slippage: float = Field(0.0005, ge=0, lt=1, description="fraction of the price")
    capital: float = Field(100_000.0, gt=0)
    weight: float = Field(1.0, gt=0)
    lot: Lots = Field(
        LOT, description="orders are whole multiples of it; by symbol: {default: 1e-4, SHIB: 1000, BRK.A: 0.01}"
    )
    leverage: float = Field(1.0, gt=0)
    long_only: bool = False
    rebalance: Literal["on_change", "always"] = "on_change"
    calendar: str = Field(
        "auto",
        description="the market's, by which metrics are annualised and signals hold: 24/7, a name of exchange_calendars"
        " (XNYS), or auto:"
        " the data's own days",
    )
    i_know_this_looks_ahead: bool = False

    def lot_of(self, symbol: str) -> float:
        """Shares in a lot of `symbol`."""
        return self.lot.get(symbol, self.lot.get("default", LOT)) if isinstance(self.lot, dict) else self.lot

    @model_validator(mode="after")
    def _no_look_ahead(self) -> "Execution":
        if self.price == "this_close" and not self.i_know_this_looks_ahead:
            raise ValueError(
                "price this_close trades at a price that was not known yet;"
                " set i_know_this_looks_ahead: true to do it all the same"
            )
        return self


class CrossSection(Section):
    """How a strategy that decides about all symbols at once gathers them."""

    grace: float = Field(
        2.0, gt=0, le=3600, description="seconds after a time's first prediction, then its cross-section is closed"
    )


class Strategy(Section):
    """One pipeline: features, model, signal, universe."""

    interval: BarInterval = Field(description="of its bars: 1m, or the name of bars of no one length: 1M, volume:10000")
    universe: UniverseSetting = "*"
    features: list[PluginUse] = Field(min_length=1)
    expr: dict[Annotated[str, Field(pattern=COLUMN)], str] = Field({}, description="columns of columns, by expressions")
    model: ModelUse | None = None
    shadow: ModelUse | None = Field(None, description="a second model that predicts beside, and decides nothing")
    prediction: str | None = Field(None, description="use this feature column as the prediction")
    training: Training = Training()
    signal: PluginUse
    cross_section: CrossSection = CrossSection()
    execution: Execution = Execution()
    valid_for: Interval | None = Field(
        None,
        description="how long a signal may be traded after its bar's close, such as 3d; by default until the end of the"
        " market's next bar, by execution.calendar",
    )
    publish: Literal["all", "changes"] = Field(
        "all", description="a signal for each bar, or when decision or weight change, and at every heartbeat"
    )
    heartbeat: Interval | None = Field(
        None, description="of publish: changes: the longest silence while bars come; by default ten intervals"
    )
    news: NewsUse | None = Field(None, description="by default what the section `news` says")
    origin: Literal["earliest", "now"] = Field(
        "earliest", description="how far back the state of a new strategy begins"
    )
    start: Literal["now", "earliest"] | int = Field(
        "now", description="from where a new strategy publishes; a time in ms"
    )

    @model_validator(mode="after")
    def _one_prediction(self) -> "Strategy":
        if (self.model is None) == (self.prediction is None):
            raise ValueError("give either `model` or `prediction: COLUMN`")
        if self.shadow is not None and self.model is None:
            raise ValueError("a `shadow` stands beside a `model`; give both, or leave out `shadow`")
        return self

    @model_validator(mode="after")
    def _heartbeat_of_changes(self) -> "Strategy":
        if self.heartbeat is None:
            return self
        if self.publish == "all":
            raise ValueError("heartbeat goes with `publish: changes`; give both, or leave out `heartbeat`")
        if interval_ms(self.heartbeat) < bar_length(self.interval):
            raise ValueError(f"a heartbeat of {self.heartbeat} is shorter than the interval of {self.interval}")
        return self

    @model_validator(mode="after")
    def _times_that_bars_do_not_say(self) -> "Strategy":
        if not is_varying(self.interval):
            return self
        if self.valid_for is None:
            raise ValueError(
                f"bars of {self.interval} have no one length: say how long a signal holds, as in valid_for: 10m"
            )
        if self.publish == "changes" and self.heartbeat is None:
            raise ValueError(
                f"bars of {self.interval} have no one length: say the longest silence, as in heartbeat: 1h"
            )
        return self
