"""What features require of each other: where each column comes from, and in which order they run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plugins.base import BaseFeature, FloatArray, name_of
from plugins.base.streaming import StreamingFeature
from plugins.cross_sectional import SectionFeature
from plugins.features import feature_registry
from plugins.fold.derived.expression import Expression
from plugins.side_inputs.news.join import NEWS_COLUMNS
from plugins.side_inputs.references import OF_REFERENCE, Reference
from schemas.errors import ConfigurationError

Origin = int | str
"""Where a required column is: its place among the strategy's columns, or the name of what the pipeline itself gives."""


@dataclass(frozen=True)
class FeatureColumns:
    """One feature of a strategy, the names of its columns there, and the place of the first one."""

    feature: StreamingFeature
    columns: tuple[str, ...]
    first: int = 0
    origins: tuple[Origin, ...] = ()
    """Of the columns that it requires."""
    warmup: int = 0
    """Bars of a symbol before its first value, those included that a required feature needs first."""
    use: int = 0
    """Number of the use of a plugin, in the configuration's list, that it belongs to."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the configuration says beside the plugin's parameters."""
    sessions: str | None = None
    """Digest of a market's sessions that its values depend on."""
    derived: bool = False
    """Made of the columns that come before it."""
    reference: Reference | None = None
    """Whose bars stand beside the symbol's own."""

    def gives(self, places: Iterable[int]) -> bool:
        """Is one of these places that of a column of its own?"""
        return any(self.first <= place < self.first + len(self.columns) for place in places)


@dataclass(frozen=True)
class SectionColumn:
    """A column that is made when the cross-section is closed: of another one over all members, or by an expression."""

    plugin: SectionFeature | Expression
    name: str
    use: int
    """As of `FeatureColumns`."""
    origins: tuple[int, ...] = ()
    """Places of the columns that it is made of: the symbol's own come first, then those that were made before it."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The names of these columns."""
        return (self.plugin.column,) if isinstance(self.plugin, SectionFeature) else self.plugin.program.columns

    def of(self, values: FloatArray) -> FloatArray:
        """Of the columns of members of one time, by symbol; `PluginError` when the plugin fails."""
        if isinstance(self.plugin, SectionFeature):
            return self.plugin.among(values[:, self.origins[0]])
        return self.plugin.of([values[:, origin] for origin in self.origins])


@dataclass(frozen=True)
class UsedPlugin:
    """A use of a plugin in the configuration: all that is said there, and all its columns."""

    plugin: BaseFeature
    number: int
    params: dict[str, Any]
    columns: list[str]
    sessions: str | None = None

    @property
    def calendar(self) -> dict[str, str]:
        """A library's calendar changes with its version: what of it belongs to the identity of a feature."""
        return {} if self.sessions is None else {"sessions": self.sessions}


@dataclass(frozen=True)
class Features:
    """Those of a strategy: each symbol's `own`, in whose order their columns are, then those of the `section`."""

    own: tuple[FeatureColumns, ...]
    section: tuple[SectionColumn, ...] = ()

    @property
    def beside(self) -> frozenset[str]:
        """All symbols whose bars stand beside others."""
        return frozenset[str]().union(*(bound.reference.names for bound in self.own if bound.reference))

    @property
    def own_columns(self) -> list[str]:
        return [column for bound in self.own for column in bound.columns]

    @property
    def columns(self) -> list[str]:
        """What a model sees."""
        return [*self.own_columns, *(column.name for column in self.section)]

    def columns_by_feature(self) -> Iterator[tuple[str, ...]]:
        yield from (bound.columns for bound in self.own)
        yield from ((column.name,) for column in self.section)

    def uses(self) -> list[UsedPlugin]:
        """In the order of the configuration; expressions last."""
        return sorted((*self._own_uses(), *self._section_uses()), key=lambda use: use.number)

    def _own_uses(self) -> Iterator[UsedPlugin]:
        for bound in self.own:
            if not bound.derived:
                columns = [column for one in self.own if one.use == bound.use for column in one.columns]
                plugin = bound.feature.plugin
                yield UsedPlugin(plugin, bound.use, plugin.params | dict(bound.settings), columns, bound.sessions)

    def _section_uses(self) -> Iterator[UsedPlugin]:
        for column in self.section:
            yield UsedPlugin(column.plugin, column.use, column.plugin.params, [column.name])

    def needed_for(self, columns: Sequence[str]) -> "Features":
        """Those that these columns come from, or that those require."""
        places, section = set(map(self.columns.index, columns)), list[SectionColumn]()
        for place, column in reversed(list(enumerate(self.section, len(self.own_columns)))):
            if place in places:
                section.insert(0, column)
                places |= set(column.origins)
        waiting = [number for number, bound in enumerate(self.own) if bound.gives(places)]
        found: set[int] = set()
        while waiting:
            number = waiting.pop()
            if number not in found:
                found.add(number)
                waiting += _needs(self.own[number], self.own)
        uses = {self.own[number].use for number in found}
        return Features(tuple(bound for bound in self.own if bound.use in uses), tuple(section))


