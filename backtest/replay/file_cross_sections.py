"""Cross-sections of bars from files: no log tells who came in time, so the members are those that have a bar."""

from collections.abc import Container, Iterable, Iterator

from plugins.pipeline.cross_sections.closing import members_and_left
from plugins.pipeline.cross_sections.cross_section import closing_of, signals_of
from plugins.pipeline.cross_sections.deciding import Deciders
from plugins.strategy.ready import ReadyStrategy
from schemas.errors import PluginError
from schemas.wire import Signal
from schemas.wire.cross_sections import Closing, Prediction


class FileSections:
    """Gathers predictions that come in order of time, and decides on a time when a later one comes. Of the times in
    `keep`, what was decided, and about what, stays in `kept`. `past`: what decides where it is what is in force.
    """

    def __init__(self, strategy: ReadyStrategy, keep: Container[int] = (), past: Iterable[ReadyStrategy] = ()) -> None:
        self.strategy = strategy
        self.deciders = Deciders([*past, strategy])
        self.kept: list[tuple[Closing, dict[str, Prediction]]] = []
        self._keep = keep
        self._time = -1
        self._present: dict[str, Prediction] = {}

    def take(self, predictions: Iterable[Prediction]) -> Iterator[Signal]:
        """The signals of the times that these complete."""
        for prediction in predictions:
            if prediction.time != self._time:
                yield from self.end()
                self._time = prediction.time
            self._present[prediction.symbol] = prediction

    def exchange(self, strategy: ReadyStrategy) -> list[Signal]:
        """Another one decides on later times; the signals of the last time before."""
        signals = self.end()
        self.strategy, self.deciders = strategy, Deciders([strategy])
        return signals

    def end(self) -> list[Signal]:
        """The signals of the last time."""
        present, self._present = self._present, {}
        if not present:
            return []
        members, left = members_and_left(self.strategy.universe, self._time, present)
        closing = closing_of(
            self.deciders.deciding(present, self.strategy), self._time, members, left, expected=members
        )
        if self._time in self._keep:
            self.kept.append((closing, present))
        try:
            return signals_of(closing, present, self.deciders(closing))
        except PluginError as error:
            name = self.strategy.name
            raise PluginError(f"strategy {name} fails at the cross-section of time {self._time}: {error}") from error
