"""The signals: importing this package fills `signal_registry` with every module in this folder."""

from plugins.base import BaseSignalGenerator
from plugins.base.loading.discovery import import_folder
from plugins.base.loading.registry import PluginRegistry

__all__ = ["BaseSignalGenerator", "signal_registry"]

signal_registry: PluginRegistry[BaseSignalGenerator] = PluginRegistry("signals", BaseSignalGenerator)
import_folder(__name__, signal_registry)
