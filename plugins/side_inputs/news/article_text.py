"""The text of an article as scorers read it: without markup, one space between words, its language guessed."""

import hashlib
import html
import re
import unicodedata
from functools import cache
from typing import Any

from schemas.errors import PluginError
from schemas.wire.news import Article

_MARKUP = re.compile(r"<!--|<!\[CDATA\[|<(/?)([a-zA-Z][a-zA-Z0-9]*+)[^<>]*+>|<![^<>]*+>")
_TOO_LARGE = re.compile(r"&#(?:[0-9]{8,}+|[xX][0-9a-fA-F]{7,}+);?")
"""References to characters that there are not; Python refuses to read numbers of some thousand digits."""
_ENDS = {
    "script": re.compile(r"</script[^<>]*+>", re.IGNORECASE),
    "style": re.compile(r"</style[^<>]*+>", re.IGNORECASE),
    "<!--": re.compile("-->"),
}
_LANGUAGE_CHARACTERS = 1_000
SURE = 0.9
"""How sure the guess of a language must be to be told."""


def text_of(article: Article) -> str:
    """Headline and body, cleaned."""
    return clean(f"{article.headline}\n{article.body}")


def clean(text: str) -> str:
    """Markup, scripts and comments out, entities (``&amp;``) resolved, Unicode composed (NFC), control and invisible
    characters out, white space to one space. Takes time in proportion to the length, whatever the text.

    Examples
    --------
    >>> clean("<p>Profit &amp; loss:<br/>P/E &lt; 3</p> <script>x()</script>")
    'Profit & loss: P/E < 3'
    """
    resolved = html.unescape(_TOO_LARGE.sub("\ufffd", _without_markup(text)))
    plain = unicodedata.normalize("NFC", resolved)
    seen = (" " if sign.isspace() else sign for sign in plain if sign.isspace() or not _unseen(sign))
    return " ".join("".join(seen).split())


def _unseen(sign: str) -> bool:
    return unicodedata.category(sign) in ("Cc", "Cf", "Cs")


def _without_markup(text: str) -> str:
    kept: list[str] = []
    at = 0
    while tag := _MARKUP.search(text, at):
        kept += text[at : tag.start()], " "
        at = tag.end()
        opens = tag[0] if tag[2] is None else ("" if tag[1] else tag[2].lower())
        if ends := _ENDS.get(opens):
            closed = ends.search(text, at)
            at = closed.end() if closed else len(text)
    kept.append(text[at:])
    return "".join(kept)


def text_sha256(text: str) -> str:
    """Of the cleaned text: equal for copies of an article."""
    return hashlib.sha256(text.encode()).hexdigest()


def language_of(article: Article, text: str) -> str | None:
    """What the article says of its language, else a guess (py3langid) from the text's beginning; None: not sure."""
    if article.language:
        return article.language.lower().partition("-")[0].partition("_")[0]
    language, probability = _identifier().classify(text[:_LANGUAGE_CHARACTERS])
    return str(language) if probability > SURE else None


@cache
def _identifier() -> Any:
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise PluginError(
            "news: the language of articles is told by py3langid, which is missing; pip install 'alphawire[lexicon]'"
        ) from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
