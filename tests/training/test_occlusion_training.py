"""Training of the network that sees what lies before a face: a run saves, resumes, and goes on from other weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import REPOSITORY, SAMPLES

from beautygan_cli.errors import ModelError
from beautygan_cli.faces.occlusion import OcclusionNetwork
from beautygan_cli.training import dataset, occlusion
from beautygan_cli.training.occlusion import Settings

FACES = SAMPLES / "no_makeup"


def settings(out: Path, minutes: float, start: Path | None = None) -> Settings:
    return Settings(
        *(str(FACES), str(out), start and str(start), minutes),
        **{"batch": 2, "buffer": 16, "ready": 4, "check_count": 1, "rate": 1e-5},
    )


def answers(folder: Path, people: list[dataset.Person]) -> np.ndarray:
    with OcclusionNetwork(folder) as network:
        return network.probabilities(
            np.stack([person.chip for person in people]), np.stack([person.landmarks for person in people])
        )


def test_a_run_goes_on_from_other_weights_and_from_its_own(tmp_path: Path, cast: Path) -> None:
    people, said = dataset.load(FACES, cast)[:2], []
    bundled = REPOSITORY / "models" / "occlusion"
    occlusion.train(settings(tmp_path, 0.03, bundled), say=said.append)
    assert "the network has labelled the photos" in said
    before, after = answers(bundled, people), answers(tmp_path, people)
    assert 0 < np.abs(after - before).mean() < 0.02
    occlusion.train(settings(tmp_path, 0.06, bundled), resume=True, say=said.append)
    assert [line for line in said if line.startswith("going on from step ")]


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights of this network"):
        occlusion.train(settings(tmp_path, 0.01, REPOSITORY / "models" / "landmarks"))
