"""Names in a configuration become keys, topics and ids, and its YAML may hold anything: one clear line for each."""

from pathlib import Path
from random import Random

import pytest
import yaml

from schemas.configuration import load_config
from schemas.configuration.loading import _Loader
from schemas.errors import ConfigurationError
from tests.support.live import strategy

NAMES = [
    "../x", "a/b", "a:b", ":1m", ".", "..", "-x", "1x", "", " ", "a b", "a\n", "a\x00", "a\u202e", "é", "x" * 65,
    "bars/0", "a\\b",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_could_be_something_else(name: str, tmp_path: Path) -> None:
    file = tmp_path / "alphawire.yaml"
    file.write_text(yaml.safe_dump({"strategies": {name: strategy()}}))
    with pytest.raises(ConfigurationError, match="String should match pattern"):
        load_config(file)
    for setting in ("group", "prefix"):
        if (setting, name) in {("prefix", ""), ("prefix", "."), ("prefix", ".."), ("prefix", "-x"), ("prefix", "1x")}:
            continue  # such a prefix is part of a name like any other: topics are no paths
        file.write_text(yaml.safe_dump({"kafka": {setting: name}}))
        with pytest.raises(ConfigurationError, match=r"String should (match pattern|have at)"):
            load_config(file)


@pytest.mark.parametrize(
    "text",
    [
        "worker: {http_port: 2001-99-99}",
        "worker: {http_port: !!timestamp x}",
        "worker: {http_port: !!int x}",
        "worker: !!map [1]",
        "worker: !!python/object/apply:os.system [id]",
        "? [1]\n: 2",
        "worker: &a [*a]",
        "worker: " + "[" * 5_000,
        "worker: {http_port: " + "9" * 5_000 + "}",
        "worker: {chunk: " + "9" * 400 + "}",
        "worker: {stall_timeout: .inf}",
        "kafka: {session_timeout: .nan}",
        "kafka: {session_timeout: 1.0e+300}",
        "worker: {stop_timeout: -.inf}",
        "\x00",
        "kafka: {bootstrap: 'user:hunter2@host:9092'}",
    ],
)
def test_yaml_that_is_no_configuration(text: str, tmp_path: Path) -> None:
    file = tmp_path / "alphawire.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"alphawire\.yaml") as error:
        load_config(file)
    assert len(str(error.value)) < 1000
    assert "hunter2" not in str(error.value)


PIECES = ["[", "{", "]", "}", ",", ": ", "?", " ", "\n", "\n  ", "- ", "a", "'x'", "&a ", "*a", "|\n", "#c", "a" * 300]


def scanned(text: str, loader: type[yaml.SafeLoader]) -> list[str] | str:
    """The tokens with their places, or what is wrong."""
    try:
        return [f"{token} {token.start_mark.index}" for token in yaml.scan(text, Loader=loader)]
    except yaml.YAMLError as error:
        return str(error)


def test_brackets_are_read_as_pyyaml_reads_them() -> None:
    """The shorter way through open brackets changes nothing: PyYAML's own is the oracle."""
    rng = Random(7)
    texts = ["".join(rng.choices(PIECES, k=rng.randrange(1, 60))) for _ in range(300)]
    texts += ["[" * depth + "a" + "]" * depth + end for depth in (1, 300, 1025) for end in ("", ": b")]
    texts += ["[" + "a" * length + ": b]" for length in (1023, 1024, 1025, 1100)]
    found = [scanned(text, _Loader) for text in texts]
    assert found == [scanned(text, yaml.SafeLoader) for text in texts]
    assert 50 < sum(isinstance(tokens, list) for tokens in found) < len(texts) - 50
