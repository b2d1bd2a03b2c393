"""The schemas in the hands of others: validators and code generators from npm, Go, Maven and PyPI, pinned.

Every tool gets the shipped files, messages as our encoder writes them, and what the schemas refuse.
"""

import json
import os
import re
import shutil
import subprocess
import venv
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas import wire as m
from schemas.export import FOLDER, TOPICS
from schemas.wire.trades import decode_trade
from tests.schemas.test_export import REFUSED_BARS, SAMPLES, bar
from tests.support.deadlines import deadline

pytestmark = pytest.mark.nightly
TOOLS = Path(__file__).parents[1] / "support" / "schema_tools"
NPM = ["ajv@8.20.0", "quicktype@26.0.0", "json-schema-to-typescript@16.0.0", "typescript@5.9.3"]
VALIDATOR = "github.com/santhosh-tekuri/jsonschema/v6@v6.0.3"
GO_JSONSCHEMA = "github.com/atombender/go-jsonschema@v0.24.1"
DATAMODEL = ["datamodel-code-generator==0.89.0", "pydantic==2.13.0"]
ONE_RECORD = {"bars": "Bar", "signals": "Signal", "predictions.shadow": "ShadowPrediction", "news": "Article"}
"""Topics of one kind of record → what a generator calls it."""
INSTALL = 600.0
NAMED = ["--class-name", "Whole"]
READ = """
import gen, pathlib, sys
for path in map(pathlib.Path, sys.argv[1:]):
    print(gen.Whole.model_validate_json(path.read_text()).model_dump_json(exclude_unset=True))
"""


