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
    Check("columns_read", "behaviour:columns_read", NEEDED),
    Check("missing_values", "behaviour:missing_values", NEEDED),
    Check("lookback", "memory:lookback", NEEDED),
    Check("warm_up", "memory:warm_up", NEEDED),
    Check("batch_equals_live", "live:batch_equals_live", NEEDED),
    Check("restart", "live:restart", NEEDED),
    Check("symbols", "live:symbols", NEEDED),
    Check("state_size", "live:state_size", NEEDED[:3]),
    Check("shared_state", "repetition:shared_state", NEEDED[:3]),
    Check("parameters", "feature_checks:parameters", ("computes", "shape")),
    Check("speed", "feature_checks:speed", NEEDED[:3]),
)

CATALOGUE: dict[str, tuple[Check, ...]] = {"features": FEATURES}
