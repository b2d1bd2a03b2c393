"""The scorers: equal bits for equal texts, and every mistake of the configuration one clear line.

The oracle of `finbert` is transformers' own pipeline; of `lexicon`, VADER called by hand.
"""

import random
import shutil
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugins.scorers import Scorer, open_scorer, scorers
from plugins.side_inputs.news import uncertainty
from plugins.side_inputs.news.article_text import clean, language_of, text_of, text_sha256
from schemas.configuration import News
from schemas.errors import ConfigurationError
from schemas.wire.news import Article
from tests.support.tiny_bert import WORDS, save_tiny_bert

TEXTS = [
    "Profit rises, great results!",
    "awful loss after the cut",
    "the bank of a new record",
    "results",
    "Größe 株価 🚀 $BAC -9%",
    "profit " * 500,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No hub, and nothing fetched before."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def finbert(folder: Path, **changes: Any) -> News:
    return News(**{"scorer": "finbert", "model": str(folder), "max_length": 32, "device": "cpu"} | changes)


@pytest.fixture(params=["lexicon", "finbert"])
def scorer(request: pytest.FixtureRequest, folder: Path) -> Scorer:
    return open_scorer(finbert(folder) if request.param == "finbert" else News(scorer="lexicon"))


def test_shares_sum_to_one_and_uncertainty_is_between_0_and_1(scorer: Scorer) -> None:
    found = scorer.score(TEXTS)
    shares = np.array([sentiment[:3] for sentiment in found])
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=0, atol=1e-12)
    assert ((shares >= 0) & (shares <= 1)).all()
    doubt = uncertainty(*shares.T)
    assert ((doubt >= 0) & (doubt <= 1 + 1e-12)).all()


def test_the_same_text_has_the_same_bits_whatever_is_scored_beside_it(scorer: Scorer) -> None:
    rng = random.Random(5)
    texts = [" ".join(rng.choices(WORDS[:14], k=rng.randint(1, 60))) for _ in range(40)]
    alone = {text: scorer.score([text])[0] for text in texts}
    for size in (2, 7, 40):
        rng.shuffle(texts)
        for first in range(0, len(texts), size):
            part = texts[first : first + size]
            assert scorer.score(part) == [alone[text] for text in part]


def test_finbert_is_what_transformers_says(folder: Path) -> None:
    from transformers import pipeline

    oracle = pipeline("text-classification", model=str(folder), tokenizer=str(folder), top_k=None, device="cpu")
    for text, found in zip(TEXTS, open_scorer(finbert(folder)).score(TEXTS), strict=True):
        expected = {item["label"].lower(): item["score"] for item in oracle([text], truncation=True, max_length=32)[0]}
        np.testing.assert_allclose(found[:3], [expected[n] for n in ("positive", "negative", "neutral")], atol=1e-6)
    assert len({found.positive for found in open_scorer(finbert(folder)).score(TEXTS)}) == len(TEXTS)


def test_what_is_cut_is_told(scorer: Scorer) -> None:
    assert [found.truncated for found in scorer.score(["results", "profit " * 2_000])] == [False, True]


def test_the_weights_are_stamped(folder: Path, tmp_path: Path) -> None:
    stamp = open_scorer(finbert(folder)).stamp
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert open_scorer(finbert(copy)).stamp == stamp
    config = copy / "config.json"
    config.write_text(config.read_text().replace('"Positive"', '"positive"'))
    assert open_scorer(finbert(copy)).stamp != stamp
    assert open_scorer(finbert(folder, max_length=16)).stamp != stamp


