"""Training of the network that reads pigment: its examples are true, and a run saves, resumes and can be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES

from beautygan_cli.makeup import eye_pigment as reading
from beautygan_cli.model.frozen import FrozenNetwork
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.training import dataset, eye_pigment, occluders
from beautygan_cli.training.eye_pigment import Settings
from beautygan_cli.training.small_network import Progress

FACES = SAMPLES / "no_makeup"


@pytest.fixture(scope="module")
def people(cast: Path) -> list[dataset.Person]:
    return dataset.load(FACES, cast)


def test_examples_of_bare_eyes_hold_no_pigment(people, session: MakeupSession, monkeypatch) -> None:
    monkeypatch.setattr(eye_pigment, "BARE_EYES", 1.0)
    rng = np.random.default_rng(0)
    bare = eye_pigment.bare_people(str(FACES), people[:1])
    textures = occluders.textures_of(people)
    eyes = [eye for _ in range(3) for eye in eye_pigment.make_examples(bare[0], textures, session, rng)]
    assert len(eyes) == 6
    for eye in eyes:
        assert eye.worn.shape == (*reading.SHAPE, 3)
        assert not eye.density.any()


def test_examples_of_black_lids_hold_much(people, session: MakeupSession, monkeypatch) -> None:
    monkeypatch.setattr(eye_pigment, "BARE_EYES", 0.0)
    monkeypatch.setattr(eye_pigment, "LINED", 0.0)
    monkeypatch.setattr(eye_pigment, "BLACK_LIDS", 1.0)
    monkeypatch.setattr(eye_pigment, "COVERED", 0.0)
    rng = np.random.default_rng(1)
    bare = eye_pigment.bare_people(str(FACES), people[:1])
    for eye in eye_pigment.make_examples(bare[0], occluders.textures_of(people), session, rng):
        assert np.abs(eye.density).max() > 0.5


def test_a_run_trains_saves_goes_on_and_its_network_reads(tmp_path: Path) -> None:
    said: list[str] = []
    quick = Settings(str(FACES), str(tmp_path), minutes=0.02, batch=2, buffer=8, ready=4, check_count=1)
    eye_pigment.train(quick, say=said.append)
    first = (tmp_path / "model.data-00000-of-00001").read_bytes()
    progress = small_progress(tmp_path)
    eye_pigment.train(
        Settings(
            str(FACES), str(tmp_path), minutes=progress.seconds / 60 + 0.02, batch=2, buffer=8, ready=4, check_count=1
        ),
        resume=True,
        say=said.append,
    )
    assert any(f"step {progress.step}" in line and "going on" in line for line in said)
    assert small_progress(tmp_path).step > progress.step
    assert (tmp_path / "model.data-00000-of-00001").read_bytes() != first
    shapes = ((*reading.SHAPE, 3), (*reading.SHAPE, reading.HINTS))
    with FrozenNetwork(tmp_path, shapes, {"made_up": (*reading.SHAPE, 3)}) as network:
        fed = {
            name: np.zeros((1, *shape), np.float32) for name, shape in zip(("source", "reference"), shapes, strict=True)
        }
        assert np.isfinite(network.run("made_up", fed)).all()


def small_progress(folder: Path) -> Progress:
    import json

    return Progress(**json.loads((folder / "training" / "progress.json").read_text()))
