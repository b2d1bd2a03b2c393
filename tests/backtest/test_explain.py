"""`explain` reproduces signals to the byte, and names the first field that was tampered with."""

import asyncio
import json
import random
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pytest

from alphawire.cli import main
from backtest.explain.explain import Explanation, check_document, explain_many
from backtest.explain.first_difference import first_difference
from backtest.replay.replay import replay
from backtest.replay.signal_files import write_signals
from plugins.pipeline.frames import feature_frame
from schemas.configuration import Config, Strategy
from schemas.errors import ArtifactError, ConfigurationError
from schemas.wire import Applied, encode
from streams.ingest.produce import produce_bars
from streams.kafka.brokers import TansuBroker
from streams.kafka.clients import open_producer
from streams.kafka.topics import topic_name
from tests.backtest.test_verify import work
from tests.support.live import MINUTES, minute_bars, records, strategy, topics_and_bars, write_config

BARS = minute_bars(3_000)


def configured(**changes: Any) -> Config:
    return Config(strategies={"demo": Strategy.model_validate(strategy(**changes))})


CONFIG = configured()


class Replayed:
    """Signals of `CONFIG` over `BARS` in a file, and explained."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bars = folder / "bars.parquet"
        BARS.to_parquet(self.bars, index=False)
        result = replay(CONFIG, "demo", str(self.bars))
        write_signals(result.raw, folder / "signals.jsonl")
        self.lines = (folder / "signals.jsonl").read_bytes().splitlines()
        self.ids = [signal.content.id for signal in result.raw]

    def explain(self, ids: list[str], lines: list[bytes] | None = None, bars: Path | None = None) -> list[Explanation]:
        file = self.folder / "some.jsonl"
        file.write_bytes(b"\n".join(self.lines if lines is None else lines) + b"\n")
        return explain_many(CONFIG, ids, file, str(bars or self.bars))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    return Replayed(tmp_path_factory.mktemp("explain"))


def test_a_thousand_random_signals_are_reproduced(replayed: Replayed) -> None:
    chosen = random.Random(1).sample(range(len(BARS)), 1_000)
    found = replayed.explain([replayed.ids[number] for number in chosen])
    assert [one.id for one in found] == [replayed.ids[number] for number in chosen]
    assert all(one.reproduced and one.difference is None for one in found)
    columns = feature_frame("demo", CONFIG.strategy("demo"), BARS)
    for number, one in zip(chosen, found, strict=True):
        bar = BARS.iloc[number]
        earlier = BARS.iloc[: number + 1]
        mine = earlier[earlier["symbol"] == bar["symbol"]]
        assert one.folded == len(mine)
        assert [b["offset"] for b in one.bars] == mine.index[-21:].tolist()  # momentum over 20 bars warms up 20
        assert [b["close"] for b in one.bars] == mine["close"].tolist()[-21:]
        if one.folded > 20:
            time = pd.Timestamp(bar["close_time"], unit="ms", tz="UTC")
            assert one.columns == columns.loc[(bar["symbol"], time)].to_dict()
        assert one.prediction == one.columns["rsi"]


def test_signals_in_parquet_are_explained_too(replayed: Replayed, tmp_path: Path) -> None:
    file = tmp_path / "signals.parquet"
    write_signals(replay(CONFIG, "demo", str(replayed.bars)).raw[:300], file)
    (found,) = explain_many(CONFIG, [replayed.ids[299]], file, str(replayed.bars))
    assert found.reproduced
    assert pd.read_parquet(file)["message"].tolist() == replayed.lines[:300]
    pd.read_parquet(file).drop(columns="message").to_parquet(file)
    with pytest.raises(ConfigurationError, match=r"cannot be read as signals .*alphawire replay --out FILE.parquet"):
        explain_many(CONFIG, [replayed.ids[299]], file, str(replayed.bars))


def changed(value: Any) -> Any:
    """Another value of the same kind."""
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, float):
        return value * 1.5 + 1.0
    return 7 if value is None else value + 1


def leaves(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where each number, text or null lies."""
    if isinstance(value, dict):
        return [leaf for name, part in value.items() for leaf in leaves(part, (*place, name))]
    if isinstance(value, list):
        return [leaf for number, part in enumerate(value) for leaf in leaves(part, (*place, number))]
    return [place]


def at(value: Any, place: tuple[Any, ...]) -> Any:
    for name in place:
        value = value[name]
    return value


def tampered(value: Any, place: tuple[Any, ...]) -> Any:
    altered = deepcopy(value)
    at(altered, place[:-1])[place[-1]] = changed(at(value, place))
    return altered


