"""Columns of the cross-section, of the symbols' own: of one time when it is closed, of a whole history for training."""

from collections.abc import Sequence

import numpy as np

from plugins.base import FloatArray
from plugins.base.streaming import IntArray
from plugins.strategy.requirements import SectionColumn
from schemas.errors import PluginError


def section_columns(section: Sequence[SectionColumn], own: FloatArray) -> FloatArray:
    """One time's.

    Parameters
    ----------
    own
        Shape (symbols, columns): those of each symbol, in the order of the symbols.

    Returns
    -------
    FloatArray
        Shape (symbols, len(section)); NaN where the symbol's value is unknown.

    Raises
    ------
    PluginError
        A feature of the cross-section fails.
    """
    width = own.shape[1]
    values = np.concatenate([own, np.empty((len(own), len(section)))], axis=1)
    for place, column in enumerate(section, width):
        values[:, place] = column.of(values)
    return values[:, width:]


def fill_sections(
    section: Sequence[SectionColumn], values: FloatArray, times: IntArray, symbols: IntArray, rows: IntArray
) -> None:
    """Those of a history, into the last columns of `values`, whose first ones are the symbols' own.

    Parameters
    ----------
    values
        Shape (bars, columns).
    times, symbols
        Of each bar its close, and its symbol as a number in the order of their names.
    rows
        Numbers of the bars that count: of members that have warmed up.

    Raises
    ------
    PluginError
        A feature of the cross-section fails; it names the time.
    """
    first = values.shape[1] - len(section)
    rows = rows[np.lexsort((symbols[rows], times[rows]))]
    for part in np.split(rows, np.flatnonzero(np.diff(times[rows])) + 1) if len(rows) else ():
        try:
            values[part, first:] = section_columns(section, values[part, :first])
        except PluginError as error:
            raise PluginError(f"the cross-section of time {times[part[0]]}: {error}") from error
