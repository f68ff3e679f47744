"""Each face through its encoder once, counted: what a run costs, whatever the machine's speed."""

import gc

import numpy as np
import pytest
from standin import StandIn

from beautygan_cli.faces.alignment import CropTransform, FaceAnalysis
from beautygan_cli.makeup import encoded
from beautygan_cli.model.session import MakeupSession

SIZE = 16


@pytest.fixture
def opened(tmp_path):
    """A small stand-in of the published model, which takes references as they are."""
    with MakeupSession(StandIn(size=SIZE, width=2, batch=None).save(tmp_path), batch_size=4) as opened:
        yield opened


def some_faces(count, seed, size=SIZE):
    chips = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    crop_transform = CropTransform(np.eye(2, 3, dtype=np.float32), size)
    return [FaceAnalysis(chip, crop_transform, np.zeros((68, 2), np.float32)) for chip in chips]


def made_up(session, pairs):
    return encoded.transfer(session, pairs, [source.chip for source, _ in pairs], [look.chip for _, look in pairs])


def test_one_photo_with_nine_references_is_encoded_once(opened):
    (source,), looks = some_faces(1, seed=1), some_faces(9, seed=2)
    pairs = [(source, look) for look in looks]
    results = np.concatenate([made_up(opened, pairs[:5]), made_up(opened, pairs[5:])])
    assert opened.encoded == 1 + 9
    whole = opened.transfer(np.stack([source.chip] * 9), np.stack([look.chip for look in looks]))
    np.testing.assert_allclose(results, whole, atol=0.01)


def test_references_are_encoded_once_a_run(opened):
    sources, looks = some_faces(4, seed=1), some_faces(3, seed=2)
    for source in sources:
        made_up(opened, [(source, look) for look in looks])
    assert opened.encoded == 4 + 3


def test_pairs_in_any_order_get_their_own_faces(opened):
    sources, looks = some_faces(3, seed=1), some_faces(3, seed=2)
    pairs = [(sources[i], looks[j]) for i, j in ((2, 0), (0, 0), (2, 1), (1, 2), (0, 2))]
    whole = opened.transfer(np.stack([s.chip for s, _ in pairs]), np.stack([r.chip for _, r in pairs]))
    np.testing.assert_allclose(made_up(opened, pairs), whole, atol=0.01)


def test_a_face_as_source_and_as_reference_is_two_things(opened):
    first, second = some_faces(2, seed=1)
    there, back = made_up(opened, [(first, second)]), made_up(opened, [(second, first)])
    assert np.abs(there - back).mean() > 1
    assert opened.encoded == 4


def test_faces_that_are_gone_and_those_over_the_bound_are_forgotten(opened, monkeypatch):
    sources, looks = some_faces(3, seed=1), some_faces(1, seed=2)
    made_up(opened, [(source, looks[0]) for source in sources])
    of_sources, _ = encoded._kept[opened]
    assert len(of_sources.features) == 3
    del sources[0]
    gc.collect()
    assert len(of_sources.features) == 2
    monkeypatch.setattr(encoded, "MOST_KEPT_BYTES", 0)
    made_up(opened, [(sources[0], looks[0])])
    assert len(of_sources.features) == 0


def test_the_bundled_model_runs_a_batch_of_pairs_as_one(session):
    size = session.signature.size
    (source,), looks = some_faces(1, seed=1, size=size), some_faces(3, seed=2, size=size)
    before = session.runs
    made_up(session, [(source, look) for look in looks])
    assert session.runs - before == 1


def test_the_kept_graphs_are_no_larger_than_they_were(opened, session):
    """Nodes that one result is computed from; a change of the pruning shows here before it shows in seconds."""
    assert len(opened._network("generator/xs:0").graph.get_operations()) <= 456
    assert len(session._network(session.signature.made_up).graph.get_operations()) <= 362
