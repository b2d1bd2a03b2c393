"""The listing: complete, comparable, and made without importing what it lists."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import msgspec
import pytest

from plugins.base.loading.discovery import discover
from plugins.base.loading.listing import entries
from schemas.canonical import file_sha256
from schemas.wire import PluginEntry
from tests.support.registries import untouched_registries


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    with untouched_registries():
        yield


PLUGIN = '''
from plugins.base import Params
from plugins.models import BaseModel, model_registry
from pydantic import Field

@model_registry.register("my.model")
class Mine(BaseModel):
    """Does ``nothing`` much.

    And more of it.
    """
    class Params(Params):
        alpha: float = Field(1.0, gt=0)
        beta: int
    packages = {packages}
    cost = "slow"
    version = "7"

    def predict(self, X):
        return X
'''


@pytest.fixture
def plugin(tmp_path: Path):
    def make(packages: dict[str, str]) -> Path:
        path = tmp_path / "mine.py"
        path.write_text(dedent(PLUGIN).replace("{packages}", repr(packages)))
        discover([path])
        return path

    return make


def entry(key: str) -> PluginEntry:
    (found,) = [entry for entry in entries() if entry.key == key]
    return found


def test_a_built_in_plugin():
    rsi = entry("technical.rsi")
    assert (rsi.category, rsi.version, rsi.module) == ("features", "1", "plugins.features.rsi")
    assert rsi.distribution == "alphawire"
    assert rsi.distribution_version
    assert rsi.summary.startswith("Relative strength index")
    assert (rsi.available, rsi.install, rsi.outputs, rsi.cost) == (True, None, ["rsi"], "compiled")
    assert rsi.parameters["properties"]["period"] == {
        "default": 14, "minimum": 2, "title": "Period", "type": "integer"
    }  # fmt: skip


def test_in_order_and_ready_for_the_wire():
    found = entries()
    keys = [(["features", "models", "signals", "engines"].index(entry.category), entry.key) for entry in found]
    assert keys == sorted(keys)
    assert msgspec.json.decode(msgspec.json.encode(found), type=list[PluginEntry]) == found
    assert entries() == found


def test_what_a_column_stands_for_and_needs_is_told():
    assert entry("statistical.volatility_regime").labels == {"volatility_regime": {"0": "low", "1": "mid", "2": "high"}}
    assert entry("news.sentiment_momentum").requires == ["positive_score", "negative_score"]
    assert (entry("technical.rsi").labels, entry("technical.rsi").requires) == (None, None)


def test_a_plugin_of_a_file(plugin):
    path = plugin({})
    mine = entry("my.model")
    assert (mine.distribution, mine.distribution_version) == ("file", file_sha256(path)[:12])
    assert (mine.category, mine.version, mine.summary, mine.cost) == ("models", "7", "Does nothing much.", "slow")
    assert (mine.available, mine.outputs) == (True, None)
    assert mine.parameters["required"] == ["beta"]


def test_a_plugin_whose_library_is_missing_is_listed_with_the_mend(plugin):
    plugin({"no_such_library": "alphawire[boost]", "no_such.other": "other>=2", "json": "never"})
    mine = entry("my.model")
    assert not mine.available
    assert mine.install == "pip install 'alphawire[boost]' 'other>=2'"


def test_a_plugin_of_a_package_names_its_distribution(tmp_path, monkeypatch):
    from plugins.base.loading import listing

    (tmp_path / "acme_signals").mkdir()
    (tmp_path / "acme_signals" / "__init__.py").write_text(dedent(PLUGIN).replace("{packages}", "{}"))
    info = tmp_path / "acme-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    (info / "top_level.txt").write_text("acme_signals\n")
    (info / "entry_points.txt").write_text("[alphawire.plugins]\nacme = acme_signals\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    listing._distributions.cache_clear()
    discover()
    mine = entry("my.model")
    listing._distributions.cache_clear()
    del sys.modules["acme_signals"]
    assert (mine.module, mine.distribution, mine.distribution_version) == ("acme_signals", "acme", "1.2")


def test_no_optional_library_is_imported_to_list_it():
    program = """
        import sys
        from plugins.base.loading.discovery import discover
        from plugins.base.loading.listing import entries
        discover()
        assert any(entry.key == "ml.lightgbm" for entry in entries())
        heavy = ("lightgbm", "backtrader", "vectorbt", "exchange_calendars", "torch", "xgboost", "numba")
        print([name for name in heavy if name in sys.modules])
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", dedent(program)], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
