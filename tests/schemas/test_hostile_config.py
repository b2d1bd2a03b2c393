"""Names in a configuration become keys, topics and ids, and its YAML may hold anything: one clear line for each."""

from pathlib import Path

import pytest
import yaml

from schemas.configuration import load_config
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
