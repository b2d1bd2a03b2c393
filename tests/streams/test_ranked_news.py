"""A strategy that ranks all symbols by their news: it predicts on the second track of the bars, and is gathered as any
other. Owners of bars and of predictions die in turn, on one log of states.
"""

import asyncio
import random
from typing import Any

import pytest

from plugins.pipeline.pipeline import Pipeline
from plugins.pipeline.strategy_run import Source
from schemas.wire import encode
from schemas.wire.cross_sections import Prediction, decode_prediction_record
from streams.consuming.intake import Intake
from tests.streams.test_news_track import patient
from tests.support.gathered import RANKING, as_the_log_says, gather, records
from tests.support.memory import Log, fetched, live, messy_bars, news_join, ready, undisturbed
from tests.support.scores import news_strategy, writes, written

SYMBOLS = list("ABCD")
COUNT = 120


def predicted(log: Log) -> dict[tuple[str, int], bytes]:
    """Each prediction on the log, by symbol and time; repeats must be equal."""
    found: dict[tuple[str, int], bytes] = {}
    for record in records(log):
        made = decode_prediction_record(record.value)
        if isinstance(made, Prediction):
            assert found.setdefault((made.symbol, made.time), encode(made)) == encode(made)
    return found


OF_SECTION = {
    "features": ["news.finbert_sentiment", "technical.rsi", {"section.rank": {"column": "positive_score"}}],
    "prediction": "positive_score.rank",
}
"""Its prediction is made when the cross-section is closed."""


@pytest.mark.parametrize("transactional", [False, True])
@pytest.mark.parametrize(("seed", "changes"), [*((seed, {}) for seed in range(4)), (4, OF_SECTION), (5, OF_SECTION)])
def test_lives_cut_short_rank_by_the_same_news(seed: int, changes: dict[str, Any], transactional: bool) -> None:
    rng, log = random.Random(seed), Log()
    bars = fetched(messy_bars(rng, SYMBOLS, COUNT))
    plain, ranked = ready("plain"), news_strategy("ranked", **({"signal": RANKING, "universe": SYMBOLS} | changes))
    scorers = writes(log, iter(written(rng, SYMBOLS, COUNT)), rng, 1.0)

    async def lives() -> None:
        for last in (False, False, True):
            await live(
                log, bars, [plain, ranked], rng, dies_at=None if last else rng.randint(3, 25),
                transactional=transactional, meanwhile=scorers, config=patient(1_000_000.0),
            )  # fmt: skip
            dies_at = None if last else rng.randint(0, 15)
            await gather(log, [ranked], [], rng, dies_at=dies_at, transactional=transactional)

    asyncio.run(lives())
    pipeline = Pipeline([ranked], Source("bars", 0, "v"), news=news_join(log, ranked))
    wanted = pipeline.feed(Intake(0, 1, "murmur2").read(bars).batches).predictions
    assert predicted(log) == {(made.symbol, made.time): encode(made) for made in wanted}
    shown = [made.columns if isinstance(made.columns, dict) else {"": made.prediction} for made in wanted]
    known = [next(iter(values.values())) is not None for values in shown]
    with_news = [made.provenance.news_offset is not None for made in wanted]
    assert any(is_known and has_news for is_known, has_news in zip(known, with_news, strict=True))
    assert log.signals() == as_the_log_says(log, [ranked]) | undisturbed(bars, [plain])
    assert len(log.signals()) == len(wanted) + len(undisturbed(bars, [plain]))
