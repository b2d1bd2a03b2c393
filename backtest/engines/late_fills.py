"""Fills that a live execution client would not have had: they came after what the signal says of its own validity."""

from typing import Any

import pandas as pd

from plugins.base.market_calendar import ALWAYS_OPEN, AUTO
from schemas.configuration import Execution


def late_fills(result: dict[str, Any], decisions: pd.DataFrame, execution: Execution) -> list[str]:
    """A sentence on fills after their signal's ``valid_until``; none where there are none, or the signals name none.

    Parameters
    ----------
    result
        What an engine returned; one without ``fills`` has none.
    decisions
        By (time, symbol), with `valid_until` (ms).
    """
    fills = result.get("fills")
    if fills is None or not len(fills) or "valid_until" not in decisions:
        return []
    decided = pd.MultiIndex.from_arrays([fills["signal_time"], fills["symbol"]])
    until = pd.to_datetime(decisions["valid_until"].reindex(decided).to_numpy(), unit="ms", utc=True)
    late = int((pd.DatetimeIndex(fills["time"]) > until).sum())
    if not late:
        return []
    named = execution.calendar not in (AUTO, ALWAYS_OPEN)
    mend = "give valid_for" if named else "name the market in execution.calendar, or give valid_for"
    return [f"{late:,} of {len(fills):,} fills came after their signal's valid_until: live they are dropped; {mend}."]
