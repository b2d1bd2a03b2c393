"""The report: self-contained, well-formed, and with the warnings that matter on top."""

import hashlib
import os
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from backtest import report
from backtest.report.chart import BUCKETS, HEIGHT, Line, chart, nice_ticks, thinned
from backtest.report.outcome import BacktestOutcome
from backtest.report.report import METRICS, html_page, shown
from plugins.engines.results.metrics import metrics
from schemas.configuration import Execution, Strategy
from tests.support.deadlines import deadline

TIMES = pd.date_range("2024-03-05", periods=200, freq="1D", tz="UTC")
LIBRARY = "e21cc5caa0226ef30bd8549c50b9ef926615f2a4ee6b4e486353477a55f598cf"
"""SHA-256 of dist/lightweight-charts.standalone.production.js in lightweight-charts 5.2.1."""
VOID = {"meta"}


def run(equity: Any = None, name: str = "mine", cuts: int = 0, pending: int = 0, **rules: Any) -> BacktestOutcome:
    values = np.linspace(1000.0, 1500.0, len(TIMES)) if equity is None else np.asarray(equity, float)
    curve = pd.DataFrame({"equity": values, "cash": 0.0, "long": values, "short": 0.0}, index=TIMES[: len(values)])
    none = pd.DataFrame({"pnl": [], "size": [], "price": [], "commission": []}, dtype=float)
    measured = metrics(curve, none, none, capital=1000.0)
    cut = pd.DataFrame({"time": TIMES[:cuts], "symbol": "A<B>", "wanted": 2.5, "reason": "limit of exposure"})
    waiting = pd.DataFrame({"symbol": ["A"] * pending, "size": 1.0})
    return BacktestOutcome(
        name=name,
        config_hash="3f9a1c0e5b7d2468",
        strategy=Strategy(
            interval="1d", features=["technical.rsi"], prediction="rsi", signal="signal.threshold",
            execution=Execution(capital=1000.0, **rules),
        ),
        symbols=["AAA", "BBB"],
        bars=400,
        signals=7,
        results={"backtrader": {"equity_curve": curve, "metrics": measured, "cuts": cut, "pending": waiting}},
        benchmark=curve["equity"] * 0.9,
        benchmark_metrics=measured,
    )  # fmt: skip


class Checker(HTMLParser):
    """Every tag is closed in turn; what the page would fetch is collected."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [
            f"{name}={value}"
            for name, value in attrs
            if name in ("src", "href", "data", "action", "srcset") and value != "https://www.tradingview.com/"
        ]
        if tag in ("link", "iframe", "object", "embed", "img"):
            self.fetched.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def read(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert not checker.open
    return checker


def test_page_is_well_formed_and_fetches_nothing() -> None:
    page = html_page(run(cuts=40, pending=2))
    assert read(page).fetched == []
    still = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL).replace("https://www.tradingview.com/", "")
    assert not re.search(r"https?:|url\(|@import|\bNaN\b|\bnan\b|None", still)
    assert len(still) < 200_000
    assert "Copyright \u00a9 2026 TradingView, Inc., Apache License 2.0" in still


def test_the_library_is_that_of_its_registry() -> None:
    """Version 5.2.1 of npm's package, whole, with its licence beside it."""
    folder = Path(report.__file__).parent / "vendor" / "lightweight-charts"
    digest = hashlib.sha256((folder / "lightweight-charts.js").read_bytes()).hexdigest()
    assert digest == LIBRARY
    assert "Apache License" in (folder / "LICENSE").read_text()


