"""The section of trades: which bars are made of them, and when those close."""

from pydantic import Field, model_validator

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
    grace: float = Field(
        2.0, gt=0, le=86_400, description="seconds, by the clock, after which a time bar of a silent symbol is closed"
    )
    http_port: int = Field(6068, ge=0, le=65535, description="of the builder's pages; 0 takes a free one")

    @model_validator(mode="after")
    def _grace_is_longer(self) -> "Trades":
        if self.grace < self.lateness:
            raise ValueError(
                f"grace of {self.grace:g} s is below lateness of {self.lateness:g} s: the clock would close a bar that"
                " still waits for trades"
            )
        return self
