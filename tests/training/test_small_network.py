"""The clock of the small networks' trainings: a run's rate, what it tells, and when it saves."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from beautygan_cli.training import small_network
from beautygan_cli.training.small_network import Clock, Progress


@dataclass(frozen=True)
class Settings:
    minutes: float = 10.0
    rate: float = 0.01
    warm_up: int = 4
    save_every: float = 60.0


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch):
    """`passes(7)`: seven seconds go by."""
    now = [1000.0]
    monkeypatch.setattr(small_network.time, "monotonic", lambda: now[0])

    def go_on(seconds: float) -> None:
        now[0] += seconds

    return go_on


def test_a_run_counts_its_steps_and_their_time_but_not_a_suspended_machines(passes) -> None:
    progress = Progress(step=7, seconds=30.0)
    clock = Clock(Settings(), progress)
    assert clock.share() == 0.05
    passes(6)
    clock.step(1.0)
    assert (progress.step, progress.seconds) == (8, 36.0)
    clock.share()
    passes(5000)
    clock.step(1.0)
    assert (progress.step, progress.seconds) == (9, 96.0)


def test_the_rate_warms_up_and_falls_to_a_fiftieth() -> None:
    progress = Progress()
    clock = Clock(Settings(), progress)
    assert clock.rate(0.0) == pytest.approx(0.01 / 4)
    progress.step = 3
    assert clock.rate(0.0) == pytest.approx(0.01)
    progress.step = 100
    assert clock.rate(0.5) == pytest.approx(0.005)
    assert clock.rate(1.5) == pytest.approx(0.0002)


def test_the_log_tells_of_the_steps_since_its_last_line(passes) -> None:
    clock = Clock(Settings(), Progress())
    lines = []
    for loss in (1.0, 3.0, 10.0, 20.0):
        share = clock.share()
        passes(11)
        clock.step(loss)
        lines.append(clock.due_line(share, lambda mean: f"loss {mean:.1f}"))
    assert lines == ["", "step 2  1.8 %  loss 2.0  0.09 steps/s", "", "step 4  5.5 %  loss 15.0  0.09 steps/s"]


def test_a_run_is_saved_again_when_so_much_time_is_over(passes) -> None:
    clock = Clock(Settings(), Progress())
    due = []
    for _ in range(5):
        passes(31)
        due.append(clock.due_save())
    assert due == [False, True, False, True, False]
