"""What a strategy may say of any feature, beside the parameters of its plugin."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from schemas.configuration.fields import Section

MOST_BARS = 10_000


def _once(bars: tuple[int, ...]) -> tuple[int, ...]:
    if twice := [number for number in bars if bars.count(number) > 1]:
        raise ValueError(f"{twice[0]} is there twice")
    return bars


Bars = Annotated[tuple[Annotated[int, Field(ge=1, le=MOST_BARS, strict=True)], ...], AfterValidator(_once)]


class FeatureSettings(Section):
    """``technical.rsi: {period: 14, lags: [1, 2], diff: [1]}``: what is made of the plugin's columns."""

    lags: Bars = Field((), description="further columns: the values so many bars ago")
    diff: Bars = Field((), description="further columns: the change since so many bars ago")

    @property
    def given(self) -> dict[str, Any]:
        """What is not as it is by default, as JSON has it."""
        return self.model_dump(mode="json", exclude_defaults=True)
