"""Strategies with real models that are exchanged, paused and resumed while lives are cut short, without a broker."""

import atexit
import json
import random
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from plugins.models import model_registry
from plugins.models.artifacts.loading import TrainedOn, save_artifact
from plugins.models.artifacts.manifest import read_manifest
from plugins.strategy.ready import ReadyStrategy, ready_strategy
from schemas.canonical import file_sha256
from schemas.configuration import Strategy
from schemas.wire import Applied, Pause, Resume, Signal, Use, Wish, decode_control, encode
from streams.consuming.intake import Intake
from streams.owners.bars_owner import BarsOwner
from streams.publishing.writer import Record
from streams.requests.control_requests import ControlRequests
from tests.support.memory import FEATURES, Fetched, Log, fetched, live, messy_bars

NAME = "moving"
COLUMNS = ["rsi", "z_score"]
ARTIFACTS = ("a", "b", "c")
"""The first is the configured one."""
TRAINED = TrainedOn(
    interval="1m", symbols=["A"], target="forward_return", horizon_bars=5, first_time=60_000, last_time=600_000,
    rows=200, data_sha256="0" * 64,
)  # fmt: skip


def save_model(
    folder: Path, seed: int, columns: Sequence[str] = COLUMNS, key: str = "ml.lightgbm", **params: Any
) -> str:
    """A small real model, of which each seed gives another; its SHA-256."""
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame(rng.normal(size=(200, len(columns))) * 50 + 50, columns=list(columns))
    model = model_registry.create(key, **(params or {"n_estimators": 3}))
    model.train(rows, pd.Series(rng.normal(size=200)))
    return save_artifact(model, folder, columns=columns, training=TRAINED, rows=rows.to_numpy()).sha256


