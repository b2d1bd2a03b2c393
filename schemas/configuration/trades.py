"""The section of trades: which bars are made of them, and when those close."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from schemas.configuration.fields import Section


class Trades(Section):
    """How ``alphawire bars`` makes bars out of trades; see docs/trades.md."""

    bars: tuple[str, ...] = Field(
        ("1m",),
        min_length=1,
        max_length=20,
        description="their kinds: 1m, tick:500, volume:1e4, dollar:1e6, imbalance:500",
    )
    lateness: float = Field(
        0.0,
        ge=0,
        le=86_400,
        description="seconds, by the times of trades, that a time bar waits for late ones",
    )
    grace: float | None = Field(
        2.0,
        gt=0,
        le=86_400,
        description="seconds, by the clock, after which a silent symbol's time bar closes; null: its next trade does",
    )
    session: str | None = Field(
        None, min_length=1, description="of time bars: a market's sessions, such as XNYS, instead of the clock (UTC)"
    )
    flat: int = Field(0, ge=0, le=100_000, description="so many time bars in a row may be without trades; they say so")
    http_port: int = Field(6068, ge=0, le=65535, description="of the builder's pages; 0 takes a free one")

    @field_validator("flat", mode="before")
    @classmethod
    def _is_a_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("say how many bars in a row may be without trades, such as 390; 0: none")
        return value

    @model_validator(mode="after")
    def _grace_is_longer(self) -> "Trades":
        if self.grace is not None and self.grace < self.lateness:
            raise ValueError(
                f"grace of {self.grace:g} s is below lateness of {self.lateness:g} s: the clock would close a bar that"
                " still waits for trades"
            )
        return self
