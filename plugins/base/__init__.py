"""The contract: what a plugin's author may rely on for ever, and what every other room stands on."""

from plugins.base.engine import BaseBacktestEngine
from plugins.base.feature import BaseFeature
from plugins.base.model import BaseModel
from plugins.base.plugin import FloatArray, Params, Plugin, name_of
from plugins.base.signal import SIGNALS, BaseSignalGenerator, Decisions, usable_decision

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
