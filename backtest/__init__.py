"""Replay, verification and backtests over the bars that a worker would have seen."""

import runpy
from pathlib import Path

# By its path: by its name it could be another project's, which is what it is to tell.
_installation = runpy.run_path(str(Path(__file__).parents[1] / "schemas" / "installation.py"))
_installation["require_own"](__file__, "schemas", "plugins", "streams")
