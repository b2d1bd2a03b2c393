"""What the engines of the package take: a strategy's `execution` section, and what the metrics need to know."""

from pydantic import Field

from schemas.configuration import BarInterval, Execution


class EngineParams(Execution):
    """How signals become trades, and what the metrics need to know."""

    interval: BarInterval | None = Field(
        None, description="length of a bar; None: taken from the times, and fills carry their bar's time"
    )
    risk_free: float = Field(0.0, gt=-1, description="yearly rate for Sharpe and Sortino")

    def execution(self) -> Execution:
        return Execution(**{name: getattr(self, name) for name in Execution.model_fields})
