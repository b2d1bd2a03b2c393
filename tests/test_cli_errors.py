"""A user's mistake is one clear line on standard error and exit code 2, never a traceback: by the real commands."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from alphawire.cli import main
from streams.kafka.brokers import TansuBroker
from streams.kafka.brokers.probe import free_port
from streams.kafka.topics import create_topics
from tests.support import forked
from tests.support.live import MINUTES, write_config

BARS = str(MINUTES)
DEMO: dict[str, Any] = {
    "interval": "1m",
    "features": ["technical.rsi"],
    "prediction": "rsi",
    "signal": {"key": "signal.threshold"},
}
WITH_MODEL = {name: value for name, value in DEMO.items() if name != "prediction"}
RANKING = WITH_MODEL | {
    "model": {"key": "ml.lightgbm", "artifact": "models/none"},
    "signal": {"key": "signal.ranking", "top_n": 3, "bottom_n": 3},
}


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder of its own; logging as it was before the worker set it up."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("ALPHAWIRE_")]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("aiokafka", "faust", "mode"):
        logging.getLogger(name).setLevel(logging.NOTSET)


def configured(text: Any) -> str:
    """A configuration file; its name."""
    Path("a.yaml").write_text(text if isinstance(text, str) else yaml.safe_dump(text, sort_keys=False))
    return "a.yaml"


def demo(**changes: Any) -> dict[str, Any]:
    return {"strategies": {"demo": DEMO | changes}}


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """The one line that the command ends with."""
    monkeypatch.setattr(sys, "argv", ["alphawire", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    return one_line(end.value.code, capsys.readouterr().err)


def one_line(code: Any, err: str) -> str:
    assert code == 2, err
    assert "Traceback" not in err
    lines = err.strip().splitlines()
    if "first start" in lines[0]:  # `produce` shows what it has read before it sends
        lines = lines[-1:]
    (line,) = lines
    return line.removeprefix("alphawire: ")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("strategies: [", "a.yaml:1: not valid YAML: "),
        ("strategies:\n\tdemo: 1", "a.yaml:2: not valid YAML: found character '\\t'"),
        ('a: "\x01"', "a.yaml: not valid YAML"),
        ("- 1", "a.yaml: the file is no mapping of sections; it starts with `kafka:` or `strategies:`"),
        ("1: 2", "a.yaml: the file is no mapping of sections"),
        ("strategies:\n  demo: {}\n  demo: {}\n", "a.yaml:3: not valid YAML: demo is there twice"),
        ({"kafk": {}}, "a.yaml: kafk: there is no such setting; did you mean kafka?"),
        ({"kafka": {"zzz": 1}}, "a.yaml: kafka.zzz: there is no such setting; there is: bootstrap, ca_file, "),
        (demo(univers=["A"]), "a.yaml: strategies.demo.univers: there is no such setting; did you mean universe?"),
        (
            demo(execution={"comission": 0}),
            "a.yaml: strategies.demo.execution.comission: there is no such setting; did",
        ),
        ({"kafka": {"partitions": "many"}}, "a.yaml: kafka.partitions: Input should be a valid integer"),
        ({"kafka": [1]}, "a.yaml: kafka: Input should be a valid dictionary"),
        (
            {"kafka": {"bootstrap": "localhost"}},
            "a.yaml: kafka.bootstrap: 'localhost' is no address of a broker; write",
        ),
        ({"strategies": [1]}, "a.yaml: strategies: Input should be a valid dictionary"),
        ({"strategies": {"demo": None}}, "a.yaml: strategies.demo: Input should be a valid dictionary"),
        ({"strategies": {"de mo": DEMO}}, "a.yaml: strategies.de mo.[key]: String should match pattern"),
        (demo(universe=7), "a.yaml: strategies.demo.universe"),
        (demo(universe=["A", "A"]), "a.yaml: strategies.demo.universe: the universe names a symbol twice: A"),
        (
            demo(interval="1y"),
            "a.yaml: strategies.demo.interval: '1y' is not an interval; write a number and s, m, h or",
        ),
        (demo(features=[]), "a.yaml: strategies.demo.features: List should have at least 1 item"),
        (
            demo(features=[{"technical.rsi": [1]}]),
            "a.yaml: strategies.demo.features.0: the parameters of technical.rsi",
        ),
        (demo(start="2013-10-04"), "a.yaml: strategies.demo.start"),
        ({"strategies": {"demo": WITH_MODEL}}, "a.yaml: strategies.demo: give either `model` or `prediction: COLUMN`"),
        (demo(model={"key": "ml.lightgbm", "artifact": "x"}), "a.yaml: strategies.demo: give either `model` or"),
        (
            demo(execution={"price": "this_close"}),
            "a.yaml: strategies.demo.execution: price this_close trades at a price",
        ),
        (
            demo(features=["technical.rsy"]),
            "a.yaml: strategies.demo.features.0: no plugin 'technical.rsy' in features; did you",
        ),
        (demo(features=["zzzzzz"]), "a.yaml: strategies.demo.features.0: no plugin 'zzzzzz' in features; there is: "),
        (
            demo(features=[{"technical.rsi": {"perod": 3}}]),
            "a.yaml: strategies.demo.features.0: technical.rsi: parameter perod: ",
        ),
        (
            demo(features=[{"technical.rsi": {"period": 1}}]),
            "a.yaml: strategies.demo.features.0: technical.rsi: parameter period",
        ),
        (
            demo(features=["technical.rsi", {"technical.rsi": {"period": 3}}]),
            "a.yaml: strategies.demo.features.1: technical.rsi and technical.rsi both give the column 'rsi'; name one",
        ),
        (
            demo(signal={"key": "signal.treshold"}),
            "a.yaml: strategies.demo.signal: no plugin 'signal.treshold' in signals; did",
        ),
        (
            demo(signal={"key": "signal.threshold", "buy": 1}),
            "a.yaml: strategies.demo.signal: signal.threshold: parameter buy: ",
        ),
        (demo(prediction="rs"), "a.yaml: strategies.demo.prediction: there is no column 'rs'; the features give rsi"),
        (
            {"strategies": {"demo": WITH_MODEL | {"model": {"key": "ml.lightgmb", "artifact": "x"}}}},
            "a.yaml: strategies.demo.model: no plugin 'ml.lightgmb' in models; did you mean ml.lightgbm or",
        ),
        (
            {"strategies": {"demo": WITH_MODEL | {"model": {"key": "ml.lightgbm", "artifact": "models/none"}}}},
            "models/none: there is no model artifact (manifest.json is missing); `alphawire train` makes one",
        ),
        (
            {"strategies": {"demo": RANKING | {"universe": ["A", "B"]}}},
            "a.yaml: strategies.demo.signal: signal.ranking: top_n 3 and bottom_n 3 need 6 symbols",
        ),
        (
            {"strategies": {"demo": RANKING | {"universe": {"file": "nobody.txt"}}}},
            "a.yaml: strategies.demo.universe: cannot read",
        ),
        (
            {"strategies": {"bars": DEMO}},
            "a.yaml: strategies.bars: a strategy cannot have the name of the topic of",
        ),
        ("", "no strategy is configured; add one under `strategies:`"),
    ],
)
def test_a_bad_configuration(
    text: Any, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert said(capsys, monkeypatch, "worker", "--no-http", "-c", configured(text)).startswith(line)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ALPHAWIRE_CONFIG", "none.yaml", "cannot read the configuration none.yaml: No such file or directory"),
        ("ALPHAWIRE_KAFKA", "no JSON", 'environment: error parsing value for field "kafka"'),
        (
            "ALPHAWIRE_KAFKA__BOOTSTRP",
            "x:1",
            "configuration: kafka.bootstrp: there is no such setting; did you mean boots",
        ),
        ("ALPHAWIRE_KAFKA__PARTITIONS", "x", "configuration: kafka.partitions: Input should be a valid integer"),
    ],
)
def test_a_bad_environment(
    name: str, value: str, line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert said(capsys, monkeypatch, "topics", "list").startswith(line)


NOBODY = ["--bootstrap", "127.0.0.1:1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["worker", "--no-http"],
        ["topics", "create"],
        ["topics", "list"],
        ["produce", "bars", BARS, "--interval", "1m"],
        ["train", "demo", "--bars", "kafka"],
        ["replay", "demo", "--out", "signals.jsonl"],
        ["verify", "demo"],
        ["backtest", "demo", "--engine", "backtrader", "--out", "report"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_an_unreachable_broker(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ["-c", configured(demo())] if arguments[0] not in ("topics", "produce") else []
    line = said(capsys, monkeypatch, *arguments, *own, *NOBODY)
    assert line.startswith("no Kafka broker answers at 127.0.0.1:1 (")
    assert line.endswith("; start one (`alphawire broker`) or name yours with --bootstrap")


@pytest.mark.parametrize(
    "arguments",
    [
        ["worker", "--no-http"],
        ["produce", "bars", BARS, "--interval", "1m"],
        ["train", "demo", "--bars", "kafka"],
        ["replay", "demo", "--out", "signals.jsonl"],
        ["verify", "demo"],
        ["backtest", "demo", "--engine", "backtrader", "--out", "report"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_missing_topics(
    arguments: list[str], tansu: TansuBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(Path("a.yaml"), tansu.bootstrap, "nothing-here.", {"demo": DEMO})
    line = said(capsys, monkeypatch, *arguments, "-c", "a.yaml")
    assert "nothing-here.bars" in line
    assert line.endswith("with `alphawire topics create`")


def test_topics_with_another_number_of_partitions(
    tansu: TansuBroker, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = write_config(Path("a.yaml"), tansu.bootstrap, "few.", {"demo": DEMO})
    asyncio.run(create_topics(config.kafka))
    Path("a.yaml").write_text(Path("a.yaml").read_text().replace("partitions: 2", "partitions: 3"))
    line = said(capsys, monkeypatch, "worker", "-c", "a.yaml", "--no-http")
    assert line.startswith("topic few.bars has 2 partitions and kafka.partitions says 3; set it to what few.bars has")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["worker", "-c", "none.yaml"], "cannot read the configuration none.yaml: No such file or directory"),
        (["worker", "-c", "."], "cannot read the configuration .: Is a directory"),
        (["worker", "-c", BARS], f"{BARS}: not valid YAML"),
        (["worker", "--plugins", "none.py"], "--plugins none.py: there is no such file or folder"),
        (["worker", "--plugins", "a.yaml"], "--plugins a.yaml: not a Python file"),
        (
            ["topics", "list", "--bootstrap", "localhost:port"],
            "configuration: bootstrap: 'localhost:port' is no address",
        ),
        (
            ["replay", "dmo", "--out", "x", "-c", "a.yaml"],
            "there is no strategy 'dmo' in the configuration; there is: demo",
        ),
        (["verify", "dmo", "-c", "a.yaml"], "there is no strategy 'dmo'"),
        (["train", "dmo", "--bars", BARS, "-c", "a.yaml"], "there is no strategy 'dmo'"),
        (["backtest", "dmo", "--engine", "backtrader", "--out", "o", "-c", "a.yaml"], "there is no strategy 'dmo'"),
        (["replay", "demo", "--source", "none.csv", "--out", "x", "-c", "a.yaml"], "there is no file none.csv; give"),
        (["replay", "demo", "--source", BARS, "--out", "no/x", "-c", "a.yaml"], "there is no folder "),
        (
            ["backtest", "demo", "--engine", "backtradr", "--out", "o", "--source", BARS, "-c", "a.yaml"],
            "no plugin 'backtradr' in engines; did you mean backtrader?",
        ),
        (["plugins", "featurs"], "there is no category 'featurs'; did you mean features?"),
        (["plugins", "--schema", "technical.rsy"], "there is no plugin 'technical.rsy'; did you mean technical.rsi"),
    ],
)
def test_wrong_use(
    arguments: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(demo())
    assert said(capsys, monkeypatch, *arguments).startswith(line)


HEADER = "from plugins.features import BaseFeature, feature_registry\n\n"
CLASS = '@feature_registry.register("{key}")\nclass Mine(BaseFeature):\n    """Mine."""\n    {body}\n'
COMPUTE = "def compute(self, data): return data[['close']]"


def process(*arguments: str) -> str:
    """What a process says, which has its own registries."""
    run = forked.run(*arguments, cwd=Path.cwd())
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    return run.stderr.strip()


@pytest.mark.parametrize(
    ("plugin", "lines"),
    [
        (
            "import nothing_like_this\n",
            ["No module named 'nothing_like_this'; install nothing_like_this", "no plugin 'mine.a' in features; "],
        ),
        ("def f(:\n", ["SyntaxError: invalid syntax; correct ", "no plugin 'mine.a' in features; "]),
        (
            HEADER + CLASS.format(key="mine.a", body="pass"),
            ["it overrides neither `compute`", "no plugin 'mine.a' in features; "],
        ),
        (
            HEADER + CLASS.format(key="technical.rsi", body=COMPUTE),
            ["the key 'technical.rsi' is registered twice in featur"],
        ),
        (HEADER + CLASS.format(key="mine.a", body=COMPUTE), ["mine.a: it has only `compute` and declares no lookback"]),
        (
            HEADER
            + CLASS.format(key="mine.a", body="lookback = 2\n    def compute(self, data): raise OSError('no\\nway')"),
            ["mine.a: compute failed on 2 bars: OSError: no way"],
        ),
        (
            HEADER + CLASS.format(key="mine.a", body=f"def __init__(self): raise OSError('no')\n    {COMPUTE}"),
            ["strategies.demo.features.0: mine.a: cannot be created: OSError: no"],
        ),
    ],
    ids=["missing library", "syntax", "no method", "key twice", "no lookback", "compute raises", "init raises"],
)
def test_a_broken_plugin_file(plugin: str, lines: list[str]) -> None:
    """Named, with the mend; then what cannot be done without it."""
    Path("mine.py").write_text(plugin)
    configured(demo(features=["mine.a", "technical.rsi"]))
    found = process("worker", "-c", "a.yaml", "--no-http", *NOBODY, "--plugins", "mine.py").splitlines()
    assert [line in heard for line, heard in zip(lines, found, strict=True)] == [True] * len(lines), found


def test_a_broken_plugin_file_that_nobody_needs_does_no_harm() -> None:
    Path("mine.py").write_text("import nothing_like_this\n")
    configured(demo())
    fault, end = process("worker", "-c", "a.yaml", "--no-http", *NOBODY, "--plugins", "mine.py").splitlines()
    assert "mine.py: No module named 'nothing_like_this'" in fault
    assert end.startswith("alphawire: no Kafka broker answers")


def test_a_port_that_is_taken() -> None:
    import socket

    port = free_port()
    configured(demo() | {"worker": {"http_port": port}})
    with socket.create_server(("127.0.0.1", port)):
        assert process("worker", "-c", "a.yaml", *NOBODY) == (
            f"alphawire: the pages cannot be served on 127.0.0.1:{port} (Address already in use);"
            " choose another port with --http-port (0: any free one), or leave them out with --no-http"
        )
