"""From the content of a record to an article, as a source declares it."""

from typing import Any

from schemas.configuration.sources import Source
from schemas.errors import BadRecord
from schemas.wire import encode
from schemas.wire.news import Article, decode_article
from streams.consuming.decoding.fields import MISSING, Getter, find, getter, shown, steps_of
from streams.consuming.decoding.mapping import NOTHING, Chosen
from streams.consuming.decoding.times import reader_of
from streams.consuming.decoding.trades import text_of
from streams.ingest.article_symbols import plain, symbols_in

TEXTS = ("headline", "body")
MORE = ("source", "url", "language")
"""Read where they are declared."""


class ArticlePlan:
    """How the fields of a record become an article; its symbols as in files of news. `as_written`: ``$NVDA`` and
    ``NASDAQ:NVDA`` stay.
    """

    def __init__(self, source: Source, as_written: bool = False) -> None:
        columns = source.columns
        self._chosen = Chosen(source)
        self._id = getter(columns.get("id", ("id",))[0])
        times = columns.get("published_at") or source.time.columns or ("published_at",)
        self._time_of, self._time = getter(times[0]), reader_of(source.time, source.texts)
        names = columns.get("symbols", ("symbols",))
        self._symbols: Getter | None = None if names in NOTHING else getter(names[0])
        self._texts = {name: steps_of(columns.get(name, (name,))[0]) for name in TEXTS}  # type: ignore[call-overload]
        self._texts |= {name: steps_of(columns[name][0]) for name in MORE if name in columns}
        self._as_written = as_written

    def article(self, content: Any) -> Article | None:
        """None: the record is none of those that are read. `BadRecord` that says why it is no article."""
        if not self._chosen.has(content):
            return None
        texts = {name: text for name, steps in self._texts.items() if (text := _text(find(content, steps), name))}
        if not texts.keys() & set(TEXTS):
            raise BadRecord("invalid", "it has neither a headline nor a body: declare columns: {headline: …} or body")
        published = self._time(self._time_of(content))
        article = {"id": text_of(self._id(content), "id", 200), "published_at": published, **texts}
        return decode_article(encode(article | {"symbols": self._symbols_of(content)}))

    def _symbols_of(self, content: Any) -> list[str]:
        names = symbols_in(self._symbols(content)) if self._symbols else []
        return names if self._as_written else [*dict.fromkeys(map(plain, names))]


def _text(value: Any, name: str) -> str:
    if value is MISSING or value is None:
        return ""
    if not isinstance(value, str):
        raise BadRecord("invalid", f"its {name} is {shown(value)}, and no text")
    return value.strip()
