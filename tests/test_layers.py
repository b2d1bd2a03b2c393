"""The layers have one direction, schemas ← plugins ← streams ← backtest ← alphawire, and two of them know no Kafka."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("schemas", "plugins", "streams", "backtest", "alphawire")
OUTSIDE = {"tests", "benchmarks", "examples", "docs"}
KAFKA = {"aiokafka", "kafka", "confluent_kafka", "faust", "mode"}
UNKNOWN_TO = {"schemas": KAFKA | {"pandas"}, "plugins": KAFKA}


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every absolute import, inside functions too; of `import_module`, what is written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, node.module or ""
        elif isinstance(node, ast.Call) and node.args:
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if function in ("import_module", "__import__"):
                yield node.lineno, written(node.args[0])


def written(argument: ast.expr) -> str:
    """The text of a string, or the beginning of an f-string up to its first hole; else nothing."""
    if isinstance(argument, ast.JoinedStr) and argument.values:
        argument = argument.values[0]
    return argument.value if isinstance(argument, ast.Constant) and isinstance(argument.value, str) else ""


def violations(root: Path) -> list[str]:
    """``file:line: fault`` for every import that goes against the layers of the tree under `root`."""
    found = []
    for position, layer in enumerate(LAYERS):
        forbidden = {*LAYERS[position + 1 :], *OUTSIDE, *UNKNOWN_TO.get(layer, set())}
        for path in sorted((root / layer).rglob("*.py")):
            for line, name in imports(ast.parse(path.read_text(encoding="utf-8"), str(path))):
                if name.partition(".")[0] in forbidden:
                    found.append(f"{path.relative_to(root).as_posix()}:{line}: {layer} must not import {name}")
    return found


def test_nothing_imports_to_the_right() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_is_a_package_with_types(layer: str) -> None:
    # Without __init__.py a folder of that name anywhere on the path could take its place.
    assert (ROOT / layer / "__init__.py").is_file()
    assert (ROOT / layer / "py.typed").is_file()


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("schemas/a.py", "import plugins.base\n", "schemas must not import plugins.base"),
        ("schemas/a.py", "def f():\n    import pandas as pd\n", "schemas must not import pandas"),
        ("schemas/deep/a.py", "from aiokafka import AIOKafkaConsumer\n", "schemas must not import aiokafka"),
        (
            "plugins/a.py",
            "try:\n    from streams import app\nexcept ImportError:\n    pass\n",
            "plugins must not import streams",
        ),
        (
            "plugins/features/a.py",
            "class A:\n    def f(self):\n        import faust\n",
            "plugins must not import faust",
        ),
        ("plugins/a.py", "import numpy, mode.utils\n", "plugins must not import mode.utils"),
        ("plugins/a.py", "if TYPE_CHECKING:\n    from kafka import KafkaConsumer\n", "plugins must not import kafka"),
        (
            "streams/a.py",
            "from backtest.replay.replay import replay\n",
            "streams must not import backtest.replay.replay",
        ),
        (
            "backtest/a.py",
            "import importlib\nimportlib.import_module('alphawire.cli')\n",
            "backtest must not import alphawire.cli",
        ),
        (
            "backtest/a.py",
            "import_module(f'alphawire.commands.{name}')\n",
            "backtest must not import alphawire.commands.",
        ),
        ("streams/a.py", "__import__('backtest')\n", "streams must not import backtest"),
        ("alphawire/a.py", "from tests.helpers import x\n", "alphawire must not import tests.helpers"),
    ],
)
def test_a_planted_violation_is_found(tmp_path: Path, file: str, source: str, fault: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    (found,) = violations(tmp_path)
    assert found.startswith(f"{file}:")
    assert found.endswith(fault)


def test_what_is_allowed_is_not_reported(tmp_path: Path) -> None:
    allowed = {
        "schemas": "import msgspec\nfrom schemas import errors\n",
        "plugins": "import pandas\nfrom schemas.wire import Bar\nfrom . import base\n",
        "streams": "import faust\nimport plugins.pipeline.pipeline, schemas\n",
        "backtest": "from streams import clients\nimport pandas\n",
        "alphawire": "from backtest import replay\nimport importlib\nimportlib.import_module(name)\n",
    }
    for layer, source in allowed.items():
        (tmp_path / layer).mkdir()
        (tmp_path / layer / "a.py").write_text(source)
    assert violations(tmp_path) == []


@pytest.mark.parametrize("layer", UNKNOWN_TO)
def test_nor_is_anything_forbidden_loaded_by_the_way(layer: str) -> None:
    """Imports every module of the layer in a fresh interpreter: what they import must not bring it either."""
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / layer).rglob("*.py"))
    ]
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        f"print(sorted(sys.modules.keys() & {UNKNOWN_TO[layer]!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
