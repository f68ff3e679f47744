"""bfloat16 is taken for a model of one's own where a photo shows that nobody can see it."""

import pytest
from standin import StandIn

from beautygan_cli.makeup import precision
from beautygan_cli.model import measured
from beautygan_cli.model import session as model_session

SMALL = {"size": 64, "width": 4, "batch": None, "blocks": 2}


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """A cache folder of this test's own, and a processor that computes with bfloat16."""
    monkeypatch.setattr(measured, "folder", lambda: tmp_path / "measured")
    monkeypatch.setattr(precision, "native_bf16", lambda: True)


@pytest.fixture
def loaded(monkeypatch):
    """With which precision each network was loaded."""
    kinds, load = [], model_session.load_network

    def noted(*arguments, precision, **more):
        kinds.append(precision)
        return load(*arguments, precision=precision, **more)

    monkeypatch.setattr(model_session, "load_network", noted)
    return kinds


@pytest.mark.skipif(not model_session.native_bf16(), reason="this processor computes nothing with bfloat16")
def test_noise_which_rounding_changes_visibly_stays_in_float32(tmp_path):
    with precision.open_session(StandIn(**SMALL, contrast=3.0).save(tmp_path / "noise")) as session:
        assert session.precision == "fp32"


def test_a_model_in_whose_photos_rounding_changes_nothing_is_run_in_bfloat16_and_that_is_remembered(tmp_path, loaded):
    model = StandIn(**SMALL, contrast=0.0).save(tmp_path / "grey")
    with precision.open_session(model) as session:
        assert session.precision == "bf16"
    assert set(loaded) == {"fp32", "bf16"}
    loaded.clear()
    with precision.open_session(model) as session:
        assert session.precision == "bf16"
    assert loaded == ["bf16"]


@pytest.mark.parametrize("asked", ["fp32", "bf16"])
def test_what_is_asked_for_is_taken_without_a_trial(tmp_path, loaded, asked):
    with precision.open_session(StandIn(**SMALL).save(tmp_path / "noise"), precision=asked) as session:
        assert session.precision == asked
    assert loaded == [asked]


def test_without_bfloat16_in_the_processor_nothing_is_tried(tmp_path, monkeypatch, loaded):
    monkeypatch.setattr(precision, "native_bf16", lambda: False)
    with precision.open_session(StandIn(**SMALL).save(tmp_path / "noise")) as session:
        assert session.precision == "fp32"
    assert loaded == ["fp32"]
