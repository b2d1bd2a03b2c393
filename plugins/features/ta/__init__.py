"""TA-Lib's functions as features, each registered as `ta.NAME`."""

from plugins.features import feature_registry
from plugins.features.ta.functions import functions
from plugins.features.ta.ways import WAYS

for _name, _way in WAYS.items():
    globals()[_name] = feature_registry.register(f"ta.{_name}")(_way.plugin(functions()[_name], __name__))
