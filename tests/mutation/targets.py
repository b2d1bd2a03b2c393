"""Which modules are mutated, and which test modules must notice."""

from pathlib import Path

ROOT = Path(__file__).parents[2]

_PIPELINE = (
    "tests/plugins/test_pipeline.py", "tests/plugins/test_deciding.py", "tests/plugins/test_decisions.py",
    "tests/plugins/test_cross_section.py", "tests/plugins/test_sharing.py", "tests/plugins/test_pace.py",
    "tests/plugins/test_news.py", "tests/plugins/test_news_copies.py", "tests/plugins/test_outside_universe.py",
    "tests/plugins/test_universe.py", "tests/plugins/test_sequence.py", "tests/plugins/test_requirements.py",
    "tests/plugins/signals", "tests/streams/test_isolation.py", "tests/streams/test_isolation_gathered.py",
    "tests/streams/test_shadow.py", "tests/streams/test_shadow_lives.py", "tests/streams/test_gathering.py",
    "tests/streams/test_state.py", "tests/streams/test_news_track.py", "tests/streams/test_crash.py",
    "tests/backtest/test_explain.py", "tests/backtest/test_per_symbol.py", "plugins/pipeline",
)  # fmt: skip
_BY_HAND = "tests/plugins/engines/test_engines_by_hand.py"

TARGETS: dict[str, tuple[str, ...]] = {
    "plugins/fold/gate.py": ("tests/plugins/test_gate.py", "plugins/fold/gate.py", "tests/plugins/test_news.py"),
    "plugins/engines/contract.py": ("tests/plugins/engines/test_contract.py", _BY_HAND),
    "plugins/engines/results/metrics.py": ("tests/plugins/engines/test_metrics.py", _BY_HAND),
    "streams/consuming/intake.py": (
        "tests/streams/test_intake.py", "tests/streams/test_bar_scanner.py", "tests/streams/test_json_scanner.py",
        "tests/streams/test_avro_scanner.py", "tests/streams/test_topic_sources.py",
        "tests/streams/test_schema_registry.py",
    ),
    "streams/publishing/writer.py": (
        "tests/streams/test_writer.py", "tests/streams/test_signal_batches.py", "tests/streams/test_intake.py",
        "tests/streams/test_gathering.py",
    ),
    "plugins/pipeline/accepted_bars.py": (
        "tests/plugins/test_accepted_bars.py", "tests/plugins/test_news.py", "plugins/pipeline/accepted_bars.py",
    ),
    "plugins/pipeline/prediction/comparison.py": ("tests/plugins/test_shadow_comparison.py",),
    "plugins/pipeline": _PIPELINE,
}  # fmt: skip
"""Module, or folder of modules: the tests, of which each mutant meets those that run its function."""


def modules(target: str) -> list[Path]:
    """The files of a target that hold code; of a folder those that are no target themselves."""
    path = ROOT / target
    if path.is_file():
        return [path]
    own = {ROOT / other for other in TARGETS}
    return [file for file in sorted(path.rglob("*.py")) if file.name != "__init__.py" and file not in own]


WITH_BROKERS = {"streams/publishing/writer.py"}
"""Of these the tests with a broker run too: nothing else tells what a writer has written."""

COMPILED = {"plugins/fold/gate.py", "plugins/engines/contract.py"}
"""Of these numba compiles functions."""
