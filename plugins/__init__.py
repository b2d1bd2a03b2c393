"""Base classes, registries and the built-in plugins. Knows neither Kafka nor Faust.

Four categories, one folder and one registry each: a module dropped into `features`, `models`, `signals` or `engines`
is found without touching another file. `plugins.pipeline` composes features, model and signal into the one pure core.
"""

import runpy
import sys
from pathlib import Path

# By its path: by its name it could be another project's, which is what it is to tell.
_installation = runpy.run_path(str(Path(__file__).parents[1] / "schemas" / "installation.py"))
_installation["require_own"](__file__, "schemas")

from plugins.base import columns  # noqa: E402 (after the check)
from plugins.fold import generator, sequence  # noqa: E402
from plugins.side_inputs import news  # noqa: E402

# The names under which plugin authors import these modules: promised for ever, wherever the modules live.
sys.modules.update(
    {"plugins.columns": columns, "plugins.folded": generator, "plugins.news": news, "plugins.sequence": sequence}
)
