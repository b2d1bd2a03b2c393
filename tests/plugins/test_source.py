"""A plugin's source is hashed by what it does: its module, and what that imports from its own folder."""

import hashlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from plugins.base.loading import source
from plugins.base.loading.discovery import discover
from plugins.base.loading.listing import entries
from plugins.base.loading.source import source_sha256
from plugins.features import feature_registry
from schemas.wire import decode
from tests.support.registries import untouched_registries

PLUGIN = '''
import math
from plugins.features import BaseFeature, feature_registry
from .scale import factor

@feature_registry.register("test.edited")
class Edited(BaseFeature):
    """The close."""

    lookback = 1
    outputs = ("edited",)

    def compute(self, data):
        # what it is worth
        return data[["close"]].set_axis(["edited"], axis=1) * factor()
'''
SCALE = """
def factor():
    from . import sign
    return 2.0 * sign.SIGN
"""
FILES = {"edited.py": PLUGIN, "scale.py": SCALE, "sign.py": "SIGN = 1\n", "other.py": "UNUSED = 1\n"}


@pytest.fixture(autouse=True)
def registries() -> Iterator[None]:
    with untouched_registries():
        yield


def hashed(folder: Path, **changes: str | None) -> str:
    """Of the plugin in a folder of that name, as a new process sees it; `changes` are of files there."""
    folder.mkdir(exist_ok=True)
    for name, text in (FILES | {f"{name}.py": text for name, text in changes.items()}).items():
        if text is not None:
            (folder / name).write_text(text, encoding="utf-8")
    with untouched_registries():
        discover([folder / "edited.py"])
        digest = feature_registry.create("test.edited").source_sha256
    assert digest is not None
    return digest


@pytest.mark.parametrize(
    "change",
    [
        {"edited": PLUGIN.replace("* factor", "* -factor")},
        {"edited": PLUGIN.replace("lookback = 1", "lookback = 2")},
        {"scale": SCALE.replace("2.0", "-2.0")},
        {"sign": "SIGN = -1\n"},  # imported within a function of an imported module
        {"sign": "SIGN = 1\nif True:\n    SIGN = -1\n"},
        {"edited": PLUGIN.replace("lookback = 1", 'lookback = 1\n    text = """a\n\n    b"""')},
    ],
)
def test_what_changes_the_plugin_changes_its_hash(tmp_path: Path, change: dict[str, str]) -> None:
    assert hashed(tmp_path / "before") != hashed(tmp_path / "after", **change)


@pytest.mark.parametrize(
    "change",
    [
        {},  # another folder
        {"other": "UNUSED = 2\n"},
        {"edited": PLUGIN.replace("# what it is worth", "# what it is worth, #2")},
        {"edited": PLUGIN.replace("# what it is worth\n", "\n\n# in\n\n# words\n")},
        {"edited": PLUGIN.replace("The close.", "The close, as\n\n    it is # so.")},
        {"edited": '"""A module."""\n' + PLUGIN.replace("\nimport math", "import math  # unused")},
        {"edited": PLUGIN.replace("\n", "\r\n")},
    ],
)
def test_what_changes_nothing_keeps_it(tmp_path: Path, change: dict[str, str]) -> None:
    assert hashed(tmp_path / "before") == hashed(tmp_path / "after", **change)


def test_the_hash_by_hand(tmp_path: Path) -> None:
    """It must be the same on every Python: comments are cut where they stand, nothing is written anew."""
    text = (
        '# a comment\n"""The module,\n\nin words."""\nX = "# none"  # one\n\n'
        "def f(\n    a,  # of it\n\n    b=1,\n):\n    '''Doc.'''\n"
        "    return f\"{a}#{b}\" + '''\n\n# text\n'''\n\ndef g(): 'doc'; return 1\n"
    )
    plain = (
        "X = \"# none\"\ndef f(\n    a,\n    b=1,\n):\n    return f\"{a}#{b}\" + '''\n\n# text\n'''\n"
        "def g(): 'doc'; return 1"
    )
    (tmp_path / "byhand.py").write_text(text)
    sys.path.insert(0, str(tmp_path))
    try:
        importlib.import_module("byhand")
        expected = hashlib.sha256(b"byhand.py\0" + hashlib.sha256(plain.encode()).digest() + b"\0").hexdigest()
        assert source_sha256("byhand") == expected
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("byhand", None)
        source._remembered.pop("byhand", None)


def test_of_an_installed_package_all_of_it_counts(tmp_path: Path) -> None:
    """Its plugins may lie in a folder of their own, and use what lies above."""
    for name, text in {
        "__init__": "",
        "lib": "X = 1",
        "signs/__init__": "",
        "signs/one": "from desk_a.lib import X",
    }.items():
        path = tmp_path / "desk_a" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    folders = [str(Path(__file__).parents[2]), str(tmp_path)]
    script = (
        f"import sys; sys.path[:0] = {folders}; import desk_a.signs.one;"
        " from plugins.base.loading import source; print(source.source_sha256('desk_a.signs.one'))"
    )

    def run() -> str:
        return subprocess.run([sys.executable, "-B", "-c", script], capture_output=True, text=True, check=True).stdout

    before = run()
    (tmp_path / "desk_a" / "lib.py").write_text("X = 22")
    assert run() != before


def test_built_in_plugins_have_the_files_of_their_folder() -> None:
    path = Path(source.__file__).parents[2] / "models" / "lightgbm.py"
    reached = source._reached(path, path.parent, "plugins.models")
    names = {file.relative_to(path.parent).as_posix() for file in reached}
    assert {"lightgbm.py", "trees/lightgbm_text.py", "trees/arrays.py"} <= names
    assert not names & {"xgboost.py", "trees/xgboost_ubjson.py", "lstm.py"}
    for entry in entries():
        assert entry.source_sha256 is not None
        assert len(entry.source_sha256) == 64


def test_what_is_edited_under_a_running_process_does_not_run_there(tmp_path: Path) -> None:
    hashed(tmp_path / "plugins")  # writes the files
    discover([tmp_path / "plugins" / "edited.py"])
    feature = feature_registry.create("test.edited")
    before = feature.source_sha256
    (tmp_path / "plugins" / "edited.py").write_text(PLUGIN.replace("* factor", "* -factor"))
    assert feature_registry.create("test.edited").source_sha256 == before


def test_code_that_was_typed_in_has_none() -> None:
    from plugins.features import BaseFeature

    typed = type("Typed", (BaseFeature,), {"compute": lambda self, data: data[["close"]], "__module__": "typed_in"})
    assert typed().source_sha256 is None


def test_a_listing_of_before_is_read() -> None:
    import msgspec

    from schemas.wire import PluginEntry

    old = dict.fromkeys(("category", "key", "version", "distribution", "distribution_version", "module", "summary"), "")
    entry = decode(msgspec.json.Decoder(PluginEntry), msgspec.json.encode(old | {"available": True}))
    assert entry.source_sha256 is None
