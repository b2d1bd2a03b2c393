"""A cross-validation as a page of its own: each fold's information coefficient with its interval, no network needed."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from html import escape

from backtest.report.chart import nice_ticks
from backtest.report.page import around
from backtest.training.cross_validation import CrossValidation, Fold

ROW, LEFT, WIDTH, TOP = 26, 230, 900, 40


def page(strategy: str, done: CrossValidation, verdict: Sequence[tuple[str, str]] = ()) -> str:
    """The page's HTML: what it came to (`verdict`: names and texts, of all folds together), folds from top to bottom,
    for CPCV its paths below, and how much each column weighs.
    """
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
        f"<header><h1>{escape(title)}</h1>{_verdict(done, verdict)}</header><section><p>{caption} over time.</p>"
        f'<div class="wide"><svg class="folds" role="img" viewBox="0 0 {WIDTH} {height}" aria-label="{escape(title)}">'
        f"{rules}{rows}{dots}</svg></div></section>{_folds(done)}{_importance(done)}\n",
    )


def _verdict(done: CrossValidation, verdict: Sequence[tuple[str, str]]) -> str:
    """What it comes to, first: is the model better than nothing?"""
    if done.pooled is not None:
        good = "good" if done.pooled.better_than_baselines else "bad"
        return "".join(
            f'<p class="{good if name == "verdict" else "quiet"}">{escape(name)}: {escape(text)}</p>'
            for name, text in sorted(verdict, key=lambda line: line[0] != "verdict")
        )
    known = [path.ic for path in done.paths if path.ic is not None]
    above = sum(value > 0 for value in known)
    good = "good" if known and above == len(known) else "bad"
    return f'<p class="{good}">{above} of {len(known)} paths have an information coefficient above 0.</p>'


def _folds(done: CrossValidation) -> str:
    scored = [("+".join(str(group + 1) for group in fold.groups), period(fold), fold.test) for fold in done.folds]
    scored += [(f"path {number}", "", path) for number, path in enumerate(done.paths, 1)]
    rows = "".join(
        f'<tr><th>{name}</th><td class=text data-of="tested">{when}</td><td data-of="rows">{scores.rows:,}</td>'
        f'<td data-of="IC">{_number(scores.ic)}</td><td data-of="R²">{_number(scores.r2)}</td>'
        f'<td data-of="hit rate">{_number(scores.hit_rate)}</td></tr>'
        for name, when, scores in scored
    )
    head = "<th></th><th class=text>tested</th><th>rows</th><th>IC</th><th>R²</th><th>hit rate</th>"
    table = f'<table class="list"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<section><h2>Folds</h2><div class="wide">{table}</div></section>'


def _share(gains: Sequence[float]) -> str:
    """Mean of the folds; nothing where a library tells none."""
    return f"{sum(gains) / len(gains):.1%}" if gains else ""


def _importance(done: CrossValidation) -> str:
    """What each column adds to the information coefficient of the folds: mean and range, the largest first."""
    names = dict.fromkeys(name for fold in done.folds for name in fold.importance)
    if not names:
        return ""
    drops = {name: [fold.importance[name] for fold in done.folds if name in fold.importance] for name in names}
    gains = {name: [fold.gain[name] for fold in done.folds if name in fold.gain] for name in names}
    rows = "".join(
        f'<tr><th>{escape(name)}</th><td data-of="IC lost">{sum(each) / len(each):.4f}</td>'
        f'<td data-of="least to most">{min(each):.4f} to {max(each):.4f}</td>'
        f'<td data-of="gain">{_share(gains[name])}</td></tr>'
        for name, each in sorted(drops.items(), key=lambda item: -sum(item[1]) / len(item[1]))
    )
    head = "<thead><tr><th></th><th>IC lost, mean of the folds</th><th>least to most</th><th>gain</th></tr></thead>"
    note = (
        "<p class=quiet>What the information coefficient loses out of sample when a column's values are shuffled. Gain:"
        " its share of what the splits of the trees gained, by the model's own library.</p>"
    )
    table = f'<table class="list">{head}<tbody>{rows}</tbody></table>'
    return f'<section><h2>Importance of the columns</h2><div class="wide">{table}</div>{note}</section>'


def _number(value: float | None) -> str:
    return "\u2013" if value is None else f"{value:.4f}"


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
