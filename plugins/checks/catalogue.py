"""Which checks there are, in the order in which they are made."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

NEEDED = ("computes", "shape", "dtypes", "repeatable")
"""Unless these pass, comparing values proves nothing."""


@dataclass(frozen=True)
class Check:
    """A check by name: `place` is where its function is, `needs` are checks that must have passed before.

    With `twin` its result must be the same in a process with another hash seed.
    """

    name: str
    place: str
    needs: tuple[str, ...] = ()
    twin: bool = False

    @property
    def function(self) -> Callable[[Any], str]:
        module, _, name = self.place.partition(":")
        function: Callable[[Any], str] = getattr(import_module(f"plugins.checks.{module}"), name)
        return function

    @property
    def did(self) -> str:
        """The first sentence of its function's docstring."""
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split())


FEATURES = (
    Check("reads_its_input_alone", "features.checks:reads_its_input_alone"),
    Check("computes", "features.behaviour:computes"),
    Check("shape", "features.behaviour:shape", ("computes",)),
    Check("dtypes", "features.behaviour:dtypes", ("computes", "shape")),
    Check("input_untouched", "features.behaviour:input_untouched", ("computes",)),
    Check("repeatable", "repetition:repeatable", ("computes", "shape", "dtypes"), twin=True),
    Check("no_look_ahead", "features.causality:no_look_ahead", NEEDED),
    Check("edge_cases", "features.behaviour:edge_cases", NEEDED[:3]),
    Check("outputs", "features.behaviour:outputs", NEEDED[:3]),
    Check("columns_read", "features.behaviour:columns_read", (*NEEDED, "no_look_ahead")),
    Check("missing_values", "features.behaviour:missing_values", NEEDED),
    Check("lookback", "features.memory:lookback", (*NEEDED, "no_look_ahead")),
    Check("warm_up", "features.memory:warm_up", (*NEEDED, "no_look_ahead")),
    Check("batch_equals_live", "features.live:batch_equals_live", (*NEEDED, "no_look_ahead")),
    Check("restart", "features.live:restart", (*NEEDED, "no_look_ahead")),
    Check("symbols", "features.live:symbols", NEEDED),
    Check("state_size", "features.live:state_size", NEEDED[:3]),
    Check("shared_state", "repetition:shared_state", NEEDED[:3]),
    Check("parameters", "features.checks:parameters", ("computes", "shape")),
    Check("speed", "features.checks:speed", NEEDED[:3]),
)

MODELS = (
    Check("computes", "models.checks:computes"),
    Check("reads_its_input_alone", "models.checks:reads_its_input_alone", ("computes",)),
    Check("refuses_before_training", "models.checks:refuses_before_training"),
    Check("input_untouched", "models.checks:input_untouched", ("computes",)),
    Check("repeatable", "models.checks:repeatable", ("computes",), twin=True),
    Check("batch_invariant", "models.checks:batch_invariant", ("computes",)),
    Check("save_load", "models.checks:save_load", ("computes",)),
    Check("columns_enforced", "models.checks:columns_enforced", ("computes",)),
    Check("target_unseen", "models.checks:target_unseen", ("computes", "repeatable")),
    Check("missing_values", "models.checks:missing_values", ("computes",)),
    Check("no_look_ahead", "models.sequence_checks:no_look_ahead", ("computes", "repeatable")),
    Check("symbols", "models.sequence_checks:symbols", ("computes", "repeatable")),
    Check("lookback", "models.sequence_checks:lookback", ("computes", "repeatable")),
    Check("batch_equals_live", "models.sequence_checks:batch_equals_live", ("computes", "repeatable")),
    Check("shared_state", "models.checks:shared_state", ("computes",)),
    Check("parameters", "models.checks:parameters"),
    Check("speed", "models.checks:speed", ("computes",)),
)
SIGNALS = (
    Check("reads_its_input_alone", "signals.checks:reads_its_input_alone"),
    Check("computes", "signals.checks:computes"),
    Check("input_untouched", "signals.checks:input_untouched", ("computes",)),
    Check("repeatable", "signals.checks:repeatable", ("computes",), twin=True),
    Check("no_look_ahead", "signals.checks:no_look_ahead", ("computes", "repeatable")),
    Check("row_order", "signals.checks:row_order", ("computes", "repeatable")),
    Check("symbols", "signals.checks:symbols", ("computes", "repeatable")),
    Check("missing_values", "signals.checks:missing_values", ("computes",)),
    Check("other_times", "signals.section_checks:other_times", ("computes", "repeatable")),
    Check("absent_symbols", "signals.section_checks:absent_symbols", ("computes", "missing_values")),
    Check("batch_equals_live", "signals.checks:batch_equals_live", ("computes", "repeatable")),
    Check("parameters", "signals.checks:parameters"),
    Check("speed", "signals.checks:speed", ("computes",)),
)
ENGINES = (
    Check("computes", "engines.checks:computes"),
    Check("reads_its_input_alone", "engines.checks:reads_its_input_alone", ("computes",)),
    Check("execution_contract", "engines.checks:execution_contract", ("computes",)),
    Check("reports", "engines.checks:reports", ("computes",)),
    Check("input_untouched", "engines.checks:input_untouched", ("computes",)),
    Check("repeatable", "engines.checks:repeatable", ("computes",), twin=True),
    Check("no_look_ahead", "engines.checks:no_look_ahead", ("computes", "repeatable")),
    Check("parameters", "engines.checks:parameters"),
    Check("speed", "engines.checks:speed", ("computes",)),
)

CATALOGUE: dict[str, tuple[Check, ...]] = {
    "features": FEATURES,
    "models": MODELS,
    "signals": SIGNALS,
    "engines": ENGINES,
}