def in_a_browser(page: str, folder: Path) -> str:
    """The page as Chromium has it once its scripts have run."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium on this machine (apt-get install chromium)")
        pytest.skip("there is no Chromium on this machine (apt-get install chromium)")
    file = folder / "report.html"
    file.write_text(page)
    words = [
        program, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=5000", "--window-size=390,844", "--dump-dom", file.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(words, capture_output=True, text=True, timeout=deadline(120))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_charts_and_trades_come_alive_in_a_browser(tmp_path: Path) -> None:
    some = run()
    times = TIMES[:40]
    trades = pd.DataFrame({
        "symbol": ["<img src=x onerror=document.title=1>", "B"] * 20, "direction": "long", "size": 1.0,
        "entry_time": times, "entry_price": 10.0, "exit_time": times + pd.Timedelta(days=1), "exit_price": 11.0,
        "commission": 0.0, "pnl": np.arange(40.0) - 10.0, "return": 0.1, "bars": 1,
    })  # fmt: skip
    (result,) = some.results.values()
    alive = in_a_browser(html_page(replace(some, results={"backtrader": result | {"trades": trades}})), tmp_path)
    assert alive.count("<canvas") >= 4, "two panes"
    assert '<div class="still replaced">' in alive
    assert "by the clock" in alive
    assert "40 trades" in alive
    rows = alive.partition('id="trades"')[2].partition("</table>")[0]
    assert rows.count("<tr>") == 1 + 25
    assert "<img" not in alive
    assert "<title>mine: backtest</title>" in alive


def test_names_are_escaped() -> None:
    page = html_page(run(name="<b>mine</b> & $yours", cuts=1))
    assert "<b>" not in page
    assert "A<B>" not in page
    assert "<b>mine</b> & $yours" in "".join(read(page).text)


def test_every_metric_is_in_the_table() -> None:
    some = run()
    assert set(METRICS) == set(some.benchmark_metrics)
    text = "".join(read(html_page(some)).text)
    for label, _ in METRICS.values():
        assert label in text
    assert "3f9a1c0e5b7d2468" in text
    assert "2024-03-04 to" in text, "a daily bar is told by its day, not by its close at midnight"


def test_looking_ahead_is_told_in_red_on_top() -> None:
    page = html_page(run(price="this_close", i_know_this_looks_ahead=True))
    warning = '<p class="bad">This backtest looks ahead'
    assert 0 < page.index(warning) < page.index("Total return")
    assert "which nobody can do" in page
    assert warning not in html_page(run())


def test_cuts_pending_and_ruin_are_told() -> None:
    texts = dict(run(equity=[1000.0, -5.0] * 60, cuts=3, pending=1).warnings()[i][::-1] for i in range(3))
    assert [(kind, text.split(";")[0]) for text, kind in texts.items()] == [
        ("bad", "backtrader: the equity fell to nothing or below"),
        ("note", "backtrader: 3 orders cut, for want of cash or by the limit of exposure."),
        ("note", "backtrader: 1 order still waiting for a bar when the data ended."),
    ]
    page = html_page(run(cuts=40))
    assert "Cut orders (40)" in page
    assert page.count("limit of exposure</td>") == 15
    assert "and 25 more in backtrader/cuts.csv" in page
    assert "No order was cut." in html_page(run())


def test_short_data_is_told() -> None:
    assert any("extrapolation" in text for _, text in run(equity=[1000.0] * 30).warnings())
    assert run().warnings() == []


def test_page_stands_for_a_flat_and_for_a_single_bar() -> None:
    for equity in ([1000.0] * 50, [1000.0]):
        read(html_page(run(equity=equity)))


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "percent", "\u2013"),
        (0.1234, "percent", "12.34\u00a0%"),
        (1570.0, "days", "1,570"),
        (0.25, "days", "0.25"),
        (-1234.5, "money", "-1,234.50"),
        (1234, "count", "1,234"),
    ],
)
def test_shown(value: float | None, kind: str, text: str) -> None:
    assert shown(value, kind) == text


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (97_234.0, 101_300.0, [96_000, 98_000, 100_000, 102_000]),
        (0.0, 1.0, [0.0, 0.5, 1.0]),
        (-0.23, 0.0, [-0.3, -0.2, -0.1, 0.0]),
        (5.0, 5.0, [4.95, 5.0, 5.05]),
    ],
)
def test_ticks_are_round_and_hold_the_data(low: float, high: float, ticks: list[float]) -> None:
    found = nice_ticks(low, high)
    assert found[0] <= low <= high <= found[-1]
    assert len(found) <= 8
    steps = np.diff(found)
    assert np.allclose(steps, steps[0])
    if low != high:
        assert found == pytest.approx(ticks)


def test_thinning_keeps_ends_and_extremes() -> None:
    values = np.sin(np.arange(100_000) / 999.0)
    values[54_321] = 9.0
    values[12_345] = -9.0
    values[:500] = np.nan
    places, kept = thinned(values)
    assert len(places) <= 4 * BUCKETS
    assert np.all(np.diff(places) > 0)
    assert (kept.max(), kept.min()) == (9.0, -9.0)
    assert (places[0], places[-1]) == (500, 99_999)
    assert np.array_equal(kept, values[places])


def test_chart_draws_the_values_where_they_belong() -> None:
    drawn = chart([Line("engine0", np.array([0.0, 50.0, np.nan, 100.0]))], TIMES[:4], str)
    points = re.search(r'<polyline class="engine0" points="([^"]+)"', drawn)
    assert points is not None
    assert points[1].split() == [f"0.0,{HEIGHT:.1f}", f"333.3,{HEIGHT / 2}", "1000.0,0.0"]


def test_engines_that_agree_are_told_of_once() -> None:
    one = run(cuts=3)
    both = replace(one, results=one.results | {"vectorbt": one.results["backtrader"]})
    page = html_page(both)
    assert '<p class="good">backtrader and vectorbt agree: identical equity</p>' in page
    assert page.count("3 orders cut") == page.count("backtrader, vectorbt: 3 orders cut") == 1
    assert page.count("<h2>Cut orders: backtrader, vectorbt (3)</h2>") == 1
    assert "agree" not in html_page(one)
    other = run(equity=np.linspace(1000.0, 1400.0, len(TIMES)), cuts=2).results["backtrader"]
    page = html_page(replace(one, results=one.results | {"vectorbt": other}))
    assert '<p class="bad">backtrader and vectorbt disagree' in page
    assert "Cut orders: backtrader (3)" in page
    assert "Cut orders: vectorbt (2)" in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (123456.789, "123,456.79"), (10.0, "10.00"), (-12.345, "-12.35"), (1.2345, "1.234"), (0.0512349, "0.05123"),
        (-0.00001234, "-0.00001234"), (3e-9, "3e-09"), (0.0, "0.00"),
    ],
)  # fmt: skip
def test_money_of_a_small_account_keeps_its_digits(value: float, text: str) -> None:
    assert shown(value, METRICS["final_equity"][1]) == text
