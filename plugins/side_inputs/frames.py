"""Bars of references out of bars that are all there: of a file, a frame, or a log that is read whole."""

from collections.abc import Iterable

import numpy as np

from plugins.base.bars import BarBatch
from plugins.side_inputs.references import Reference, ReferenceJoin
from schemas.errors import ConfigurationError


class WholeBars:
    """The join of bars that come in order of time, those of one time together."""

    def __init__(self, interval: str, references: Iterable[Reference]) -> None:
        self.interval, self.join = interval, ReferenceJoin()
        self._names = frozenset[str]().union(*(reference.names for reference in references))

    def take(self, batch: BarBatch) -> None:
        """Bars that come next, before any of them is joined."""
        names = self._names & set(batch.symbols) if self._names else self._names
        symbols = np.array(batch.symbols, object) if names else None
        for name in sorted(names):
            self.join.add(self.interval, name, batch.bars[symbols == name])

    def check(self) -> None:
        """`ConfigurationError` where bars asked for a reference that never had one: all would be unknown."""
        if missing := self.join.missing:
            raise ConfigurationError(
                f"the bars hold none of {', '.join(missing[:3])}, which `with` names: add its bars, or name another"
                " reference"
            )
