"""Base classes, registries and the built-in plugins. Knows neither Kafka nor Faust.

Four categories, one folder and one registry each: a module dropped into `features`, `models`, `signals` or `engines`
is found without touching another file. `plugins.pipeline` composes features, model and signal into the one pure core.
"""

import sys

from plugins.base import columns
from plugins.fold import generator, sequence

# The names under which plugin authors import these modules: promised for ever, wherever the modules live.
sys.modules.update({"plugins.columns": columns, "plugins.folded": generator, "plugins.sequence": sequence})
