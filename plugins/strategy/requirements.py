"""What features require of each other: where each column comes from, and in which order they run."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from plugins.base import name_of
from plugins.base.streaming import StreamingFeature
from plugins.features import feature_registry
from plugins.news.join import NEWS_COLUMNS
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


def each_use(features: Sequence[FeatureColumns]) -> Iterator[tuple[FeatureColumns, dict[str, Any], list[str]]]:
    """Of each use of a plugin in the configuration: its feature, all that is said there, and all its columns."""
    for bound in features:
        if not bound.derived:
            columns = [column for one in features if one.use == bound.use for column in one.columns]
            yield bound, bound.feature.plugin.params | dict(bound.settings), columns


def needed_for(columns: Sequence[str], features: Sequence[FeatureColumns]) -> set[int]:
    """Numbers of the uses of plugins that these columns come from, or that those require."""
    waiting = [number for number, bound in enumerate(features) if set(bound.columns) & set(columns)]
    found: set[int] = set()
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += _needs(features[number], features)
    return {features[number].use for number in found}


def sessions_of(bound: FeatureColumns) -> dict[str, str]:
    """A library's calendar changes with its version: what of it belongs to the identity of a feature."""
    return {} if bound.sessions is None else {"sessions": bound.sessions}


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
        wanted if wanted in given else _place(place, bound, wanted, features)
        for wanted in bound.feature.plugin.requires
    )


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
    return {
        number
        for number, feature in enumerate(features)
        if any(feature.first <= place < feature.first + len(feature.columns) for place in places)
    }


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
