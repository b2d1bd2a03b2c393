"""What a strategy may say of any feature, beside the parameters of its plugin."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from schemas.configuration.fields import Interval, Section
from schemas.wire import canonical_interval

MOST_BARS = 10_000


def _once(bars: tuple[int, ...]) -> tuple[int, ...]:
    if twice := [number for number in bars if bars.count(number) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return bars


Bars = Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_BARS, strict=True)], ...], AfterValidator(_once)]


class FeatureSettings(Section):
    """``technical.rsi: {period: 14, interval: 1h, lags: [1, 2]}``: of which bars, and what is made of the columns."""

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

    @property
    def given(self) -> dict[str, Any]:
        """What is not as it is by default, as JSON has it, the interval by its shortest name."""
        plain = self.model_dump(mode="json", exclude_defaults=True)
        return plain | ({"interval": canonical_interval(self.interval)} if self.interval else {})
