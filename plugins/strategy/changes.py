"""What a strategy publishes: all its signals, or what changes."""

from plugins.base import BaseSignalGenerator, name_of
from plugins.fold.changes import Changes
from schemas.configuration import Strategy
from schemas.errors import ConfigurationError
from schemas.wire import canonical_interval, interval_ms, name_of_length

HEARTBEAT_INTERVALS = 10
"""The longest silence, where the configuration does not say."""


def changes_of(place: str, strategy: Strategy, generator: BaseSignalGenerator) -> Changes | None:
    """What decides whether a signal is published; None: each is. `ConfigurationError` for a cross-section."""
    if strategy.publish == "all":
        return None
    if generator.cross_section:
        raise ConfigurationError(
            f"{place}: {name_of(generator)} decides about all symbols at once, and each of its cross-sections is whole;"
            " set `publish: all`"
        )
    return Changes(interval_ms(heartbeat_of(strategy)))


def heartbeat_of(strategy: Strategy) -> str:
    """The longest silence of a strategy that publishes changes, while bars come, by its shortest name.

    >>> features = {"features": ["technical.rsi"], "prediction": "rsi", "signal": "signal.threshold"}
    >>> heartbeat_of(Strategy(interval="15m", publish="changes", **features))
    '150m'
    """
    if strategy.heartbeat is not None:
        return canonical_interval(strategy.heartbeat)
    return name_of_length(HEARTBEAT_INTERVALS * interval_ms(strategy.interval))
