"""Features that make longer bars themselves, or know a market's hours: wrongly, and rightly at a second look."""

from typing import Any

import numpy as np
import pandas as pd

from plugins.base.market_calendar import market_calendar
from plugins.fold import FeatureParams
from tests.plugins.conformance.table import OneColumn, clean, faulty


@faulty("forming_bars")
class MeanOfTheDay(OneColumn):
    """Of the whole day, also of what is still to come of it; daily bars, and minutes of one day, do not show it."""

    lookback = 200

    def value(self, data):
        days = (data.index - pd.Timedelta("1ms")).floor("1D")
        return data["close"].groupby(days).transform("mean").where(days > days.min())


@clean
class HourOfLabelRight(OneColumn):
    """The close of the last complete hour: looks alike, and sees nothing of what forms."""

    lookback = 130

    def value(self, data):
        hours = data["close"].resample("1h", closed="right", label="right").last()
        whole = hours.where(hours.index <= data.index[-1]) if len(data) else hours
        return whole.reindex(data.index, method="ffill")


class Params(FeatureParams):
    session: str = "XNYS"


@faulty("sessions")
class FixedHours(OneColumn):
    """Minutes to 21:00 UTC, which is when New York closes in winter."""

    Params = Params
    lookback = 1

    def value(self, data):
        return 21 * 60.0 - (data.index.hour * 60 + data.index.minute)


@faulty("sessions")
class NoHalfDays(OneColumn):
    """Minutes to 16:00 in New York, whatever the day."""

    Params = Params
    lookback = 1

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        local = data.index.tz_convert("America/New_York")
        return pd.DataFrame({"to_close": 16 * 60.0 - (local.hour * 60 + local.minute)}, index=data.index)

    def value(self, data):
        raise NotImplementedError


@clean
class ToClose(OneColumn):
    """Minutes to the close of the session, by the calendar; the time alone decides."""

    Params = Params
    lookback = 1

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        return pd.DataFrame({"to_close": self.value(data)}, index=data.index)

    def value(self, data: pd.DataFrame) -> Any:
        calendar = market_calendar(self.params["session"], "session")
        times = data.index.as_unit("ms").asi8
        place = np.minimum(np.searchsorted(calendar.closes, times), len(calendar.closes) - 1)
        inside = (calendar.opens[place] < times) & (times <= calendar.closes[place])
        return np.where(inside, (calendar.closes[place] - times) / 60_000, np.nan)
