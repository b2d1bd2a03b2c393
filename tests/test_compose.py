"""docker-compose.yml and the Dockerfile against the command line, the configuration that they mount, and each other.

No Docker is needed. What only an engine can show (that the images build and start) is not shown here. What the image
apache/kafka has (its scripts in /opt/kafka/bin, its data volume, the rule that any KAFKA_ variable replaces them)
is taken from its own Dockerfile and documentation.
"""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_lines import parse
from packaging.specifiers import SpecifierSet

from plugins.features import feature_registry
from plugins.signals import signal_registry
from schemas.configuration import Config, load_config
from streams.kafka.brokers.jars import KAFKA_VERSION

ROOT = Path(__file__).parents[1]
MOUNTED = "/etc/alphawire/alphawire.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def environment(compose) -> dict[str, str]:
    return compose["services"]["kafka"]["environment"]


@pytest.fixture(scope="module")
def dockerfile() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments) of each line, continuations joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in text.splitlines() if line.strip()]


@pytest.fixture
def config(compose, monkeypatch) -> Config:
    """The mounted file, under the worker's environment."""
    for name, value in compose["services"]["worker"]["environment"].items():
        monkeypatch.setenv(name, value)
    return load_config(ROOT / "deploy" / "alphawire.yaml")


def listeners(value: str) -> dict[str, tuple[str, int]]:
    """``NAME://host:port,…`` by name."""
    found = re.findall(r"([A-Z]+)://([^:,]*):(\d+)", value)
    assert len(found) == value.count("://")
    return {name: (host, int(port)) for name, host, port in found}


def seconds(duration: str) -> int:
    return int(duration.removesuffix("s"))


COMPOSE_GO = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
"""The library with which `docker compose` reads its files, as a program; Go's module proxy has it."""


def test_the_compose_client_accepts_the_file(tmp_path: Path) -> None:
    """It reads the file without an engine, and refuses another one."""
    if has_compose():
        reader, then = ["docker", "compose", "--file"], ["config", "--quiet"]
    elif shutil.which("go"):
        reader, then = ["go", "run", COMPOSE_GO], []
    elif os.environ.get("CI"):
        pytest.fail("neither docker compose nor go is on this machine")
    else:
        pytest.skip(
            "neither docker compose nor go is on this machine: what they say of docker-compose.yml is not known"
        )
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("restart: unless-stopped", "restart: 7"))
    good, bad = (
        subprocess.run([*reader, file, *then], cwd=ROOT, capture_output=True, text=True, check=False)
        for file in (ROOT / "docker-compose.yml", broken)
    )
    assert good.returncode == 0, good.stderr
    assert bad.returncode != 0
    assert "restart" in bad.stderr


def has_compose() -> bool:
    """A `docker` without the plug-in takes ``compose`` for an unknown command."""
    version = ["docker", "compose", "version"]
    return shutil.which("docker") is not None and subprocess.run(version, capture_output=True).returncode == 0


def test_every_command_and_option_exists(compose, dockerfile) -> None:
    assert dict(dockerfile)["ENTRYPOINT"] == '["alphawire"]'
    ours = {name: service for name, service in compose["services"].items() if "build" in service}
    assert {name: parse(service["command"]) for name, service in ours.items()} == {
        "topics": "topics create",
        "worker": "worker",
    }


def test_commands_in_the_files_comments_exist() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    lines = [*re.findall(r"`alphawire ([^`]+)`", text), *re.findall(r"run --rm worker (.+?)  ", text)]
    assert len(lines) == 2
    for line in lines:
        parse(shlex.split(line))


def test_services_wait_for_what_they_need(compose) -> None:
    services = compose["services"]
    assert services["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert services["worker"]["depends_on"] == {
        "kafka": {"condition": "service_healthy"},
        "topics": {"condition": "service_completed_successfully"},
    }
    assert services["topics"]["restart"] == "no"
    assert services["worker"]["restart"] == services["kafka"]["restart"] == "unless-stopped"
    for name in ("kafka", "worker"):
        assert services[name]["healthcheck"]["test"][0] == "CMD"


