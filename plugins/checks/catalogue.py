"""Which checks there are, in the order in which they are made."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

NEEDED = ("computes", "shape", "dtypes", "repeatable")
"""Unless these pass, comparing values says nothing."""


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
        found: Callable[[Any], str] = getattr(import_module(f"plugins.checks.{module}"), name)
        return found

    @property
    def did(self) -> str:
        """The first sentence of its function's docstring."""
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split())


FEATURES = (
    Check("reads_its_input_alone", "feature_checks:reads_its_input_alone"),
    Check("computes", "behaviour:computes"),
    Check("shape", "behaviour:shape", ("computes",)),
    Check("dtypes", "behaviour:dtypes", ("computes", "shape")),
    Check("input_untouched", "behaviour:input_untouched", ("computes",)),
    Check("repeatable", "repetition:repeatable", ("computes", "shape", "dtypes"), twin=True),
    Check("no_look_ahead", "causality:no_look_ahead", NEEDED),
    Check("edge_cases", "behaviour:edge_cases", NEEDED[:3]),
    Check("outputs", "behaviour:outputs", NEEDED[:3]),
    Check("columns_read", "behaviour:columns_read", (*NEEDED, "no_look_ahead")),
    Check("missing_values", "behaviour:missing_values", NEEDED),
    Check("lookback", "memory:lookback", (*NEEDED, "no_look_ahead")),
    Check("warm_up", "memory:warm_up", (*NEEDED, "no_look_ahead")),
    Check("batch_equals_live", "live:batch_equals_live", (*NEEDED, "no_look_ahead")),
    Check("restart", "live:restart", (*NEEDED, "no_look_ahead")),
    Check("symbols", "live:symbols", NEEDED),
    Check("state_size", "live:state_size", NEEDED[:3]),
    Check("shared_state", "repetition:shared_state", NEEDED[:3]),
    Check("parameters", "feature_checks:parameters", ("computes", "shape")),
    Check("speed", "feature_checks:speed", NEEDED[:3]),
)

MODELS = (
    Check("computes", "model_checks:computes"),
    Check("reads_its_input_alone", "model_checks:reads_its_input_alone", ("computes",)),
    Check("refuses_before_training", "model_checks:refuses_before_training"),
    Check("input_untouched", "model_checks:input_untouched", ("computes",)),
    Check("repeatable", "model_checks:repeatable", ("computes",), twin=True),
    Check("batch_invariant", "model_checks:batch_invariant", ("computes",)),
    Check("save_load", "model_checks:save_load", ("computes",)),
    Check("columns_enforced", "model_checks:columns_enforced", ("computes",)),
    Check("target_unseen", "model_checks:target_unseen", ("computes", "repeatable")),
    Check("missing_values", "model_checks:missing_values", ("computes",)),
    Check("no_look_ahead", "sequence_checks:no_look_ahead", ("computes", "repeatable")),
    Check("symbols", "sequence_checks:symbols", ("computes", "repeatable")),
    Check("lookback", "sequence_checks:lookback", ("computes", "repeatable")),
    Check("batch_equals_live", "sequence_checks:batch_equals_live", ("computes", "repeatable")),
    Check("shared_state", "model_checks:shared_state", ("computes",)),
    Check("parameters", "model_checks:parameters"),
    Check("speed", "model_checks:speed", ("computes",)),
)
SIGNALS = (
    Check("reads_its_input_alone", "signal_checks:reads_its_input_alone"),
    Check("computes", "signal_checks:computes"),
    Check("input_untouched", "signal_checks:input_untouched", ("computes",)),
    Check("repeatable", "signal_checks:repeatable", ("computes",), twin=True),
    Check("no_look_ahead", "signal_checks:no_look_ahead", ("computes", "repeatable")),
    Check("row_order", "signal_checks:row_order", ("computes", "repeatable")),
    Check("symbols", "signal_checks:symbols", ("computes", "repeatable")),
    Check("missing_values", "signal_checks:missing_values", ("computes",)),
    Check("other_times", "section_checks:other_times", ("computes", "repeatable")),
    Check("absent_symbols", "section_checks:absent_symbols", ("computes", "missing_values")),
    Check("batch_equals_live", "signal_checks:batch_equals_live", ("computes", "repeatable")),
    Check("parameters", "signal_checks:parameters"),
    Check("speed", "signal_checks:speed", ("computes",)),
)
ENGINES = (
    Check("computes", "engine_checks:computes"),
    Check("reads_its_input_alone", "engine_checks:reads_its_input_alone", ("computes",)),
    Check("execution_contract", "engine_checks:execution_contract", ("computes",)),
    Check("reports", "engine_checks:reports", ("computes",)),
    Check("input_untouched", "engine_checks:input_untouched", ("computes",)),
    Check("repeatable", "engine_checks:repeatable", ("computes",), twin=True),
    Check("no_look_ahead", "engine_checks:no_look_ahead", ("computes", "repeatable")),
    Check("parameters", "engine_checks:parameters"),
    Check("speed", "engine_checks:speed", ("computes",)),
)

CATALOGUE: dict[str, tuple[Check, ...]] = {
    "features": FEATURES,
    "models": MODELS,
    "signals": SIGNALS,
    "engines": ENGINES,
}