def test_lexicon_is_vaders_shares() -> None:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    expected = SentimentIntensityAnalyzer().polarity_scores(TEXTS[0])
    found = open_scorer(News(scorer="lexicon")).score([TEXTS[0], "http://t.co/1"])
    np.testing.assert_allclose(found[0][:3], [expected["pos"], expected["neg"], expected["neu"]], atol=2e-3)
    assert found[0].positive > 0.5
    assert found[1][:3] == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"scorer": "none"}, "news.scorer is none: nothing is scored; set it to one of finbert, lexicon"),
        ({"scorer": "lexikon"}, "there is no scorer 'lexikon'; did you mean lexicon?"),
        ({"scorer": "zzz"}, "there is no scorer 'zzz'; there is: finbert, lexicon, none"),
        ({"scorer": "finbert", "model": "./nowhere"}, "there is no folder ./nowhere; name one, or a model of the hub"),
        ({"scorer": "finbert"}, "the weights of news.model ProsusAI/finbert are not here and cannot be fetched"),
        ({"scorer": "finbert", "device": "cuda"}, "news.device is cuda, and torch finds no such device"),
    ],
)
def test_a_scorer_that_cannot_be_had_is_one_clear_line(settings: dict[str, Any], text: str, no_network: None) -> None:
    if settings.get("device") == "cuda":
        import torch

        if torch.cuda.is_available():
            pytest.skip("there is such a device here")
    with pytest.raises(ConfigurationError) as told:
        open_scorer(News(**settings))
    assert text in str(told.value)


def test_what_was_fetched_and_cannot_be_read_is_not_fetched_again(
    no_network: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(ConfigurationError, match=r"cannot be read from what was fetched \(HFValidationError"):
        open_scorer(News(scorer="finbert", model="-no/name-"))


def test_a_model_that_is_no_scorer_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="its labels are bad, good, neutral; a scorer's are positive"):
        open_scorer(finbert(save_tiny_bert(tmp_path / "labels", ("good", "bad", "neutral"))))
    with pytest.raises(ConfigurationError, match="is no trained classifier: its weights lack classifier"):
        open_scorer(finbert(save_tiny_bert(tmp_path / "base", base=True)))
    with pytest.raises(
        ConfigurationError, match="its tokenizer knows 107 tokens, the model only 97; they do not belong"
    ):
        open_scorer(finbert(save_tiny_bert(tmp_path / "few", vocab_size=97)))
    with pytest.raises(ConfigurationError, match="max_length 65 is beyond the 64 tokens of the model"):
        open_scorer(finbert(folder, max_length=65))
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ConfigurationError, match="cannot be loaded from"):
        open_scorer(finbert(damaged))


def test_the_scorers_are_the_modules_of_the_folder() -> None:
    assert scorers() == ["finbert", "lexicon"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Profit &amp; loss", "Profit & loss"),
        ("<p>One</p><p>two<br/>three</p>", "One two three"),
        ("<SCRIPT>var a = '<b>'</Script >after", "after"),
        ("<style>b {}</style><!-- a > b -->after", "after"),
        ("<script>never closed", ""),
        ("P/E <3 & a < b > c", "P/E <3 & a < b > c"),
        ("&lt;b&gt; stays", "<b> stays"),
        ("cafe\u0301 \u200bx\u202e\x00y\r\n\tz", "caf\u00e9 xy z"),
        ("&#55357; &#0;", "\ufffd \ufffd"),
        ("  ", ""),
        ("&#" + "1" * 100_000 + ";x", "\ufffdx"),
        ("<" + "a" * 300_000, "<" + "a" * 300_000),
        ("<" * 100_000, "<" * 100_000),
        ("<!--" * 100_000, ""),
        ("<script>" * 100_000, ""),
        ("<div>" * 100_000, ""),
        ("<a " * 100_000, ("<a " * 100_000).strip()),
    ],
)  # fmt: skip
def test_cleaned(text: str, expected: str) -> None:
    assert clean(text) == expected


def test_language_is_what_the_article_says_else_a_guess_that_is_sure() -> None:
    def of(text: str, language: str | None = None) -> str | None:
        article = Article("a", 0, body=text, language=language)
        return language_of(article, text_of(article))

    assert of("Profit rises", "pt-BR") == "pt"
    assert of("The company reported better results than analysts had expected this quarter") == "en"
    assert of("Les actions ont fortement baissé après la publication des résultats du trimestre") == "fr"
    assert of("$BAC") is None
    assert text_sha256("a") != text_sha256("b")