@cache
def shelf() -> Path:
    """A folder with the `ARTIFACTS`."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for seed, name in enumerate(ARTIFACTS):
        save_model(folder / name, seed)
    return folder


def settings(folder: Path) -> Strategy:
    """The strategy with the model `a` of that folder."""
    return Strategy.model_validate(
        {
            "interval": "1m",
            "features": FEATURES,
            "model": {"key": "ml.lightgbm", "artifact": str(folder / ARTIFACTS[0])},
            "signal": {"key": "signal.threshold", "buy_threshold": 0.01, "sell_threshold": -0.01},
            "start": "earliest",
        }
    )


@cache
def with_model(artifact: str) -> ReadyStrategy:
    """The strategy with one of the models, made from a configuration that names it."""
    given = settings(shelf())
    assert given.model is not None
    use = given.model.model_copy(update={"artifact": shelf() / artifact})
    return ready_strategy(NAME, given.model_copy(update={"model": use}))


class Book(ControlRequests):
    """Loads each model once for all tests."""

    def __init__(self, strategies: Sequence[ReadyStrategy]) -> None:
        super().__init__(strategies, {NAME: settings(shelf())})

    def _certified(self, wish: Use) -> ReadyStrategy:
        return _certified(wish.artifact, wish.sha256)


@cache
def _certified(artifact: str | None, sha256: str | None) -> ReadyStrategy:
    book = ControlRequests([with_model(ARTIFACTS[0])], {NAME: settings(shelf())})
    return book._certified(Use("x", NAME, artifact, sha256))


def random_wish(rng: random.Random, bars: Sequence[Fetched], number: int) -> Wish:
    """For another model, for the configured one, for a pause or its end: at once or from the time of some bar on."""
    time = None if rng.random() < 0.5 else 1_380_000_000_000 + 60_000 * rng.randint(0, len(bars) // 3)
    dice, identity = rng.random(), f"w{number}"
    if dice < 0.3:
        return rng.choice([Pause, Resume])(identity, NAME, time)
    if dice < 0.4:
        return Use(identity, NAME, None, None, time)
    if dice < 0.5:
        return Use(identity, NAME, "a", "0" * 64, time)  # of another SHA-256, so refused
    artifact = rng.choice(ARTIFACTS)
    model = with_model(artifact).model_id
    assert model is not None
    return Use(identity, NAME, artifact, model.sha256, time)


def wishes_on(log: Log) -> Iterator[Wish]:
    for record in log.of("control"):
        found = decode_control(record.value)
        if isinstance(found, Wish):
            yield found


async def swapping_lives(
    log: Log, bars: Sequence[Fetched], others: Sequence[ReadyStrategy], rng: random.Random, transactional: bool
) -> None:
    """Lives beside `others` in which wishes come at any time, and are there already when the next life begins."""
    strategies, number = [with_model(ARTIFACTS[0]), *others], 0

    def sent() -> Wish:
        nonlocal number
        number += 1
        wish = random_wish(rng, bars, number)
        log.records.append(Record("control", NAME.encode(), encode(wish)))
        return wish

    def meanwhile(worker: BarsOwner) -> None:
        if rng.random() < 0.15:
            wish = sent()
            if worker.requests.take(wish) is None:
                worker.fulfil(wish.strategy)

    reached = 0
    for turn in range(rng.randint(3, 8)):
        reached = rng.randint(reached, len(bars)) if turn else len(bars) // 3
        book = Book(strategies)
        book.begin(wishes_on(log))
        at_a_swap = rng.random() < 0.5
        await live(
            log, bars[:reached], strategies, rng, dies_at=rng.choice([None, rng.randint(0, 4 if at_a_swap else 25)]),
            stops_at=rng.choice([None, None, rng.randint(0, reached)]), dies_at_control=at_a_swap,
            transactional=transactional, requests=book, meanwhile=meanwhile,
        )  # fmt: skip
        if rng.random() < 0.3:
            sent()
    book = Book(strategies)
    book.begin(wishes_on(log))
    await live(log, bars, strategies, rng, transactional=transactional, requests=book)


def swaps(log: Log) -> list[Applied]:
    """What was applied for the strategy, in the order of the log."""
    return log.stored().history[NAME]


def swap_faults(log: Log) -> Iterator[str]:
    """What is wrong with the order of the log: offsets that go back, a signal before what demands it."""
    offsets = [entry.offset for entry in swaps(log)]
    if offsets != sorted(offsets):
        yield f"offsets of what was applied go back: {offsets}"
    entries: list[Applied] = []
    for record in log.records:
        if record.topic == "control" and isinstance(entry := decode_control(record.value), Applied):
            entries += [entry] if entry.strategy == NAME else []
        elif record.topic == "signals":
            signal = msgspec.json.decode(record.value or b"", type=Signal)
            if signal.content.strategy == NAME:
                force = [entry for entry in entries if entry.offset <= signal.provenance.offset]
                if not force or force[-1].config_hash != signal.content.config_hash or force[-1].paused:
                    yield f"a signal at {signal.provenance.offset} came before what demands it"


async def forgetful_lives(log: Log, rng: random.Random, transactional: bool) -> None:
    """The model `b` is in force, and `c` wished from a time on that never comes, when one life ends and the next
    begins.
    """
    bars, strategies = fetched(messy_bars(rng, ["A", "B"], 120)), [with_model(ARTIFACTS[0])]
    await live(log, bars[:60], strategies, rng, transactional=transactional, requests=Book(strategies))
    for number, (name, time) in enumerate((("b", None), ("c", 4_000_000_000_000))):
        model = with_model(name).model_id
        assert model is not None
        wish = Use(f"w{number}", NAME, name, model.sha256, time)
        log.records.append(Record("control", NAME.encode(), encode(wish)))
        book = Book(strategies)
        book.begin(wishes_on(log))
        await live(log, bars[: 90 + 30 * number], strategies, rng, transactional=transactional, requests=book)


async def torn_swaps(log: Log, bars: Sequence[Fetched], rng: random.Random, transactional: bool) -> None:
    """Each life begins with a wish for another model from the time of one of its bars on, and ends in the very write
    that says so.
    """
    strategies, reached = [with_model(ARTIFACTS[0])], 0
    for number in range(8):
        reached += len(bars) // 10
        time = max(times) if (times := times_of(bars[reached - len(bars) // 20 : reached])) else None
        model = with_model(ARTIFACTS[number % 3]).model_id
        assert model is not None
        wish = Use(f"w{number}", NAME, ARTIFACTS[number % 3], model.sha256, time)
        log.records.append(Record("control", NAME.encode(), encode(wish)))
        book = Book(strategies)
        book.begin(wishes_on(log))
        await live(
            log, bars[:reached], strategies, rng, dies_at=0 if number else None, dies_at_control=True,
            transactional=transactional, requests=book,
        )  # fmt: skip
    book = Book(strategies)
    book.begin(wishes_on(log))
    await live(log, bars, strategies, rng, transactional=transactional, requests=book)


def times_of(bars: Sequence[Fetched]) -> list[int]:
    """When the bars of one minute close."""
    batches = Intake(0, 1, "murmur2").read(bars).batches
    return batches["1m"].bars["time"].tolist() if "1m" in batches else []


def modelled(folder: Path) -> dict[str, Any]:
    """The strategy as a configuration file has it."""
    given = settings(folder).model_dump(mode="json", include={"interval", "signal", "start"})
    model = {"key": "ml.lightgbm", "artifact": str(folder / ARTIFACTS[0])}
    return given | {"features": FEATURES, "model": model}


def bad_artifacts(folder: Path) -> dict[str, tuple[str, str]]:
    """What is wrong with it → the artifact and the SHA-256 to wish for: nothing of it may ever be used."""
    sha256 = {name: save_model(folder / name, 7) for name in ("tampered", "truncated", "linked", "huge", "gone", "old")}
    for name, mend in (
        ("tampered", lambda data: data.replace(b"tree", b"Tree")),
        ("truncated", lambda data: data[:99]),
    ):
        (file,) = (folder / name).glob("model-*")
        file.write_bytes(mend(file.read_bytes()))
    shutil.rmtree(folder / "gone")
    shutil.move(folder / "linked", folder.parent / "elsewhere")
    (folder / "linked").symlink_to(folder.parent / "elsewhere")
    with (folder / "huge" / "manifest.json").open("ab") as file:
        file.write(b" " * (2 << 20))
    manifest = folder / "old" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"lightgbm": "', '"lightgbm": "1'))
    sha256["columns"] = save_model(folder / "columns", 7, ["rsi", "atr"])
    save_model(folder / "key", 7)
    manifest = folder / "key" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"ml.lightgbm"', '"ml.ridge"'))
    sha256["key"] = read_manifest(folder / "key").sha256
    sha256["self-test"] = with_another_self_test(folder / "self-test")
    sha256["sha256"] = "0" * 64
    save_model(folder / "sha256", 7)
    return {name: (name, value) for name, value in sha256.items()}


def with_another_self_test(folder: Path) -> str:
    """A model whose last prediction is not that of its self-test, as by another processor."""
    save_model(folder, 7)
    manifest = json.loads((folder / "manifest.json").read_text())
    file = folder / manifest["models"]["*"]["self_test"]
    file.write_bytes(file.read_bytes()[:-8] + np.float64(0.5).tobytes())
    manifest["files"][file.name] = file_sha256(file)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return read_manifest(folder).sha256


REASONS = {
    "tampered": "its SHA-256 differs", "truncated": "its SHA-256 differs", "linked": "a link that leads out of",
    "huge": "no manifest of a model", "gone": "there is no model artifact", "old": "trained with lightgbm",
    "columns": "columns are not those of the training", "key": "a model of ml.ridge", "sha256": "is wanted",
    "self-test": "predictions are not those of the training",
}  # fmt: skip


def demanded_faults(applied: Iterable[Applied], signals: Iterable[Signal]) -> Iterator[str]:
    """Signals of another model or configuration than their partition's `applied` demands, and those of a pause."""
    history: dict[tuple[str, int], list[Applied]] = defaultdict(list)
    for entry in applied:
        history[entry.strategy, entry.partition].append(entry)
    for signal in signals:
        content, place = signal.content, signal.provenance
        entries = history[content.strategy, place.partition]
        force = next((entry for entry in reversed(entries) if entry.offset <= place.offset), None)
        if force is None or (force.model, force.config_hash) != (content.model, content.config_hash) or force.paused:
            yield f"{content.strategy} {place.partition}:{place.offset} {content.symbol}: not what is applied there"
