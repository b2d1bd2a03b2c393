"""The functions that are folds, by name."""

from plugins.features.ta.folds.averages import AVERAGES
from plugins.features.ta.folds.chains import CHAINS
from plugins.features.ta.folds.directional import DIRECTIONAL
from plugins.features.ta.folds.hilbert import HILBERT
from plugins.features.ta.folds.recursion import Recursion
from plugins.features.ta.folds.reversal import REVERSAL
from plugins.features.ta.folds.running import RUNNING
from plugins.features.ta.folds.wilder import WILDER

RECURSIONS: dict[str, Recursion] = {**AVERAGES, **CHAINS, **WILDER, **DIRECTIONAL, **RUNNING, **REVERSAL, **HILBERT}
