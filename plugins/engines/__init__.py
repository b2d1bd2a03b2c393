"""The engines: importing this package fills `engine_registry` with every module in this folder."""

from plugins.base import BaseBacktestEngine
from plugins.base.loading.discovery import import_folder
from plugins.base.loading.registry import PluginRegistry

__all__ = ["BaseBacktestEngine", "engine_registry"]

engine_registry: PluginRegistry[BaseBacktestEngine] = PluginRegistry("engines", BaseBacktestEngine)
import_folder(__name__, engine_registry)
