"""Time bars by a market's sessions, and flat ones: against the exchange's published hours, and by hand."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from plugins.base.market_calendar import market_calendar
from plugins.fold.trades.builder import BarBuilder
from plugins.fold.trades.grid import grid_of
from plugins.fold.trades.kinds import BarKind, TimeRules
from plugins.fold.trades.symbol_bars import ClosedBar
from schemas.errors import BadRecord, ConfigurationError
from schemas.wire import encode
from schemas.wire.trades import Tick, Trade

NEW_YORK = ZoneInfo("America/New_York")
MINUTE, DAY = 60_000, 86_400_000
START = 1_700_000_040_000


def at(text: str, zone: ZoneInfo = NEW_YORK) -> int:
    """Milliseconds of a time by New York's clock."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def utc(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).strftime("%m-%d %H:%M")


def bars_of(interval: str, times: list[int], session: str | None = "XNYS", **rules: int) -> list[ClosedBar]:
    """Of a trade of size 1 at each time, at the prices 1, 2, 3 …"""
    builder = BarBuilder(BarKind.of(interval), TimeRules(session=session, **rules))
    trades = [Trade("A", time, 1.0 + number, 1.0) for number, time in enumerate(times)]
    return [one for offset, trade in enumerate(trades) for one in builder.feed(trade, offset)]


def test_hours_begin_with_the_session_in_winter_and_in_summer() -> None:
    """New York opens at 09:30: 14:30 UTC on Friday 2024-03-08, 13:30 on the Monday after its clock was set."""
    times = [at("2024-03-08T09:30"), at("2024-03-08T10:29"), at("2024-03-08T10:30"), at("2024-03-08T15:59"),
             at("2024-03-11T09:30"), at("2024-03-11T10:30")]  # fmt: skip
    found = [(utc(one.bar.open_time), one.bar.open, one.bar.close, one.bar.volume) for one in bars_of("1h", times)]
    assert found == [
        ("03-08 14:30", 1.0, 2.0, 2.0), ("03-08 15:30", 3.0, 3.0, 1.0), ("03-08 20:30", 4.0, 4.0, 1.0),
        ("03-11 13:30", 5.0, 5.0, 1.0),
    ]  # fmt: skip
    assert all(one.bar.close_time == one.bar.open_time + 60 * MINUTE for one in bars_of("1h", times))


def test_an_early_close_ends_the_last_bar() -> None:
    """On 2024-11-29 New York closes at 13:00: what is traded at 13:10 is outside, and closes the bar of 12:30."""
    builder = BarBuilder(BarKind.of("1h"), TimeRules(session="XNYS"))
    assert builder.feed(Trade("A", at("2024-11-29T12:40"), 5.0, 1.0), 0) == []
    assert builder.due(at("2024-11-29T12:59:59")) == []
    assert builder.due(at("2024-11-29T13:00")) == [Tick("A", at("2024-11-29T13:00"))]
    (closed,) = builder.feed(Trade("A", at("2024-11-29T13:10"), 9.0, 1.0), 1)
    assert (closed.bar.open_time, closed.bar.high) == (at("2024-11-29T12:30"), 5.0)
    assert builder.outside == 1
    assert builder.due(at("2024-12-02T12:00")) == []


@pytest.mark.parametrize(
    "time", ["2024-07-04T12:00", "2024-07-03T09:29:59.999", "2024-07-03T13:00", "2024-07-06T11:00"]
)
def test_trades_outside_of_sessions_are_in_no_bar(time: str) -> None:
    builder = BarBuilder(BarKind.of("1m"), TimeRules(session="XNYS"))
    assert builder.feed(Trade("A", at(time), 1.0, 1.0), 0) == []
    assert (builder.outside, builder.still_open) == (1, 0)


