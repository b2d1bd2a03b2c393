"""Articles a second by scorer: texts alone, and through a scorer process by batch size.

`finbert` is a BERT of FinBERT's size with random weights, which cost what trained ones do.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from plugins.scorers import open_scorer
from schemas.configuration import Config, News, load_config
from schemas.wire.news import Article, Mark
from streams.ingest.article_files import produce_news
from streams.kafka.brokers import ENGINES, Broker
from streams.kafka.clients import read_partition_to_end
from streams.kafka.topics import create_topics
from streams.scorer.partition import last_marks
from streams.scorer.service import destination_of
from tests.support.tiny_bert import WORDS, save_tiny_bert

ARTICLES, TEXTS_OF_FINBERT = 5_000, 30
BATCHES = (1, 16, 64, 256)
VOCABULARY = [word for word in WORDS if not word.startswith("##")]
FINBERT_SIZE = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "vocab_size": 30_522, "max_position_embeddings": 512,
}  # fmt: skip


def articles(count: int, words: int = 20) -> list[Article]:
    """About 50 symbols, no text twice."""
    texts = np.random.default_rng(3).choice(VOCABULARY, (count, words))
    return [Article(f"a{n}", 0, [f"S{n % 50:02}"], f"{' '.join(texts[n])} {n}") for n in range(count)]


def alone(settings: News, count: int) -> float:
    """Texts a second, without Kafka."""
    scorer = open_scorer(settings)
    texts = [article.headline for article in articles(count)]
    scorer.score(texts[:2])
    began = time.perf_counter()
    scorer.score(texts)
    return count / (time.perf_counter() - began)


def through(broker: Broker, folder: Path, batch: int) -> float:
    """Articles a second from the first mark that covers any to the one that covers all, by the lexicon. They come
    when the scorer runs: over a backlog the time of its marks stands still.
    """
    file = folder / f"batch-{batch}.yaml"
    kafka = {"bootstrap": broker.bootstrap, "prefix": f"b{batch}.", "group": f"b{batch}", "news_partitions": 1}
    news = {"scorer": "lexicon", "batch_size": batch}
    file.write_text(yaml.safe_dump({"kafka": kafka, "news": news, "worker": {"http": False}}))
    config = load_config(file)
    asyncio.run(create_topics(config.kafka))
    with file.with_suffix(".log").open("ab") as log:
        command = [sys.executable, "-m", "alphawire", "scorer", "-c", str(file)]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ.copy())
        try:
            asyncio.run(_marked(config, 0))
            asyncio.run(produce_news(config.kafka, articles(ARTICLES)))
            asyncio.run(_marked(config, ARTICLES))
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    marks = [mark for mark in asyncio.run(_marks(config)) if mark.next]
    return (marks[-1].next - marks[0].next) / ((marks[-1].up_to - marks[0].up_to) / 1000)


async def _marked(config: Config, count: int) -> None:
    """Returns when a mark covers that many articles."""
    place = await destination_of(config)
    async with asyncio.timeout(600):
        while (marks := await last_marks(config.kafka, place, [0])).get(0, Mark(0, 1, 0, -1)).next < count:
            await asyncio.sleep(0.5 if marks else 1.0)


async def _marks(config: Config) -> list[Mark]:
    """Those of one partition, up to the first that covers all."""
    from schemas.wire.news import decode_news

    marks: list[Mark] = []
    async for record in read_partition_to_end(config.kafka, f"{config.kafka.prefix}news.scores", 0):
        mark = decode_news(record.value)
        if isinstance(mark, Mark) and (not marks or marks[-1].next < ARTICLES):
            marks.append(mark)
    return marks


def main(engine: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"news        lexicon, texts/s            {alone(News(scorer='lexicon'), 2_000):12,.1f}", flush=True)
        model = save_tiny_bert(folder / "bert", **FINBERT_SIZE)
        settings = News(scorer="finbert", model=str(model))
        print(f"news        finbert, texts/s            {alone(settings, TEXTS_OF_FINBERT):12,.1f}", flush=True)
        with ENGINES[engine]() as broker:
            for batch in BATCHES:
                rate = through(broker, folder, batch)
                print(f"news        lexicon, batch {batch:>3}, articles/s {rate:11,.1f}", flush=True)


if __name__ == "__main__":
    main("kafka" if "--kafka" in sys.argv else "tansu")
