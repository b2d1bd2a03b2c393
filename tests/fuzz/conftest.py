"""Says at the end how many inputs each decoder got."""

from typing import Any

from tests.fuzz.hostile import TRIED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TRIED:
        parts = ", ".join(f"{name} {count:,}" for name, count in sorted(TRIED.items()))
        terminalreporter.write_line(f"fuzzed decoders: {TRIED.total():,} inputs ({parts})")