def test_a_day_is_a_session_and_has_its_date() -> None:
    times = [at("2024-11-27T09:30"), at("2024-11-27T15:59:59"), at("2024-11-29T10:00"), at("2024-12-02T09:31")]
    found = [(utc(one.bar.open_time), one.bar.close_time - one.bar.open_time, one.bar.volume) for one in
             bars_of("1d", times)]  # fmt: skip
    assert found == [("11-27 00:00", DAY, 2.0), ("11-29 00:00", DAY, 1.0)]


def test_a_session_that_begins_the_evening_before_has_its_own_date() -> None:
    """Chicago's futures of Tuesday 2024-03-05 open on Monday at 17:00 by Chicago's clock, and close at 16:00."""
    chicago = ZoneInfo("America/Chicago")
    times = [at("2024-03-04T17:00", chicago), at("2024-03-05T15:59", chicago), at("2024-03-05T17:00", chicago)]
    (closed,) = bars_of("1d", times, "CMES")
    assert (utc(closed.bar.open_time), closed.bar.volume) == ("03-05 00:00", 2.0)


def test_every_session_of_a_year_has_its_minutes() -> None:
    """Against the calendar's own schedule: a trade in each minute of it makes a bar of each, and none besides."""
    calendar = market_calendar("XNYS")
    year = (calendar.opens >= at("2024-11-01T00:00")) & (calendar.opens < at("2025-01-01T00:00"))
    wanted = [
        time
        for opens, closes in zip(calendar.opens[year].tolist(), calendar.closes[year].tolist(), strict=True)
        for time in range(opens, closes, 5 * MINUTE)
    ]
    first, last = wanted[0] - DAY, wanted[-1] + DAY
    bars = bars_of("5m", [*range(first, last, 5 * MINUTE), last + 10 * DAY])
    assert [one.bar.open_time for one in bars if wanted[0] <= one.bar.open_time <= wanted[-1]] == wanted
    assert len(wanted) == 41 * 78 - 2 * 36  # two early closes, at 13:00: 42 half days less are 36 bars of 5 minutes


def test_what_the_calendar_does_not_know_is_refused() -> None:
    builder = BarBuilder(BarKind.of("1m"), TimeRules(session="XNYS"))
    with pytest.raises(BadRecord, match="XNYS knows no sessions at"):
        builder.feed(Trade("A", at("2060-01-05T12:00"), 1.0, 1.0), 0)


@pytest.mark.parametrize(
    ("interval", "session", "word"),
    [
        ("1h", "XNYX", "XNYS"), ("1h", "24/7", "no sessions"), ("7d", "XNYS", "longer than a session"),
        ("7h", "24/5", "run into the next session"),
    ],
)  # fmt: skip
def test_sessions_that_there_are_not(interval: str, session: str, word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        grid_of(int(BarKind.of(interval).size), session)


def test_other_sessions_than_those_of_before_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="install the exchange_calendars"):
        BarBuilder(BarKind.of("1m"), TimeRules(session="XNYS", sessions="0" * 16))
    BarBuilder(BarKind.of("1m"), TimeRules(session="XNYS", sessions=market_calendar("XNYS").digest))


