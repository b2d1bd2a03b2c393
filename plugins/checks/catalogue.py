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

    With `twin` its result must be the same in a process with another hash seed; with `kinds` it is compared with that
    on another kind of processor, which may differ and is told.
    """

    name: str
    place: str
    needs: tuple[str, ...] = ()
    twin: bool = False
    kinds: bool = False

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
    Check("reads_its_input_alone", "features.feature_checks:reads_its_input_alone"),
    Check("computes", "features.behaviour:computes"),
    Check("shape", "features.behaviour:shape", ("computes",)),
    Check("dtypes", "features.behaviour:dtypes", ("computes", "shape")),
    Check("input_untouched", "features.behaviour:input_untouched", ("computes",)),
    Check("repeatable", "repetition:repeatable", ("computes", "shape", "dtypes"), twin=True),
    Check("processors", "features.processors:processors", NEEDED, kinds=True),
    Check("no_look_ahead", "features.causality:no_look_ahead", NEEDED),
    Check("forming_bars", "features.longer_bars:forming_bars", (*NEEDED, "no_look_ahead")),
    Check("sessions", "features.longer_bars:sessions", NEEDED),
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
    Check("parameters", "features.feature_checks:parameters", ("computes", "shape")),
    Check("speed", "features.feature_checks:speed", NEEDED[:3]),
)

MODELS = (
    Check("computes", "models.model_checks:computes"),
    Check("reads_its_input_alone", "models.model_checks:reads_its_input_alone", ("computes",)),
    Check("refuses_before_training", "models.model_checks:refuses_before_training"),
    Check("input_untouched", "models.model_checks:input_untouched", ("computes",)),
    Check("repeatable", "models.model_checks:repeatable", ("computes",), twin=True, kinds=True),
    Check("batch_invariant", "models.model_checks:batch_invariant", ("computes",)),
    Check("save_load", "models.model_checks:save_load", ("computes",)),
    Check("columns_enforced", "models.model_checks:columns_enforced", ("computes",)),
    Check("target_unseen", "models.model_checks:target_unseen", ("computes", "repeatable")),
    Check("missing_values", "models.model_checks:missing_values", ("computes",)),
    Check("no_look_ahead", "models.sequence_checks:no_look_ahead", ("computes", "repeatable")),
    Check("symbols", "models.sequence_checks:symbols", ("computes", "repeatable")),
    Check("lookback", "models.sequence_checks:lookback", ("computes", "repeatable")),
    Check("batch_equals_live", "models.sequence_checks:batch_equals_live", ("computes", "repeatable")),
    Check("shared_state", "models.model_checks:shared_state", ("computes",)),
    Check("parameters", "models.model_checks:parameters"),
    Check("speed", "models.model_checks:speed", ("computes",)),
)
SIGNALS = (
    Check("reads_its_input_alone", "signals.signal_checks:reads_its_input_alone"),
    Check("computes", "signals.signal_checks:computes"),
    Check("input_untouched", "signals.signal_checks:input_untouched", ("computes",)),
    Check("repeatable", "signals.signal_checks:repeatable", ("computes",), twin=True, kinds=True),
    Check("no_look_ahead", "signals.signal_checks:no_look_ahead", ("computes", "repeatable")),
    Check("row_order", "signals.signal_checks:row_order", ("computes", "repeatable")),
    Check("symbols", "signals.signal_checks:symbols", ("computes", "repeatable")),
    Check("missing_values", "signals.signal_checks:missing_values", ("computes",)),
    Check("other_times", "signals.section_checks:other_times", ("computes", "repeatable")),
    Check("absent_symbols", "signals.section_checks:absent_symbols", ("computes", "missing_values")),
    Check("batch_equals_live", "signals.signal_checks:batch_equals_live", ("computes", "repeatable")),
    Check("parameters", "signals.signal_checks:parameters"),
    Check("speed", "signals.signal_checks:speed", ("computes",)),
)
ENGINES = (
    Check("computes", "engines.engine_checks:computes"),
    Check("reads_its_input_alone", "engines.engine_checks:reads_its_input_alone", ("computes",)),
    Check("execution_contract", "engines.engine_checks:execution_contract", ("computes",)),
    Check("reports", "engines.engine_checks:reports", ("computes",)),
    Check("input_untouched", "engines.engine_checks:input_untouched", ("computes",)),
    Check("repeatable", "engines.engine_checks:repeatable", ("computes",), twin=True, kinds=True),
    Check("no_look_ahead", "engines.engine_checks:no_look_ahead", ("computes", "repeatable")),
    Check("parameters", "engines.engine_checks:parameters"),
    Check("speed", "engines.engine_checks:speed", ("computes",)),
)

SECTIONS = (
    Check("computes", "sections.section_checks:computes"),
    Check("reads_its_input_alone", "sections.section_checks:reads_its_input_alone", ("computes",)),
    Check("input_untouched", "sections.section_checks:input_untouched", ("computes",)),
    Check("repeatable", "sections.section_checks:repeatable", ("computes",), twin=True, kinds=True),
    Check("row_order", "sections.section_checks:row_order", ("computes", "repeatable")),
    Check("other_times", "sections.section_checks:other_times", ("computes", "repeatable")),
    Check("edge_cases", "sections.section_checks:edge_cases", ("computes",)),
    Check("batch_equals_live", "sections.section_checks:batch_equals_live", ("computes", "repeatable", "other_times")),
    Check("parameters", "sections.section_checks:parameters", ("computes",)),
    Check("speed", "sections.section_checks:speed", ("computes",)),
)

CATALOGUE: dict[str, tuple[Check, ...]] = {
    "features": FEATURES,
    "sections": SECTIONS,
    "models": MODELS,
    "signals": SIGNALS,
    "engines": ENGINES,
}