def named(place: tuple[Any, ...]) -> str:
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in place).removeprefix(".")


def test_fifty_tampered_signals_are_named_with_the_field(replayed: Replayed) -> None:
    """The worker's version is told, not compared: any other may have published the same."""
    rng, lines, expected = random.Random(2), [], {}
    for number in rng.sample(range(len(BARS)), 50):
        plain = json.loads(replayed.lines[number])
        places = [place for place in leaves(plain) if place[-1] != "worker"]
        place = places[len(expected) % len(places)]
        altered = tampered(plain, place)
        lines.append(json.dumps(altered, separators=(",", ":")).encode())
        expected[altered["content"]["id"]] = named(place)
    assert set(expected.values()) >= {"content.id", "content.strategy", "content.symbol", "content.prediction"}
    found = replayed.explain(list(expected), lines)
    assert not any(one.reproduced for one in found)
    given = {
        # what is no longer a signal at all is named by the place where reading ended
        one.id: one.difference.field
        for one in found
        if one.difference and one.published is not None
    }
    wrong = {i: (field, given[i]) for i, field in expected.items() if i in given and field != given[i]}
    assert not wrong
    for one in found:
        if one.published is None:
            assert one.difference is not None
            assert f"$.{expected[one.id]}" in one.difference.told


def test_equal_values_in_other_bytes_are_named(replayed: Replayed) -> None:
    spaced = replayed.lines[50].replace(b'"signal":', b'"signal": ')
    (found,) = replayed.explain([replayed.ids[50]], [spaced])
    assert found.difference is not None
    assert found.difference.field == "bytes"


@pytest.mark.parametrize("part", ["bars", "columns", "model", "configuration", "recomputed"])
def test_fifty_tampered_explanations_are_named_with_the_field(replayed: Replayed, part: str) -> None:
    rng = random.Random(part)
    found = replayed.explain(rng.sample(replayed.ids[500:], 10))
    for one in found:
        document = json.loads(json.dumps(one.plain()))
        assert check_document(document, one) is None
        place = rng.choice([place for place in leaves(document) if place[0] == part])
        difference = check_document(tampered(document, place), one)
        assert difference is not None
        assert (difference.field, difference.recomputed) == (named(place), at(document, place))


@pytest.mark.parametrize("back", [0, 3, 19])
def test_a_tampered_bar_gives_another_signal(replayed: Replayed, tmp_path: Path, back: int) -> None:
    number = 2_000
    before = replayed.explain([replayed.ids[number]])[0]
    altered = BARS.copy()
    altered.loc[before.bars[-1 - back]["offset"], ["high", "close"]] += 1.0
    altered.to_parquet(tmp_path / "bars.parquet", index=False)
    found = replayed.explain([replayed.ids[number]], bars=tmp_path / "bars.parquet")[0]
    assert not found.reproduced
    assert found.difference is not None
    assert found.difference.field in ("content.signal", "content.weight", "content.reason", "content.prediction")
    difference = check_document(json.loads(json.dumps(before.plain())), found)
    assert difference is not None
    assert difference.field == "reproduced"
    bars = first_difference(before.bars, found.bars, "bars.")
    assert bars is not None
    assert bars.field == f"bars[{20 - back}].high"


