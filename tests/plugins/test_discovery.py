"""Finding plugins: what is faulty is named and does no harm; a key that is there twice stops everything."""

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from plugins.base import BaseFeature
from plugins.base.loading import discovery
from plugins.base.loading.discovery import discover, faults, import_folder, registries
from plugins.base.loading.registry import DuplicateKey, PluginRegistry
from plugins.features import feature_registry
from schemas.errors import ConfigurationError
from tests.support.registries import untouched_registries


@pytest.fixture(autouse=True)
def _untouched() -> Iterator[None]:
    with untouched_registries():
        yield


GOOD = """
    from plugins.features import BaseFeature, feature_registry

    @feature_registry.register("{key}")
    class Mine(BaseFeature):
        def compute(self, data):
            return data[["close"]]
"""


def write(folder: Path, name: str, text: str, **names: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(dedent(text).format(**names) if names else dedent(text))
    return path


def good(folder: Path, name: str, key: str) -> Path:
    return write(folder, name, GOOD, key=key)


def test_the_four_categories():
    discover()
    assert list(registries()) == ["features", "models", "signals", "engines"]
    assert registries()["features"] is feature_registry
    assert {"technical.rsi", "technical.atr", "statistical.momentum", "statistical.z_score"} <= set(
        feature_registry.list_keys()
    )
    assert faults == []


def test_a_file_given_by_path_is_registered_once(tmp_path):
    path = good(tmp_path, "mine.py", "my.mine")
    discover([path])
    discover([path, tmp_path, str(path)])
    assert faults == []
    assert feature_registry.create("my.mine").key == "my.mine"


def test_a_folder_registers_each_file_but_private_ones(tmp_path):
    good(tmp_path, "b.py", "my.b")
    write(tmp_path, "_helper.py", "KEY = 'my.a'")
    write(tmp_path, "notes.txt", "not Python")
    text = GOOD.replace('"{key}"', "KEY").replace("BaseFeature,", "BaseFeature,", 1)
    write(tmp_path, "a.py", "    from ._helper import KEY\n" + text)
    discover([tmp_path])
    assert faults == []
    assert {"my.a", "my.b"} <= set(feature_registry.list_keys())


def test_files_of_one_name_in_two_folders_are_two_plugins(tmp_path):
    first, second = good(tmp_path / "x", "mine.py", "my.one"), good(tmp_path / "y", "mine.py", "my.two")
    discover([first, second])
    assert {"my.one", "my.two"} <= set(feature_registry.list_keys())


def test_classes_of_a_file_are_pickled_by_reference(tmp_path):
    discover([good(tmp_path, "mine.py", "my.mine")])
    cls = feature_registry.get("my.mine")
    assert sys.modules[cls.__module__].Mine is cls
    assert pickle.loads(pickle.dumps(cls)) is cls


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda folder: folder / "gone.py", "there is no such file or folder"),
        (lambda folder: write(folder, "data.csv", "a,b"), "not a Python file; give a .py file or a folder"),
        (lambda folder: write(folder / "empty", "_private.py", "").parent, "the folder holds no Python file"),
    ],
)
def test_a_path_without_plugins_is_wrong_use(tmp_path, make, told):
    path = make(tmp_path)
    with pytest.raises(ConfigurationError) as error:
        discover([path])
    assert str(error.value).startswith(f"--plugins {path}: ")
    assert told in str(error.value)


try:
    compile("\x00", "", "exec")
except (SyntaxError, ValueError) as error:  # a ValueError in 3.11.2, a SyntaxError in 3.11.7
    NULL_BYTES = type(error).__name__
