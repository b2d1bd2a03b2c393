"""A cross-validation as a page of its own: each fold's information coefficient with its interval, no network needed."""

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape

from backtest.chart import nice_ticks
from backtest.training.cross_validation import CrossValidation, Fold

STYLE = """:root{--text:#222;--back:#fff;--rule:#ddd;--zero:#777;--fold:#3b6ea5;--path:#c2571a}
@media(prefers-color-scheme:dark){:root{--text:#ddd;--back:#16181c;--rule:#33373d;--zero:#999;--fold:#7fb2e5}
:root{--path:#f0904f}}
body{font:14px system-ui,sans-serif;max-width:68rem;margin:2rem auto;padding:0 1.5rem;color:var(--text)}
body{background:var(--back)}
h1{font-size:1.5rem}.plot{position:relative;padding:2.4rem 0 .5rem}
.rules{position:absolute;top:0;bottom:0;left:20rem;right:0}.rules span{position:absolute;transform:translateX(-50%)}
.rules i{position:absolute;top:1.6rem;bottom:0;border-left:1px solid var(--rule)}.rules i.zero{border-color:var(--zero)}
.row{position:relative;display:grid;grid-template-columns:20rem 1fr;align-items:center;min-height:1.9rem}
.row b{float:right;margin-right:1.5rem;font-weight:600;font-variant-numeric:tabular-nums}
.track{position:relative;height:1.2rem}.track i{position:absolute;top:50%;transform:translateY(-50%)}
.range{height:3px;background:var(--fold)}
.dot,.path{width:11px;height:11px;margin-left:-5.5px;border-radius:50%;background:var(--fold)}
.path{background:var(--path);opacity:.75}
@media(max-width:700px){h1{font-size:1.2rem}.rules{left:0}.row{grid-template-columns:1fr;padding-top:.4rem}
.row b{margin-right:0}.row>div:first-child{background:var(--back)}}"""


def page(strategy: str, done: CrossValidation) -> str:
    """The page's HTML: folds from top to bottom, and for CPCV its paths below; a narrow screen has names above."""
    known = [each for fold in done.folds for each in (fold.ic.low, fold.ic.high) if each is not None]
    known += [path.ic for path in done.paths if path.ic is not None] + [0.0]
    ticks = nice_ticks(min(known), max(known))

    def x(value: float) -> float:
        return round(100 * (value - ticks[0]) / (ticks[-1] - ticks[0]), 2)

    rules = "".join(
        f'<i class="{"zero" if abs(tick) < 1e-12 else "rule"}" style="left:{x(tick)}%"></i>'
        f'<span style="left:{x(tick)}%">{tick:g}</span>'
        for tick in ticks
    )
    rows = "".join(_fold(fold, x) for fold in done.folds)
    if done.paths:
        dots = (f'<i class="path" style="left:{x(path.ic)}%"></i>' for path in done.paths if path.ic is not None)
        rows += _row(f"the {len(done.paths)} paths", "".join(dots))
    title = f"{escape(strategy)}: information coefficient out of sample, {escape(done.method)}"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><title>{title}</title>'
        f"<style>{STYLE}</style><h1>{title}</h1><p>Spearman's rank correlation of prediction and target, with its 95% "
        f'interval by the stationary bootstrap over time.</p><div class="plot"><div class="rules">{rules}</div>'
        f"{rows}</div></html>\n"
    )


def _fold(fold: Fold, x: Callable[[float], float]) -> str:
    name = f"{'+'.join(str(group + 1) for group in fold.groups)}: {period(fold)}"
    value, low, high = fold.ic.value, fold.ic.low, fold.ic.high
    if value is None or low is None or high is None:
        return _row(f"{name} <b>undefined</b>", "")
    return _row(
        f"{name} <b>{value:.3f}</b>",
        f'<i class="range" style="left:{x(low)}%;width:{round(x(high) - x(low), 2)}%"></i>'
        f'<i class="dot" style="left:{x(value)}%" title="{value:.4f} [{low:.4f}, {high:.4f}]"></i>',
    )


def _row(name: str, marks: str) -> str:
    return f'<div class="row"><div>{name}</div><div class="track">{marks}</div></div>'


def period(fold: Fold) -> str:
    """The days from the first to the last row tested."""
    days = (datetime.fromtimestamp(time / 1000, UTC) for time in (fold.test.first_time, fold.test.last_time))
    return " to ".join(f"{day:%Y-%m-%d}" for day in days)