def test_a_bar_that_is_gone_leaves_nothing(replayed: Replayed, tmp_path: Path) -> None:
    BARS.iloc[:2_000].to_parquet(tmp_path / "bars.parquet", index=False)
    (found,) = replayed.explain([replayed.ids[2_500]], bars=tmp_path / "bars.parquet")
    assert (found.reproduced, found.recomputed) == (False, None)
    assert "no signal of this id" in (found.fault or "")


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("f" * 32, "there is no signal ffff"),
        ("", "begins the ids of 3000 signals"),
        ("a", "begins the ids of"),
    ],
)
def test_an_id_that_names_none_or_several(replayed: Replayed, wanted: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        replayed.explain([wanted])


def test_the_beginning_of_an_id_is_enough(replayed: Replayed) -> None:
    begin = next(i[:8] for i in replayed.ids if sum(o.startswith(i[:8]) for o in replayed.ids) == 1)
    assert replayed.explain([begin])[0].id.startswith(begin)


def test_a_file_that_holds_no_signals(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text("no signal\n")
    with pytest.raises(ConfigurationError, match="holds no signals as JSON lines"):
        explain_many(CONFIG, ["abcd"], tmp_path / "x.jsonl", str(MINUTES))
    with pytest.raises(ConfigurationError, match="No such file"):
        explain_many(CONFIG, ["abcd"], tmp_path / "y.jsonl", str(MINUTES))


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["alphawire", "explain", *arguments])
    monkeypatch.setattr("alphawire.cli.close_output", lambda: None)  # this process goes on
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def test_the_page_and_its_check(
    replayed: Replayed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = write_config(tmp_path / "a.yaml", "localhost:1", "x.")
    assert config.strategy("demo") == CONFIG.strategy("demo")
    where = ["--file", str(replayed.folder / "signals.jsonl"), "--bars", str(replayed.bars), "-c"]
    where.append(str(tmp_path / "a.yaml"))
    assert command(monkeypatch, replayed.ids[700], *where) == 0
    page = capsys.readouterr().out
    assert "reproduced: what was published is what comes out, to the byte" in page
    assert json.loads(replayed.lines[700])["content"]["reason"] in page

    assert command(monkeypatch, replayed.ids[700], "--json", *where) == 0
    document = json.loads(capsys.readouterr().out)
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(document))
    assert command(monkeypatch, "--check", str(kept), *where) == 0
    document["bars"][3]["low"] = 1.0
    kept.write_text(json.dumps(document))
    capsys.readouterr()
    assert command(monkeypatch, "--check", str(kept), *where) == 1
    assert "kept.json does NOT hold: bars[3].low: told 1.0, recomputed" in capsys.readouterr().err


def trained(folder: Path) -> dict[str, Any]:
    """A strategy with a small model."""
    from backtest.training import train

    use = {"key": "ml.lightgbm", "artifact": str(folder / "model"), "params": {"n_estimators": 5}}
    changes = strategy(model=use, signal={"key": "signal.threshold"})
    del changes["prediction"]
    train("demo", Config(strategies={"demo": Strategy.model_validate(changes)}), BARS)
    return changes


@pytest.mark.slow
def test_signals_of_a_worker_and_what_was_in_force(tansu: TansuBroker, tmp_path: Path) -> None:
    """Two configurations, the second with a model; then the model and the log are tampered with."""
    file = tmp_path / "a.yaml"
    config = write_config(file, tansu.bootstrap, "explain.", {"demo": strategy()})
    topics_and_bars(config, BARS.iloc[:300])
    work(file, config, 300)
    config = write_config(file, tansu.bootstrap, "explain.", {"demo": trained(tmp_path)})
    asyncio.run(produce_bars(config.kafka, BARS.iloc[300:600]))
    work(file, config, 600, log="second.log")
    told = [msgspec.json.decode(record.value)["content"] for record in records(config, "signals")]
    found = explain_many(config, [content["id"] for content in told])
    assert all(one.reproduced for one in found), next(one for one in found if not one.reproduced)
    assert {one.config_hash for one in found} == {content["config_hash"] for content in told}
    with_model = [one for one in found if one.model]
    assert len(with_model) == 300
    _tamper_with_the_log(config, [one.id for one in with_model])
    _tamper_with_the_model(config, tmp_path, with_model[-1].id)


def _tamper_with_the_log(config: Config, ids: list[str]) -> None:
    """What was applied is told again, under the same hash, with another setting."""
    entry = msgspec.json.decode(records(config, "control")[-1].value, type=Applied)
    assert entry.partition == 1
    places: list[Callable[[Any], None]] = [
        lambda c: c["signal"]["params"].update(buy_threshold=0.9),
        lambda c: c["model"].update(sha256="0" * 64),
    ]
    for alter, field in zip(places, ["signal.params.buy_threshold", "model.sha256"], strict=True):
        altered = deepcopy(entry.config)
        alter(altered)
        _append(config, msgspec.structs.replace(entry, config=altered))
        found = [one for one in explain_many(config, ids) if not one.reproduced]
        assert found
        assert {one.difference.field for one in found if one.difference} == {f"configuration.{field}"}
        assert {one.published["provenance"]["partition"] for one in found} == {1}
    _append(config, entry)
    assert all(one.reproduced for one in explain_many(config, ids))


def _append(config: Config, entry: Applied) -> None:
    async def run() -> None:
        async with open_producer(config.kafka) as producer:
            name = topic_name(config.kafka, "control")
            await producer.send_and_wait(name, encode(entry), entry.strategy.encode(), entry.partition)

    asyncio.run(run())


def _tamper_with_the_model(config: Config, folder: Path, identity: str) -> None:
    file = next(path for path in (folder / "model").rglob("*") if path.is_file() and path.suffix != ".json")
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(ArtifactError, match=r"its SHA-256 differs"):
        explain_many(config, [identity])
