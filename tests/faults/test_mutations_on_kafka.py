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
from tests.support.deadlines import deadline

CALM = Settings(
    faults=3,
    minutes=0.5,
    rate=150.0,
    deck={},
    armed=1.0,
    armable=1,
    pause=(1.0, 2.0),
    passes=(12, 20),
    tail=8.0,
    patience=40.0,
)


def at(*points: str, action: str = "kill", faults: int = 2) -> Settings:
    return replace(CALM, points=points, actions=(action,), faults=faults)


def by(*faults: kinds.Fault, number: int = 2) -> Settings:
    return replace(CALM, points=(), deck=dict.fromkeys(faults, 1), faults=number)


AWAITED = replace(at("before_commit", action="stop", faults=1), minutes=1.0, until_awaited=True)
"""A stopped worker must wake when the next owner has loaded, and has not fenced it yet."""

FINDS = {
    "no_transactions": at("after_signals"),
    "commit_before_signals": at("after_commit"),
    "transactional_id_per_worker": at("before_commit", action="stop", faults=1),
    "load_before_fencing": AWAITED,
    "load_uncommitted": at("before_commit"),
    "seek_to_group_offset": replace(by(kinds.sigkill, number=1), pause=(5.0, 6.0)),
    "future_not_awaited": by(kinds.signals_refused),
    "goes_on_after_commit_timeout": by(kinds.commit_answered_late, number=3),
}

SEEDS = (1, 2, 3, 4)
KAFKA = {"future_not_awaited": {"delivery": "at_least_once"}}
WORKER = {"seek_to_group_offset": {"snapshot_interval": 60.0}}
"""With many snapshots the state is ahead of the group's offset, and the mistake does no harm."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, java: None) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


def found(cluster: Cluster, folder: Path, name: str) -> dict[str, str]:
    """What turned red, by the check, in the first of some runs in which the fault comes at a moment where it does harm;
    not what a busy machine shows without any mistake.
    """
    for seed in SEEDS:
        minutes = deadline(FINDS[name].minutes)
        red = run(cluster, folder, name, replace(FINDS[name], mutation=name, seed=seed, minutes=minutes))
        if red.keys() - {"lag", "size"}:
            return red
    return {}


def run(cluster: Cluster, folder: Path, name: str, settings: Settings) -> dict[str, str]:
    prefix = f"{name.replace('_', '-')}-{settings.seed}"
    file, config = setting(folder, prefix, cluster.bootstrap, KAFKA.get(name), **WORKER.get(name, {}))
    run = Run(cluster, file, config, settings)
    run.play()
    assert run.faults >= settings.faults, (run.ends, run.notes, [w.log.read_text()[-2000:] for w in run.workers])
    return examine(run, file, quick=True).red


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_KAFKA)
def test_a_mistake_is_found(name: str, cluster: Cluster, tmp_path: Path) -> None:
    red = found(cluster, tmp_path, name)
    print(f"\n| {ON_KAFKA[name].mistake} | {', '.join(red)} |\n{red}")
    assert red