def run(*command: Any, folder: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=deadline(INSTALL),
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each topic: ``good-…`` and ``bad-…``."""
    folder = tmp_path_factory.mktemp("messages")
    for topic, samples in SAMPLES.items():
        (folder / topic).mkdir()
        for number, sample in enumerate(samples):
            (folder / topic / f"good-{number}.json").write_bytes(m.encode(sample))
    exponent = m.encode(bar()).replace(b"1380893400000", b"1.3808934E12")
    (folder / "bars" / "good-exponent.json").write_bytes(exponent)
    (folder / "bars" / "good-unicode.json").write_text(json.dumps(bar(symbol="株価😀é")), encoding="utf-8")
    for number, value in enumerate(REFUSED_BARS):
        (folder / "bars" / f"bad-{number}.json").write_text(json.dumps(value))
    return folder


def hold(lines: str, messages: Path) -> None:
    found = [json.loads(line) for line in lines.splitlines()]
    assert [one for one in found if one[2] != one[1].startswith("good")] == []
    assert len(found) == sum(1 for _ in messages.glob("*/*.json"))


@pytest.fixture(scope="module")
def npm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("npm")
    run(program("npm"), "install", "--no-audit", "--no-fund", "--prefix", folder, *NPM)
    for name in TOOLS.glob("*.mjs"):
        shutil.copy(name, folder)
    return folder


@pytest.fixture(scope="module")
def go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two programs: `validate`, `go-jsonschema`."""
    folder = tmp_path_factory.mktemp("go")
    run(program("go"), "install", GO_JSONSCHEMA, GOBIN=str(folder))
    shutil.copy(TOOLS / "validate.go", folder / "main.go")
    run("go", "mod", "init", "validate", folder=folder)
    run("go", "get", VALIDATOR, folder=folder)
    run("go", "build", "-o", "validate", ".", folder=folder)
    return folder


@pytest.fixture(scope="module")
def jars(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The class path of the Java tools."""
    folder = tmp_path_factory.mktemp("java")
    program("javac")
    goal = ["-q", "-B", "-f", TOOLS / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    run(program("mvn"), *goal)
    return f"{folder}/*"


def test_ajv_in_strict_mode(npm: Path, messages: Path) -> None:
    hold(run(program("node"), npm / "ajv.mjs", FOLDER, messages, folder=npm), messages)


def test_santhosh_tekuri(go: Path, messages: Path) -> None:
    hold(run(go / "validate", FOLDER, messages), messages)


def test_networknt(jars: str, messages: Path) -> None:
    hold(run("java", "-cp", jars, TOOLS / "Validate.java", FOLDER, messages), messages)


def generated_in_go(source: str, topic: str, kind: str, messages: Path, folder: Path) -> None:
    (folder / "generated.go").write_text(source)
    (folder / "main.go").write_text((TOOLS / "roundtrip.go").read_text().replace("TYPE", kind))
    run("go", "mod", "init", "roundtrip", folder=folder)
    run("go", "mod", "tidy", folder=folder)
    run("go", "build", "-o", "roundtrip", ".", folder=folder)
    for file in sorted((messages / topic).glob("good-[0-9]*")):
        same(json.loads(run(folder / "roundtrip", file)), json.loads(file.read_text()), topic)


def same(after: Any, before: Any, topic: str) -> None:
    """By our own decoder: a generator may leave out, or write, what has a default."""
    read = decode_trade if topic == "trades" else partial(m.decode, msgspec.json.Decoder(TOPICS[topic]))
    after_bytes, before_bytes = (json.dumps(each, separators=(",", ":")).encode() for each in (after, before))
    assert read(after_bytes) == read(before_bytes)


@pytest.mark.parametrize(("topic", "kind"), ONE_RECORD.items())
def test_go_jsonschema(topic: str, kind: str, go: Path, messages: Path, tmp_path: Path) -> None:
    source = run(go / "go-jsonschema", "-p", "main", FOLDER / f"{topic}.schema.json")
    generated_in_go(source, topic, kind, messages, tmp_path)


@pytest.mark.parametrize(("topic", "kind"), ONE_RECORD.items())
def test_quicktype(topic: str, kind: str, npm: Path, messages: Path, tmp_path: Path) -> None:
    program("go")
    command = [npm / "node_modules/.bin/quicktype", "-s", "schema", FOLDER / f"{topic}.schema.json", "-l", "go"]
    source = run(*command, "--package", "main", "-t", kind)
    generated_in_go(source, topic, kind, messages, tmp_path)


@pytest.mark.parametrize("topic", SAMPLES)
def test_json_schema_to_typescript(topic: str, npm: Path, messages: Path) -> None:
    source = run(npm / "node_modules/.bin/json2ts", FOLDER / f"{topic}.schema.json")
    (name,) = re.findall(r"^export (?:type|interface) (Alphawire\w+)", source, re.MULTILINE)
    values = ", ".join(file.read_text() for file in sorted((messages / topic).glob("good-[0-9]*")))
    file = npm / f"{topic.replace('.', '_')}.ts"
    file.write_text(f"{source}\nexport const messages: {name}[] = [{values}];\n")
    run(npm / "node_modules/.bin/tsc", "--noEmit", "--strict", file, folder=npm)


@pytest.mark.parametrize(("topic", "kind"), ONE_RECORD.items())
def test_jsonschema2pojo(topic: str, kind: str, jars: str, messages: Path, tmp_path: Path) -> None:
    source = tmp_path / f"{kind}.json"
    shutil.copy(FOLDER / f"{topic}.schema.json", source)
    # what is null is written, where our records write it; a producer's bars and articles leave it out
    nulls = "NON_NULL" if topic in ("bars", "news") else "ALWAYS"
    generator = ["org.jsonschema2pojo.cli.Jsonschema2PojoCLI", "--inclusion-level", nulls, "-p", "gen"]
    run("java", "-cp", jars, *generator, "-s", source, "-t", tmp_path)
    run("javac", "-cp", jars, "-d", tmp_path, *tmp_path.glob("gen/*.java"), TOOLS / "RoundTrip.java")
    for file in sorted((messages / topic).glob("good-*")):
        after = run("java", "-cp", f"{jars}:{tmp_path}", "RoundTrip", f"gen.{kind}", file)
        same(json.loads(after), json.loads(file.read_text()), topic)
    fields = "".join(path.read_text() for path in tmp_path.glob("gen/*.java"))
    assert [line for line in fields.splitlines() if "private Object" in line] == (
        ["    private Object signal;"] if topic == "signals" else []
    )


@pytest.fixture(scope="module")
def datamodel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datamodel")
    venv.create(folder, with_pip=True)
    run(folder / "bin/pip", "install", "-q", *DATAMODEL)
    return folder / "bin"


@pytest.mark.parametrize("topic", SAMPLES)
def test_datamodel_code_generator(topic: str, datamodel: Path, messages: Path, tmp_path: Path) -> None:
    options = ["--input-file-type", "jsonschema", "--output-model-type", "pydantic_v2.BaseModel"]
    source = FOLDER / f"{topic}.schema.json"
    run(datamodel / "datamodel-codegen", "--input", source, *options, *NAMED, "--output", tmp_path / "gen.py")
    files = sorted((messages / topic).glob("good-*"))
    out = run(datamodel / "python", "-c", READ, *files, folder=tmp_path).splitlines()
    for line, file in zip(out, files, strict=True):
        same(json.loads(line), json.loads(file.read_text()), topic)
