"""A cross-validation as a page of its own: each fold's information coefficient with its interval, no network needed."""

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape

from backtest.report.chart import nice_ticks
from backtest.report.page import around
from backtest.training.cross_validation import CrossValidation, Fold

ROW, LEFT, WIDTH, TOP = 26, 230, 900, 40


def page(strategy: str, done: CrossValidation) -> str:
    """The page's HTML: folds from top to bottom, and for CPCV its paths below."""
    known = [each for fold in done.folds for each in (fold.ic.low, fold.ic.high) if each is not None]
    known += [path.ic for path in done.paths if path.ic is not None] + [0.0]
    ticks = nice_ticks(min(known), max(known))
    height = TOP + ROW * (len(done.folds) + bool(done.paths)) + 10

    def x(value: float) -> float:
        return round(LEFT + (value - ticks[0]) / (ticks[-1] - ticks[0]) * (WIDTH - LEFT - 20), 1)

    rules = "".join(
        f'<line class="{"zero" if abs(tick) < 1e-12 else "rule"}" x1="{x(tick)}" x2="{x(tick)}" y1="{TOP - 14}" '
        f'y2="{height}"/><text x="{x(tick)}" y="16" text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    )
    rows = "".join(_row(fold, TOP + ROW * number, x) for number, fold in enumerate(done.folds))
    dots = "".join(
        f'<circle class="path" cx="{x(path.ic)}" cy="{TOP + ROW * len(done.folds)}" r="5"/>'
        for path in done.paths
        if path.ic is not None
    )
    if done.paths:
        dots += f'<text x="0" y="{TOP + ROW * len(done.folds) + 4}">the {len(done.paths)} paths</text>'
    title = f"{strategy}: information coefficient out of sample, {done.method}"
    caption = "Spearman's rank correlation of prediction and target, with its 95% interval by the stationary bootstrap"
    return around(
        title,
        f"<header><h1>{escape(title)}</h1></header><section><p>{caption} over time.</p>"
        f'<div class="wide"><svg class="folds" role="img" viewBox="0 0 {WIDTH} {height}" aria-label="{escape(title)}">'
        f"{rules}{rows}{dots}</svg></div></section>\n",
    )


def _row(fold: Fold, y: int, x: Callable[[float], float]) -> str:
    groups = "+".join(str(group + 1) for group in fold.groups)
    label = f'<text x="0" y="{y + 4}">{groups}: {period(fold)}</text>'
    if fold.ic.value is None or fold.ic.low is None or fold.ic.high is None:
        return label
    return (
        f'{label}<line class="range" x1="{x(fold.ic.low)}" x2="{x(fold.ic.high)}" y1="{y}" y2="{y}"/>'
        f'<circle class="dot" cx="{x(fold.ic.value)}" cy="{y}" r="5"><title>{fold.ic.value:.4f}</title></circle>'
    )


def period(fold: Fold) -> str:
    """The days from the first to the last row tested."""
    days = (datetime.fromtimestamp(time / 1000, UTC) for time in (fold.test.first_time, fold.test.last_time))
    return " to ".join(f"{day:%Y-%m-%d}" for day in days)