def origins_of(
    place: str, bound: FeatureColumns, features: Sequence[FeatureColumns], given: Sequence[str] = NEWS_COLUMNS
) -> tuple[Origin, ...]:
    """Where the columns are that `bound` requires.

    Parameters
    ----------
    place
        Of the feature in the configuration, for the message.
    given
        Names of the columns that the pipeline itself gives.

    Raises
    ------
    ConfigurationError
        A column is missing, or several features give it.
    """
    return tuple(
        wanted
        if wanted in given
        else _beside(place, bound, wanted)
        if wanted in OF_REFERENCE
        else _place(place, bound, wanted, features)
        for wanted in bound.feature.plugin.requires
    )


def _beside(place: str, bound: FeatureColumns, wanted: str) -> str:
    """The column of the reference."""
    if bound.reference is None:
        raise ConfigurationError(
            f"{place}: {name_of(bound.feature.plugin)} requires {wanted!r}, a reference's; say whose, by `with: SYMBOL`"
        )
    return bound.reference.column(wanted)


def _place(place: str, bound: FeatureColumns, wanted: str, features: Sequence[FeatureColumns]) -> int:
    """Of the column of that name; else of the one column that an alias gave another name."""
    names = [name for feature in features for name in feature.columns]
    own = [name for feature in features for name in feature.feature.columns]
    if wanted in names:
        return names.index(wanted)
    renamed = [name for name, original in zip(names, own, strict=True) if original == wanted]
    if len(renamed) == 1:
        return names.index(renamed[0])
    key = name_of(bound.feature.plugin)
    if renamed:
        raise ConfigurationError(
            f"{place}: {key} requires the column {wanted!r}, and {' and '.join(renamed)} are such columns;"
            " leave out `as:` where the one that is meant comes from"
        )
    givers = [cls.key for cls in feature_registry.classes() if wanted in _outputs(cls.outputs)]
    mend = f"add {' or '.join(givers)} to the features" if givers else f"the features give {', '.join(names)}"
    raise ConfigurationError(f"{place}: {key} requires the column {wanted!r}, which no feature gives; {mend}")


def _outputs(declared: object) -> tuple[str, ...]:
    return declared if isinstance(declared, tuple) else ()


def run_order(place: str, features: Sequence[FeatureColumns]) -> tuple[int, ...]:
    """The features' numbers, each after those that it requires, else as they are configured.

    Raises
    ------
    ConfigurationError
        Features require each other in a circle; it names the circle.
    """
    needs = [_needs(bound, features) for bound in features]
    order: list[int] = []
    while len(order) < len(features):
        waiting = [number for number in range(len(features)) if number not in order]
        ready = [number for number in waiting if needs[number] <= set(order)]
        if not ready:
            raise ConfigurationError(f"{place}: {_circle(waiting[0], needs, order, features)}; leave one of them out")
        order.append(ready[0])
    return tuple(order)


def _needs(bound: FeatureColumns, features: Sequence[FeatureColumns]) -> set[int]:
    """Numbers of the features that `bound` requires columns of."""
    places = [place for place in bound.origins if isinstance(place, int)]
    return {number for number, feature in enumerate(features) if feature.gives(places)}


def _circle(start: int, needs: Sequence[set[int]], done: Sequence[int], features: Sequence[FeatureColumns]) -> str:
    """Goes from requirement to requirement until one comes again."""
    path = [start]
    while path.count(path[-1]) == 1:
        path.append(min(needs[path[-1]] - set(done)))
    names = [name_of(features[number].feature.plugin) for number in path[path.index(path[-1]) :]]
    return f"{names[0]} requires " + ", which requires ".join(names[1:])


def warmup_of(number: int, features: Sequence[FeatureColumns]) -> int:
    """Bars before the first value of a feature: its own warm-up upon that of what it requires."""
    bound = features[number]
    before = [warmup_of(other, features) for other in _needs(bound, features)]
    return bound.feature.warmup + max(before, default=0)
