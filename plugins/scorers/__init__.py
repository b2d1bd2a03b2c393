"""Scorers of news: each a module here whose name is what `news.scorer` says, with a function ``open_scorer``.

A further one is one more module in this folder: ``def open_scorer(settings: News) -> Scorer``.
"""

import difflib
import importlib
import pkgutil
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from schemas.configuration import News
from schemas.errors import ConfigurationError


class Sentiment(NamedTuple):
    """What a text says, in shares that sum to 1; `truncated`: not all of it was read."""

    positive: float
    negative: float
    neutral: float
    truncated: bool = False


class Scorer(Protocol):
    """Scores texts. The same text gives the same bits, whatever else is scored beside it."""

    stamp: str
    """``name/version``, what its scores depend on, and the SHA-256 of its weights or words."""

    def score(self, texts: Sequence[str]) -> list[Sentiment]:
        """One for each text, in order; texts are cleaned and not empty."""


def scorers() -> list[str]:
    """The names that `news.scorer` can have, but for ``none``."""
    return sorted(info.name for info in pkgutil.iter_modules(__path__) if not info.name.startswith("_"))


def open_scorer(settings: News) -> Scorer:
    """The scorer that the configuration names, ready to score.

    Raises
    ------
    ConfigurationError
        For ``none``, an unknown name, or one whose weights or libraries are not here: never another one instead.
    """
    name, known = settings.scorer, scorers()
    if name == "none":
        raise ConfigurationError(f"news.scorer is none: nothing is scored; set it to one of {', '.join(known)}")
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        mend = f"did you mean {near[0]}?" if near else f"there is: {', '.join(known)}, none"
        raise ConfigurationError(f"news.scorer: there is no scorer {name!r}; {mend}")
    scorer: Scorer = importlib.import_module(f"{__name__}.{name}").open_scorer(settings)
    return scorer