BROKEN = {
    "syntax.py": ("def f(:", "SyntaxError: invalid syntax", "correct {path}:1"),
    "library.py": (
        "import no_such_library.part",
        "No module named 'no_such_library'",
        "install no_such_library, or import it inside the method that uses it",
    ),
    "sibling.py": (
        "from . import other",
        "ImportError: cannot import name 'other' from",
        "correct {path}:1",
    ),
    "relative.py": ("from .other import x", "there is no other.py in its folder", "put it there"),
    "two.dots.py": ("x = 1", "there is no two.py in its folder", "put it there (a file's name has no further dot)"),
    "raises.py": ("x = 1\nraise RuntimeError('no\\nluck')", "RuntimeError: no luck", "correct {path}:2"),
    "exits.py": ("import sys\nsys.exit(3)", "SystemExit: 3", "correct {path}:2"),
    "bytes.py": ("\x00", f"{NULL_BYTES}: source code string cannot contain null bytes", "correct {path}"),
    "half.py": (
        dedent(GOOD).format(key="my.half") + "1 / 0\n",
        "ZeroDivisionError: division by zero",
        "correct {path}:8",
    ),
    "nothing.py": (
        dedent(GOOD).format(key="my.nothing").replace("compute", "calculate"),
        "my.nothing (Mine): it overrides neither `compute` nor, as a FoldFeature, `step`; define compute(self, data)",
        "see {path}",
    ),
    "lookback.py": (
        dedent(GOOD).format(key="my.lookback") + "    lookback = 2.5\n",
        "my.lookback (Mine): lookback = 2.5 is not a number of bars; write a whole number from 1 on",
        "see {path}",
    ),
    "version.py": (
        dedent(GOOD).format(key="my.version") + "    version = 2\n",
        "my.version (Mine): version = 2 is not a string; write version = '2'",
        "see {path}",
    ),
    "base.py": (
        dedent(GOOD).format(key="my.base").replace("Mine(BaseFeature)", "Mine"),
        "my.base: Mine is not a subclass of BaseFeature; derive it from plugins.features.BaseFeature",
        "see {path}",
    ),
    "key.py": (
        dedent(GOOD).format(key="my key"),
        "'my key' is not a key for a plugin; write it like technical.rsi",
        "see {path}",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_faulty_file_is_named_and_does_no_harm(tmp_path, name):
    text, fault, mend = BROKEN[name]
    path = write(tmp_path, name, text)
    good(tmp_path, "zz_other.py", "my.other")
    before = feature_registry.list_keys()
    discover([tmp_path])
    assert feature_registry.list_keys() == sorted([*before, "my.other"])
    (found,) = faults
    assert found.name == str(path)
    assert found.fault.startswith(fault)
    assert found.mend.startswith(mend.format(path=path))
    assert str(found) == f"{found.name}: {found.fault}; {found.mend}"
    assert "\n" not in str(found)


def test_a_fault_is_told_once_and_forgotten_when_mended(tmp_path):
    path = write(tmp_path, "mine.py", "1 / 0")
    discover([path])
    discover([path])
    assert len(faults) == 1
    good(tmp_path, "mine.py", "my.mended")
    discover([path])
    assert faults == []
    assert "my.mended" in feature_registry.list_keys()


def test_a_key_that_is_there_twice_stops_everything(tmp_path):
    first = good(tmp_path, "first.py", "my.own")
    text = (
        dedent(GOOD)
        .format(key="technical.rsi")
        .replace(
            "@feature", '@feature_registry.register("my.early")\nclass E(BaseFeature):\n    compute = print\n\n@feature'
        )
    )
    second = write(tmp_path, "second.py", text)
    with pytest.raises(DuplicateKey) as error:
        discover([first, second])
    assert isinstance(error.value, ValueError)
    assert isinstance(error.value, ConfigurationError)
    for part in ("'technical.rsi'", "features", "plugins.features.rsi", str(second), "rename one of them"):
        assert part in str(error.value)
    assert feature_registry.get("technical.rsi").__module__ == "plugins.features.rsi"
    assert "my.early" not in feature_registry.list_keys()
    assert "my.own" in feature_registry.list_keys()


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    """A distribution `acme` with entry points, as pip would leave it."""
    info = folder / "acme-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.2\n")
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[alphawire.plugins]", *lines]))
    monkeypatch.syspath_prepend(str(folder))


def test_an_installed_package_registers_through_its_entry_point(tmp_path, monkeypatch):
    good(tmp_path, "acme_module.py", "acme.module")
    good(tmp_path, "acme_class.py", "acme.cls")
    write(tmp_path, "acme_function.py", "def register():\n" + GOOD, key="acme.function")
    points = {"a": "acme_module", "b": "acme_class:Mine", "c": "acme_function:register"}
    install(tmp_path, monkeypatch, **points, d="acme_gone", e="acme_module:gone")
    discover()
    assert {"acme.module", "acme.cls", "acme.function"} <= set(feature_registry.list_keys())
    assert [(fault.name, fault.fault) for fault in faults] == [
        ("d = acme_gone", "No module named 'acme_gone'"),
        ("e = acme_module:gone", "AttributeError: module 'acme_module' has no attribute 'gone'"),
    ]
    for name in ("acme_module", "acme_class", "acme_function"):
        sys.modules.pop(name)


def test_a_module_dropped_into_a_folder_is_found(tmp_path, monkeypatch):
    """`import_folder` on a package of the same make as `plugins.features`."""
    package = tmp_path / "shapes"
    write(
        package,
        "__init__.py",
        "from plugins.base import BaseFeature\nfrom plugins.base.loading.registry import PluginRegistry\n",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    import shapes  # type: ignore[import-not-found]

    shapes.registry = registry = PluginRegistry("shapes", BaseFeature)
    text = (
        dedent(GOOD)
        .replace(
            "from plugins.features import BaseFeature, feature_registry",
            "from plugins.base import BaseFeature\nfrom shapes import registry",
        )
        .replace("feature_registry", "registry")
    )
    write(package, "one.py", text.format(key="shape.one"))
    write(package, "two.py", text.format(key="shape.two") + "import no_such_library\n")
    write(package, "_hidden.py", text.format(key="shape.hidden"))
    import_folder("shapes", registry)
    assert registry.list_keys() == ["shape.one"]
    assert [fault.name for fault in faults] == ["shapes.two"]
    write(package, "three.py", text.format(key="shape.one"))
    with pytest.raises(DuplicateKey):
        import_folder("shapes", registry)
    for name in [name for name in sys.modules if name.split(".")[0] == "shapes"]:
        sys.modules.pop(name)


def test_the_names_of_files_packages_are_the_same_in_every_process(tmp_path):
    path = tmp_path / "mine.py"
    assert discovery.module_name(path) == discovery.module_name(path)
    assert discovery.module_name(path) != discovery.module_name(tmp_path / "x" / "mine.py")
