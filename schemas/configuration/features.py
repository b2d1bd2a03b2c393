"""What a strategy may say of any feature, beside the parameters of its plugin."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from schemas.configuration.fields import Interval, Section
from schemas.wire import canonical_interval, is_symbol, not_a_symbol

MOST_BARS = 10_000


def _once(bars: tuple[int, ...]) -> tuple[int, ...]:
    if twice := [number for number in bars if bars.count(number) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return bars


Bars = Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_BARS, strict=True)], ...], AfterValidator(_once)]


def _reference(value: Any) -> Any:
    """A symbol, symbols by symbol, or the file that names them."""
    if isinstance(value, dict) and set(value) == {"file"} and isinstance(value["file"], str):
        return Path(value["file"])
    named = [*value, *value.values()] if isinstance(value, dict) else [value]
    if not named or not all(isinstance(symbol, str) for symbol in named):
        raise ValueError("write a symbol, {file: PATH} (CSV of symbol,reference), or {SYMBOL: REFERENCE, …}")
    if bad := [symbol for symbol in named if not is_symbol(symbol)]:
        raise ValueError(not_a_symbol(bad[0]))
    return value


Beside = Annotated[str | dict[str, str] | Path, BeforeValidator(_reference)]


class FeatureSettings(Section):
    """``technical.rsi: {period: 14, interval: 1h, lags: [1, 2]}``: of which bars, and what is made of the columns."""

    beside: Beside | None = Field(
        None, alias="with", description="whose bars stand beside its own: a symbol, {file: PATH}, {SYMBOL: REFERENCE}"
    )
    stale: Literal["unknown", "last"] = Field(
        "unknown", description="where the reference has no bar of that time: no value, or by its last one before"
    )

    interval: Interval | None = Field(None, description="of bars of this interval, a multiple of the strategy's")
    session: str | None = Field(None, description="of interval 1d: a market's sessions (XNYS) instead of days by UTC")
    partial: bool = Field(False, description="a further column: 1 where the longer bar lacked its last part")
    lags: Bars = Field((), description="further columns: the values so many bars ago")
    diff: Bars = Field((), description="further columns: the change since so many bars ago")

    @model_validator(mode="after")
    def _of_longer_bars(self) -> "FeatureSettings":
        if self.interval is None and (self.session is not None or self.partial):
            raise ValueError("session and partial are of longer bars; give their `interval`, or leave them out")
        return self

    @model_validator(mode="after")
    def _of_a_reference(self) -> "FeatureSettings":
        if self.beside is None and self.stale != "unknown":
            raise ValueError("stale is of a reference; say whose bars by `with`, or leave it out")
        if self.beside is not None and self.interval is not None:
            raise ValueError("with and interval do not go together: a reference stands beside the strategy's own bars")
        return self

    @property
    def given(self) -> dict[str, Any]:
        """What is not as it is by default, as JSON has it, the interval by its shortest name."""
        plain = self.model_dump(mode="json", exclude_defaults=True, by_alias=True)
        return plain | ({"interval": canonical_interval(self.interval)} if self.interval else {})
