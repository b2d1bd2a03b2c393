"""The code blocks of every page that are no commands: Python runs, the rest is read by what reads it in the product."""

import importlib.util
import json
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pandas as pd
import pytest
import yaml

from plugins.base.loading.discovery import registries
from plugins.features import feature_registry
from plugins.fold.windowed import batch
from plugins.strategy.features import features_of
from plugins.strategy.universe import universe_of
from schemas.configuration import Config, Strategy, load_config
from schemas.export import schema_of
from schemas.wire.trades import Trade, decode_trade
from streams.kafka.topics import TOPICS
from streams.process.logs import FIELDS
from streams.service.web import COUNTS
from tests.docs.pages import PAGES, Block, Page, page
from tests.support.registries import untouched_registries


def with_blocks(*languages: str) -> pytest.MarkDecorator:
    pages = [one for one in PAGES if one.blocks_in(*languages)]
    return pytest.mark.parametrize("page", pages, ids=lambda page: page.name)


def run(blocks: list[Block], folder: Path) -> dict[str, Any]:
    """The names that they define, one after another in one namespace, each from a file, as numba and the hash of a
    plugin's source want it.
    """
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        file = folder / f"block_of_the_docs_{number}.py"
        file.write_text(block.text)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        module.__dict__.update(names)
        sys.modules[file.stem] = module
        try:
            spec.loader.exec_module(module)
        finally:
            del sys.modules[file.stem]
        names |= {name: value for name, value in vars(module).items() if not name.startswith("__")}
    return names


@with_blocks("python")
def test_python_runs(page: Page, tmp_path: Path) -> None:
    with untouched_registries():
        run(page.blocks_in("python"), tmp_path)


@with_blocks("yaml")
def test_yaml_is_a_configuration(page: Page, tmp_path: Path) -> None:
    """A whole file, or a part of a strategy put into one; every plugin that it names takes these parameters."""
    for number, block in enumerate(page.blocks_in("yaml")):
        given = yaml.safe_load(block.text)
        if not given.keys() <= Config.model_fields.keys():
            assert given.keys() <= Strategy.model_fields.keys(), f"line {block.line}"
            rest = {"interval": "1m", "features": ["technical.rsi"], "signal": "signal.threshold"}
            given = {"strategies": {"one": rest | given | ({} if "model" in given else {"prediction": "rsi"})}}
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(given))
        known = registries()
        for name, strategy in load_config(file).strategies.items():
            features_of(name, strategy)
            known["signals"].create(strategy.signal.key, **strategy.signal.params)


def objects(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of a text, one after another."""
    decoder, rest = json.JSONDecoder(), text.strip()
    while rest:
        found, end = decoder.raw_decode(rest)
        yield found
        rest = rest[end:].strip()


def is_message(topic: str) -> Callable[[dict[str, Any]], None]:
    return lambda given: jsonschema.validate(given, schema_of(topic))


def is_answer_of_health(given: dict[str, Any]) -> None:
    assert given.keys() == {"ready", "failed"}
    assert given["failed"].keys() < {"assigned", "restored", "strategies", "symbols", "lag"}


def is_log_line(given: dict[str, Any]) -> None:
    assert given.keys() == {"time", "level", "logger", "message", *FIELDS}


def is_status(given: dict[str, Any]) -> None:
    """Its counts; the whole is compared with a worker's own answer in the page's story."""
    assert tuple(given["counts"]) == COUNTS


def is_trade(value: dict[str, Any]) -> None:
    assert isinstance(decode_trade(json.dumps(value).encode()), Trade)


JSON: dict[tuple[str, str], Callable[[dict[str, Any]], None]] = {
    **{("docs/messages.md", topic): is_message(topic) for topic in TOPICS},
    ("docs/trades.md", "Trades"): is_trade,
    ("docs/operations.md", "Health"): is_answer_of_health,
    ("docs/operations.md", "Logs"): is_log_line,
    ("docs/operations.md", "Status"): is_status,
}
"""What the JSON under a heading is."""


@with_blocks("json")
def test_json_is_what_its_section_describes(page: Page) -> None:
    for block in page.blocks_in("json"):
        for given in objects(block.text):
            JSON[page.name, block.heading](given)


@with_blocks("csv")
def test_csv_is_a_history_of_members(page: Page, tmp_path: Path) -> None:
    for block in page.blocks_in("csv"):
        file = tmp_path / "members.csv"
        file.write_text(block.text)
        use = {"interval": "1d", "features": ["technical.rsi"], "prediction": "rsi", "signal": "signal.threshold"}
        universe = universe_of("one", Strategy(**use, universe={"history": str(file)}))
        years = pd.DatetimeIndex(["2012-06-01", "2013-06-01", "2014-06-01"], tz="UTC").as_unit("ms").asi8
        assert [universe.member("BACK", int(time)) for time in years] == [True, False, True]


@with_blocks("toml")
def test_toml_is_a_package_of_the_plugin_that_the_page_writes(page: Page) -> None:
    (block,) = page.blocks_in("toml")
    project = tomllib.loads(block.text)
    (module,) = project["tool"]["setuptools"]["py-modules"]
    assert module in project["project"]["entry-points"]["alphawire.plugins"].values()
    assert f"{module}.py" in {saved.saved for saved in page.blocks_in("python")}


def bars(count: int) -> pd.DataFrame:
    random = np.random.default_rng(7)
    close = 100.0 + random.normal(size=count).cumsum()
    frame = {"open": close + 0.1, "high": close + 1, "low": close - 1, "close": close}
    return pd.DataFrame(frame | {"volume": random.integers(1, 500, count)}).astype(float)


def computed(name: str, key: str, data: pd.DataFrame, folder: Path) -> "pd.Series[float]":
    """The one column of a plugin of a page, as a worker computes it."""
    with untouched_registries():
        run(page(name).blocks_in("python"), folder)
        return batch(feature_registry.create(key), data).iloc[:, 0]


def test_the_plugin_of_the_readme_is_short_and_computes_what_it_says(tmp_path: Path) -> None:
    (block,) = page("README.md").blocks_in("python")
    assert len(block.text.splitlines()) <= 15
    data = bars(60)
    result = computed("README.md", "mydesk.volume_surprise", data, tmp_path)
    assert result[:19].isna().all()
    for row in range(19, 60):
        window = data["volume"].iloc[row - 19 : row + 1]
        assert result.iloc[row] == pytest.approx(window.iloc[-1] / window.mean())


def test_the_fold_of_the_docs_computes_what_it_says(tmp_path: Path) -> None:
    data = bars(40)
    result = computed("docs/plugins.md", "mydesk.open_gap", data, tmp_path)
    pd.testing.assert_series_equal(result, (data["open"] / data["close"].shift() - 1).rename("open_gap"))


def test_the_sequence_model_of_the_docs_predicts_what_it_says(tmp_path: Path) -> None:
    with untouched_registries():
        names = run(page("docs/plugins.md").blocks_in("python"), tmp_path)
    windows = np.arange(20.0).reshape(2, 5, 2)
    assert names["MeanOfFive"]().forward(windows, ["a", "b"]).tolist() == [4.0, 14.0]
