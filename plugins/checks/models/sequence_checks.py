"""The checks of models that see more than one row."""

import numpy as np
import pandas as pd

from plugins.base import FloatArray
from plugins.checks.findings.outcome import Failed, Inapplicable
from plugins.checks.models.subject import ModelSubject, differing, same, windows_of

CHUNKS = (1, 7)


def no_look_ahead(subject: ModelSubject) -> str:
    """Rows after some of a symbol's were changed, and left out: what was predicted before them must stay."""
    data = _one_symbol(subject)
    whole = subject.predict(data)
    cuts = [subject.lookback, (subject.lookback + len(data)) // 2, len(data) - 1]
    for cut in cuts:
        poisoned = data.copy()
        poisoned.iloc[cut:] = -3.0 * poisoned.iloc[cut:] + 7.0
        for how, predictions in {
            "changed": subject.predict(poisoned)[:cut],
            "left out": subject.predict(data.iloc[:cut]),
        }.items():
            if not same(whole[:cut], predictions):
                raise Failed(
                    f"with the rows from {cut} on {how}, {differing(whole[:cut], predictions)} before them",
                    "row t may use rows t - lookback + 1 to t: nothing centred, nothing over the whole frame",
                )
    return f"with other rows from {', '.join(map(str, cuts))} on, the same bits before"


def symbols(subject: ModelSubject) -> str:
    """Rows of two symbols were predicted by time, as training has them, and each symbol alone."""
    _needs_lookback(subject)
    mixed = subject.unseen.sort_index(level=["time", "symbol"])
    together = pd.Series(subject.predict(mixed), mixed.index)
    for name, rows in subject.unseen.groupby(level="symbol"):
        alone, beside = subject.predict(rows), np.asarray(together[rows.index], np.float64)
        if not same(alone, beside):
            raise Failed(
                f"{name} among another symbol's rows: {differing(alone, beside)} from {name} alone",
                "take the rows of the same symbol: X.groupby(level='symbol')",
            )
    return "each as if alone"


def lookback(subject: ModelSubject) -> str:
    """Rows older than the lookback were changed, and the first predictions inspected."""
    data, length = _one_symbol(subject), subject.lookback
    predictions = subject.predict(data)
    early = int(np.isfinite(predictions[: length - 1]).sum())
    absent = int(np.isnan(predictions[length - 1 :]).sum())
    if early or absent:
        raise Failed(
            f"{early} of the first {length - 1} rows have a prediction, and {absent} of the others have none",
            f"with a lookback of {length}, predict NaN for the first {length - 1} rows of a symbol, and for no other",
        )
    older = data.copy()
    older.iloc[: len(data) - length] = -3.0 * older.iloc[: len(data) - length] + 7.0
    if not same(predictions[-1:], subject.predict(older)[-1:]):
        raise Failed(
            f"rows older than the last {length} changed a prediction",
            "declare as lookback the rows that a prediction depends on, its own included; keep no state between calls",
        )
    return f"{length} rows, the first {length - 1} of a symbol without a prediction"


def batch_equals_live(subject: ModelSubject) -> str:
    """`predict` over a frame was compared with the windows that a worker gives: all at once, singly, in sevens, and
    backwards.
    """
    data, length = _one_symbol(subject), subject.lookback
    columns, windows = list(data.columns), windows_of(data, length)
    whole = subject.predict(data)[length - 1 :]
    ways = {"all at once": np.asarray(subject.model.predict_windows(windows, columns), np.float64)}
    ways["backwards"] = np.asarray(subject.model.predict_windows(windows[::-1].copy(), columns), np.float64)[::-1]
    for size in CHUNKS:
        ways[f"{size} at a time"] = _cut(subject, windows, columns, size)
    for how, predictions in ways.items():
        if not same(whole, predictions):
            raise Failed(
                f"given as windows, {how}, {differing(whole, predictions)} from predict over the frame",
                "derive it from plugins.sequence.SequenceModel and define forward alone; without batch_invariant a "
                "worker gives it one window at a time",
            )
    return f"{len(windows)} windows, {', '.join(ways)}: the same bits"


def _cut(subject: ModelSubject, windows: FloatArray, columns: list[str], size: int) -> FloatArray:
    parts = [subject.model.predict_windows(windows[i : i + size], columns) for i in range(0, len(windows), size)]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


def _one_symbol(subject: ModelSubject) -> pd.DataFrame:
    _needs_lookback(subject)
    data = subject.unseen.loc[["BAC"]]
    if len(data) < subject.lookback + 2:
        raise Failed(
            f"its lookback of {subject.lookback} rows is more than the {len(data)} that it is checked on",
            "check it with parameters that look back less",
        )
    return data


def _needs_lookback(subject: ModelSubject) -> None:
    if subject.lookback == 1:
        raise Inapplicable("it sees one row at a time, and batch_invariant shows that it does")
