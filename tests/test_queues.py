"""The simulation behind docs/scale.md: it never does more than its cores, its storage and its driver could."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))

from queues import Cluster, Stages, simulate

STAGES = Stages(
    read=0.1, detect=0.1, network=0.1, composite=0.1, write=0.1, source_bytes=2e6, result_bytes=3e6, width=2
)


def test_a_worker_a_core_keeps_nearly_all_cores_busy_and_no_more() -> None:
    found = simulate(Cluster(1, cores=4, workers=4), STAGES, 48)
    assert 0.9 < found["cores"] <= 1.0001
    assert found["rate"] == pytest.approx(found["cores"] * 4 / STAGES.seconds, rel=0.1)


@pytest.mark.parametrize(("limits", "most"), [({"storage": 10e6}, 2.0), ({"driver": 1.5}, 1.5), ({"nic": 10e6}, 2.0)])
def test_what_is_scarce_bounds_the_rate(limits: dict[str, float], most: float) -> None:
    found = simulate(Cluster(1, cores=4, workers=4, block=4, **limits), STAGES, 200)
    assert 0.7 * most < found["rate"] < 1.05 * most


def test_workers_beyond_the_cores_gain_nothing() -> None:
    few, many = (simulate(Cluster(1, cores=4, workers=workers), STAGES, 256 // workers) for workers in (4, 8))
    assert many["rate"] < 1.08 * few["rate"]