def test_listeners_agree_with_each_other(environment) -> None:
    bound, advertised = listeners(environment["KAFKA_LISTENERS"]), listeners(environment["KAFKA_ADVERTISED_LISTENERS"])
    protocols = dict(item.split(":") for item in environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    assert bound.keys() == protocols.keys()
    assert advertised.keys() == bound.keys() - {environment["KAFKA_CONTROLLER_LISTENER_NAMES"]}
    assert all(port == bound[name][1] for name, (_, port) in advertised.items())
    assert environment["KAFKA_INTER_BROKER_LISTENER_NAME"] in advertised
    controller = bound[environment["KAFKA_CONTROLLER_LISTENER_NAMES"]][1]
    assert environment["KAFKA_CONTROLLER_QUORUM_VOTERS"] == f"{environment['KAFKA_NODE_ID']}@kafka:{controller}"
    assert environment["KAFKA_PROCESS_ROLES"] == "broker,controller"


def test_the_mounted_configuration_reaches_the_broker(compose, environment, config) -> None:
    host, port = listeners(environment["KAFKA_ADVERTISED_LISTENERS"])["INTERNAL"]
    assert config.kafka.bootstrap == f"{host}:{port}"
    assert host in compose["services"]
    assert config.kafka.security == "PLAINTEXT"
    assert f"{host}:{port}" in compose["services"]["kafka"]["healthcheck"]["test"]


def test_the_host_reaches_the_broker_where_it_is_published(compose, environment) -> None:
    host, port = listeners(environment["KAFKA_ADVERTISED_LISTENERS"])["HOST"]
    assert host == "localhost"
    assert compose["services"]["kafka"]["ports"] == [f"127.0.0.1:{port}:{port}"]


def test_replication_is_possible_on_one_node(environment, config) -> None:
    assert config.kafka.replication == 1
    factors = [value for name, value in environment.items() if name.endswith(("REPLICATION_FACTOR", "MIN_ISR"))]
    assert factors == ["1"] * 5


def test_data_outlives_the_container(compose, environment) -> None:
    (volume,) = compose["services"]["kafka"]["volumes"]
    name, target = volume.split(":")
    assert name in compose["volumes"]
    assert target == environment["KAFKA_LOG_DIRS"] == "/var/lib/kafka/data"


def test_the_kafka_image_is_of_the_version_that_the_tests_run_and_its_script_is_asked(compose) -> None:
    kafka = compose["services"]["kafka"]
    assert kafka["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert kafka["healthcheck"]["test"][1] == "/opt/kafka/bin/kafka-broker-api-versions.sh"
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", kafka["environment"]["CLUSTER_ID"])


def test_the_configuration_is_mounted_where_commands_read_it(compose, dockerfile) -> None:
    for name in ("topics", "worker"):
        service = compose["services"][name]
        source, target, mode = service["volumes"][0].split(":")
        assert (ROOT / source).is_file()
        assert (target, mode) == (MOUNTED, "ro")
        assert service["command"][-2:] == ["-c", MOUNTED]
    environment = " ".join(arguments for instruction, arguments in dockerfile if instruction == "ENV")
    assert f"ALPHAWIRE_CONFIG={MOUNTED}" in environment


def test_environment_variables_are_of_the_configuration(compose, config) -> None:
    for name, value in compose["services"]["worker"]["environment"].items():
        section, field = name.removeprefix("ALPHAWIRE_").lower().split("__")
        assert str(getattr(getattr(config, section), field)) == value


def test_http_is_reachable_and_asked_for_health(compose, config, dockerfile) -> None:
    worker = compose["services"]["worker"]
    port = config.worker.http_port
    assert config.worker.http
    assert config.worker.http_host == "0.0.0.0"
    published = worker["ports"][0]
    assert published.startswith("127.0.0.1:")
    assert published.endswith(f":{port}")
    assert dict(dockerfile)["EXPOSE"] == str(port)
    code = worker["healthcheck"]["test"][-1]
    assert f"http://127.0.0.1:{port}/health/ready" in code
    compile(code, "healthcheck", "exec")


def test_a_worker_has_time_to_stop(compose, config) -> None:
    assert seconds(compose["services"]["worker"]["stop_grace_period"]) > config.worker.stop_timeout


@pytest.mark.parametrize("file", ["deploy/alphawire.yaml", "examples/alphawire.yaml"])
def test_strategies_use_plugins_that_are_built_in(file) -> None:
    for strategy in load_config(ROOT / file).strategies.values():
        for use in strategy.features:
            feature_registry.create(use.key, **use.params)
        signal_registry.create(strategy.signal.key, **strategy.signal.params)


def test_the_deployed_strategies_need_no_trained_model(config) -> None:
    assert all(strategy.model is None for strategy in config.strategies.values())


def test_what_the_image_copies_exists_and_is_not_ignored(dockerfile) -> None:
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = set()
    for instruction, arguments in dockerfile:
        if instruction == "COPY" and "--from" not in arguments:
            copied.update(arguments.split()[:-1])
    assert copied == sent
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_has_all_packages_of_the_project(dockerfile) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages <= {arguments.split()[0] for instruction, arguments in dockerfile if instruction == "COPY"}


def test_the_image_installs_locked_versions_of_the_core_and_lightgbm_only(dockerfile) -> None:
    installs = [
        arguments for instruction, arguments in dockerfile if instruction == "RUN" and "uv pip install" in arguments
    ]
    libraries, project = installs
    assert "--require-hashes" in libraries
    assert "-c requirements.lock" in libraries
    assert re.findall(r"--extra (\w+)", libraries) == ["lightgbm"]
    assert "--no-deps" in project
    assert "--no-build-isolation" in project


def test_every_library_of_the_image_is_in_the_lock_file_that_it_installs_from(dockerfile) -> None:
    """Without its hash there uv refuses to install it."""
    (libraries,) = [arguments for _, arguments in dockerfile if "--require-hashes" in arguments]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = re.findall(r"--extra (\w+)", libraries)
    wanted = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert {re.split(r"[<>=\[]", one)[0] for one in wanted} <= set(locked)


def test_the_image_has_a_python_of_the_project_and_the_uv_of_the_makefile(dockerfile) -> None:
    bases = [arguments.split()[0] for instruction, arguments in dockerfile if instruction == "FROM"]
    assert all(base.startswith("python:${PYTHON_VERSION}-slim") for base in bases)
    default = dict(arguments.split("=") for instruction, arguments in dockerfile if instruction == "ARG")
    supported = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert default["PYTHON_VERSION"] in SpecifierSet(supported)
    version = re.search(r"^UV_VERSION := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert version
    assert ("ARG", f"UV_VERSION={version[1]}") in dockerfile


def test_the_image_runs_as_a_user_of_its_own(dockerfile) -> None:
    last = max(i for i, (instruction, _) in enumerate(dockerfile) if instruction == "FROM")
    users = [arguments for instruction, arguments in dockerfile[last:] if instruction == "USER"]
    assert users == ["alphawire"]
    assert any("useradd" in arguments and arguments.endswith("alphawire") for _, arguments in dockerfile[last:])


def test_monitoring_starts_only_where_it_is_asked_for_and_mounts_what_is_there(compose) -> None:
    own = {name: service for name, service in compose["services"].items() if service.get("profiles") == ["monitoring"]}
    assert own.keys() == {"prometheus", "grafana"}
    mounted = [Path(volume.split(":")[0]) for service in own.values() for volume in service["volumes"]]
    files = [path for path in mounted if str(path).startswith("deploy")]
    assert len(files) == 3
    assert all((ROOT / path).is_dir() for path in files)
    assert all(port.startswith("127.0.0.1:") for service in own.values() for port in service["ports"])
    (scraped,) = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
    (found,) = scraped["dns_sd_configs"]
    assert found["names"] == ["worker"]
    assert found["port"] == load_config(ROOT / "deploy" / "alphawire.yaml").worker.http_port


def test_the_image_has_the_version_of_the_project(compose) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name in ("topics", "worker"):
        assert compose["services"][name]["image"] == f"alphawire:{version}"
