"""Each mistake that only a real broker shows turns a check red, with the one fault that finds it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults import kinds
from tests.faults.checks import examine
from tests.faults.cluster import Cluster
from tests.faults.controller import Run, Settings
from tests.faults.mutations import ON_KAFKA
from tests.faults.setting import setting

CALM = Settings(
    faults=3, minutes=0.5, rate=150.0, deck={}, armed=1.0, armable=1, pause=(1.0, 2.0), passes=(12, 20), tail=8.0
)


def at(*points: str, action: str = "kill", faults: int = 2) -> Settings:
    return replace(CALM, points=points, actions=(action,), faults=faults)


def by(*faults: kinds.Fault, number: int = 2) -> Settings:
    return replace(CALM, points=(), deck=dict.fromkeys(faults, 1), faults=number)


LONG_STOPS = replace(at("before_commit", action="stop", faults=1), minutes=1.0, sessions=(2.8, 3.6))
"""A stopped worker must wake when the next owner has loaded, and has not fenced it yet."""

FINDS = {
    "no_transactions": at("after_signals"),
    "commit_before_signals": at("after_commit"),
    "transactional_id_per_worker": at("before_commit", action="stop", faults=1),
    "load_before_fencing": LONG_STOPS,
    "load_uncommitted": at("before_commit"),
    "seek_to_group_offset": by(kinds.sigkill),
    "future_not_awaited": by(kinds.signals_refused),
    "goes_on_after_commit_timeout": by(kinds.commit_answered_late, number=3),
}

KAFKA = {"future_not_awaited": {"delivery": "at_least_once"}}
WORKER = {"seek_to_group_offset": {"snapshot_interval": 60.0}}
"""With many snapshots the state is ahead of the group's offset, and the mistake does no harm."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, java: None) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


def red(cluster: Cluster, folder: Path, name: str, settings: Settings) -> dict[str, str]:
    file, config = setting(folder, name.replace("_", "-"), cluster.bootstrap, KAFKA.get(name), **WORKER.get(name, {}))
    run = Run(cluster, file, config, replace(settings, mutation=name))
    run.play()
    assert run.faults >= settings.faults
    return examine(run, file, quick=True).red


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_KAFKA)
def test_a_mistake_is_found(name: str, cluster: Cluster, tmp_path: Path) -> None:
    found = red(cluster, tmp_path, name, FINDS[name])
    print(f"\n| {ON_KAFKA[name].mistake} | {', '.join(found)} |\n{found}")
    assert found.keys() - {"lag", "size"}, "a busy machine shows these without any mistake"
