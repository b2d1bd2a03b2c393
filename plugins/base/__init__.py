"""The contract: what a plugin's author may rely on for ever, and what every other room stands on."""

from plugins.base.contract import (
    SIGNALS,
    BaseBacktestEngine,
    BaseFeature,
    BaseModel,
    BaseSignalGenerator,
    Decisions,
    FloatArray,
    Params,
    Plugin,
    name_of,
    usable_decision,
)

__all__ = [
    "SIGNALS",
    "BaseBacktestEngine",
    "BaseFeature",
    "BaseModel",
    "BaseSignalGenerator",
    "Decisions",
    "FloatArray",
    "Params",
    "Plugin",
    "name_of",
    "usable_decision",
]
