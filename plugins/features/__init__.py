"""The features: importing this package fills `feature_registry` with every module in this folder."""

from plugins.base import BaseFeature
from plugins.base.loading.discovery import import_folder
from plugins.base.loading.registry import PluginRegistry

__all__ = ["BaseFeature", "feature_registry"]

feature_registry: PluginRegistry[BaseFeature] = PluginRegistry("features", BaseFeature)
import_folder(__name__, feature_registry)