def test_flat_bars_are_declared_and_marked() -> None:
    """Trades in the minutes 0 and 4: with three allowed in a row, 1 to 3 are flat; then none until the next trade."""
    times = [START, START + 10, START + 4 * MINUTE, START + 60 * MINUTE]
    bars = bars_of("1m", times, None, flat=3)
    assert [(one.bar.open_time - START) // MINUTE for one in bars] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert [one.bar.flat is True for one in bars] == [False, True, True, True, False, True, True, True]
    flat = bars[1].bar
    assert (flat.open, flat.high, flat.low, flat.close, flat.volume) == (2.0, 2.0, 2.0, 2.0, 0.0)
    assert [one.made_of(7) for one in bars[:3]] == [b"7/0-1/2", b"7/1-1/0", b"7/1-1/0"]
    assert [one.bar.open for one in bars[-3:]] == [3.0, 3.0, 3.0]
    assert bars_of("1m", times, None)[0] == bars[0]
    assert len(bars_of("1m", times, None)) == 2


def test_only_a_flat_bar_says_so() -> None:
    bars = bars_of("1m", [START, START + 2 * MINUTE], None, flat=1)
    assert [encode(one.bar).endswith(b',"flat":true}') for one in bars] == [False, True]
    assert b"flat" not in encode(bars[0].bar)
    assert msgspec.json.decode(encode(bars[1].bar))["flat"] is True


def test_flat_bars_stay_within_sessions() -> None:
    times = [at("2024-11-29T12:59"), at("2024-12-02T09:32"), at("2024-12-02T09:33")]
    found = [(utc(one.bar.open_time), one.bar.flat is True) for one in bars_of("1m", times, flat=390)]
    assert found == [("11-29 17:59", False), ("12-02 14:30", True), ("12-02 14:31", True), ("12-02 14:32", False)]


def test_a_silent_symbol_is_closed_by_one_tick_for_all_that_is_over() -> None:
    builder = BarBuilder(BarKind.of("1m"), TimeRules(flat=5))
    builder.feed(Trade("A", START, 1.0, 1.0), 0)
    assert builder.due(START + MINUTE - 1) == []
    assert builder.due(START + MINUTE) == [Tick("A", START + MINUTE)]
    assert len(builder.feed(Tick("A", START + MINUTE), 1)) == 1
    assert builder.due(START + 2 * MINUTE - 1) == []
    assert builder.due(START + 3 * MINUTE + 5) == [Tick("A", START + 3 * MINUTE)]
    assert len(builder.feed(Tick("A", START + 3 * MINUTE), 2)) == 2
    assert builder.due(START + 200 * MINUTE) == [Tick("A", START + 6 * MINUTE)]  # no later one: more trades may come
    assert len(builder.feed(Tick("A", START + 6 * MINUTE), 3)) == 3
    assert builder.due(START + 200 * MINUTE) == []
    assert builder.feed(Trade("A", START + 6 * MINUTE, 1.0, 1.0), 4) == []


def test_a_bar_whose_trades_are_all_cancelled_is_flat() -> None:
    builder = BarBuilder(BarKind.of("1m"), TimeRules(flat=1))
    builder.feed(Trade("A", START, 4.0, 1.0), 0)
    builder.feed(Trade("A", START + MINUTE, 9.0, 1.0, "x"), 1)
    builder.feed(Trade("A", START + MINUTE, 9.0, 1.0, "x", "unknown", "cancel"), 2)
    (closed,) = builder.feed(Tick("A", START + 2 * MINUTE), 3)
    assert (closed.bar.close, closed.bar.flat) == (4.0, True)


@pytest.mark.parametrize("session", [None, "XNYS"])
def test_a_restart_at_any_record_changes_nothing(session: str | None) -> None:
    rules = TimeRules(lateness_ms=90_000, session=session, flat=4)
    straight, broken = (BarBuilder(BarKind.of("1m"), rules) for _ in range(2))
    begin, made = at("2024-11-29T12:30"), 0
    for offset in range(120):
        time = begin + offset * 41_000 - (offset % 3) * 50_000 + (offset // 40) * 6 * MINUTE
        record = Tick("A", time) if offset % 7 == 6 else Trade("A", time, 1.0 + offset % 9, 1.0, str(offset))
        outcomes = []
        for builder in (straight, broken):
            try:
                outcomes.append(builder.feed(record, offset))
            except BadRecord as bad:
                outcomes.append(bad.reason)
        assert outcomes[0] == outcomes[1]
        made += sum(one.bar.flat is True for one in outcomes[0] if isinstance(one, ClosedBar))
        state = broken.snapshot("A")
        assert state == straight.snapshot("A")
        broken = BarBuilder(BarKind.of("1m"), rules)
        broken.restore("A", state)
    assert made >= 4
