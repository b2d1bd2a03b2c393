"""A strategy that stopped: at which record, and why."""

from dataclasses import dataclass

from schemas.errors import AlphawireError, PluginError


@dataclass(frozen=True)
class Failure:
    """Why a strategy stopped: it failed at the record of this `offset`; all before that is dealt with."""

    strategy: str
    offset: int
    what: str
    error: Exception

    @property
    def reason(self) -> str:
        """One line."""
        text = " ".join(str(self.error).split())
        known = isinstance(self.error, AlphawireError)
        return f"{self.what}: {text if known else f'{type(self.error).__name__}: {text}'}"


def stopped(failure: Failure) -> PluginError:
    """For those who cannot go on without that strategy: one line that names it, the bar, and what went wrong."""
    error = PluginError(f"strategy {failure.strategy} fails at {failure.reason}")
    error.__cause__ = failure.error
    return error
