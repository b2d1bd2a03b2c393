"""The suite as CI runs it: at least 60 faults, of all kinds and at ten named points at least, and all checks."""

from pathlib import Path

import pytest

from tests.faults.checks import examine
from tests.faults.cluster import Cluster
from tests.faults.controller import Run, Settings
from tests.faults.report import table
from tests.faults.setting import setting
from tests.support.deadlines import deadline

FAULTS, POINTS, MINUTES, SEED = 60, 10, 6.0, 4


@pytest.mark.slow
def test_sixty_faults_change_nothing(tmp_path: Path, java: None) -> None:
    with Cluster(tmp_path, workers=2) as cluster:
        file, config = setting(tmp_path, "run", cluster.bootstrap)
        run = Run(cluster, file, config, Settings(FAULTS, deadline(MINUTES, spare=1.0), SEED, least_points=POINTS))
        run.play()
        found = examine(run, file)
    print(f"\n{table(run, found)}")
    assert not found.red
    assert run.faults >= FAULTS
    assert len(run.points) >= POINTS
