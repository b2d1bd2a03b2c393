"""The models: importing this package fills `model_registry` with every module in this folder."""

from plugins.base import BaseModel
from plugins.base.loading.discovery import import_folder
from plugins.base.loading.registry import PluginRegistry

__all__ = ["BaseModel", "model_registry"]

model_registry: PluginRegistry[BaseModel] = PluginRegistry("models", BaseModel)
import_folder(__name__, model_registry)
