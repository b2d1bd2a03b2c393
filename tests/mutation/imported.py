"""A plugin of pytest (``-p tests.mutation.imported``): the module that `ALPHAWIRE_MUTANT` names is imported mutated."""

import json
import os
from pathlib import Path

from tests.mutation.swapping import importing

_mutant = json.loads(Path(os.environ["ALPHAWIRE_MUTANT"]).read_text())
importing(_mutant["name"], Path(_mutant["path"]), _mutant["source"])
