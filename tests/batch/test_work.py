"""How much work a run is, counted: whatever the machine's speed, one more of anything fails here."""

import threading
import tracemalloc
from collections import Counter
from concurrent.futures import Future
from dataclasses import replace
from functools import wraps
from pathlib import PurePath

import numpy as np
import pytest

from beautygan_cli.batch import line as batch_line
from beautygan_cli.batch import sources as batch_sources
from beautygan_cli.batch.manifest import Manifest
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.batch.plan import Planner
from beautygan_cli.batch.sources import read_looks, read_source
from beautygan_cli.faces import detection, left_out, masks, reference
from beautygan_cli.faces.occlusion import TOLD
from beautygan_cli.makeup import composite, eye_layer, pipeline
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Look
from beautygan_cli.model import session as model_session
from beautygan_cli.model.session import MakeupSession
from beautygan_cli.photos.find import Found
from beautygan_cli.photos.photo import read_photo

REFERENCES = 3


@pytest.fixture
def calls(monkeypatch):
    """How often photos were read, searched and analysed, by name."""
    counts: dict[str, int] = {}
    lock = threading.Lock()

    def count(module, name):
        real = getattr(module, name)

        def counted(*arguments, **more):
            with lock:
                counts[name] = counts.get(name, 0) + 1
            return real(*arguments, **more)

        monkeypatch.setattr(module, name, counted)

    count(batch_sources, "read_photo")
    count(detection, "detect")
    count(pipeline, "analyse_face")
    count(eye_layer, "eye_layers")
    return counts


def looks_of(place, session, workers=1):
    paths = [place(f"looks/{number}.jpg", "worn", number) for number in range(REFERENCES)]
    given = [(Found(path, PurePath()), Look.of(path)) for path in paths]
    return read_looks(given, session.signature, workers=workers)[0]


def test_each_photo_of_a_run_is_read_searched_and_analysed_once(place, session, tmp_path, calls):
    sources = [Found(place(f"{number}.jpg", "bare", number), PurePath()) for number in range(2)]
    pipeline._bare_pair(session.signature)
    calls.clear()
    encoded, runs = session.encoded, session.runs
    looks = looks_of(place, session)
    with Manifest(tmp_path / "out") as manifest:
        config = RunConfig(out=tmp_path / "out", batch_size=2)
        outcomes = list(batch_line.run(Planner(looks, session, config, manifest), sources))
    assert [outcome.status for outcome in outcomes] == ["made"] * 6
    assert calls["read_photo"] == calls["detect"] == calls["analyse_face"] == 2 + REFERENCES
    # 6 pairs by 2 at a time; the pigment of each reference is read once, beside the batch in which it is first worn.
    assert session.runs - runs == 3 + 2
    assert session.encoded - encoded == 2 * (6 + REFERENCES)
    assert calls["eye_layers"] == 2  # once a batch, for both of its references together; the third one's in the next


def test_a_sources_masks_are_drawn_once_for_all_its_references(place, session, monkeypatch):
    pair, faces = [], []
    for name, folder in (("bare.jpg", "bare"), ("worn.jpg", "worn")):
        pixels = read_photo(place(name, folder, 0)).pixels
        pair.append(pixels)
        faces.append(pipeline.find_faces(pixels, session.signature, name)[0])
    drawn = []
    for name in ("face_mask", "skin_mask", "cheeks_mask", "lips_mask", "eyes_mask", "lids_mask"):
        real = getattr(masks, name)

        @wraps(real)
        def counted(landmarks, shape, *more, real=real, name=name, **options):
            if np.array_equal(landmarks, faces[0].landmarks):
                drawn.append(name)
            return real(landmarks, shape, *more, **options)

        monkeypatch.setattr(masks, name, counted)
    once = None
    for _ in range(REFERENCES):
        made = pipeline.make_up([(faces[0], replace(faces[1]))], session)
        pipeline.apply(pair[0], [faces[0]], made, Strengths())
        once = once or len(drawn)
    assert once
    assert len(drawn) == once


def test_of_each_face_what_a_run_works_out_for_it_is_worked_out_once(place, session, tmp_path, monkeypatch):
    config = RunConfig(out=tmp_path / "out", batch_size=2)
    counts: dict[str, Counter[bytes]] = {}
    lock = threading.Lock()

    def count(module, name, key):
        real, told = getattr(module, name), counts.setdefault(name, Counter())

        @wraps(real)
        def counted(*arguments, **more):
            with lock:
                told[key(*arguments)] += 1
            return real(*arguments, **more)

        monkeypatch.setattr(module, name, counted)

    of_chip = (session.signature.size,) * 2
    count(masks, "cheeks_mask", lambda landmarks, shape, *_: landmarks.tobytes() if shape == of_chip else b"another")
    count(masks, "skin_mask", lambda landmarks, shape, *_: landmarks.tobytes() if shape == of_chip else b"another")
    count(left_out, "covered_shares", lambda occlusion, landmarks: landmarks.tobytes())
    count(composite, "change_weights", lambda pixels, face, *_: face.landmarks.tobytes())
    shown = np.full(of_chip, TOLD, np.float32)  # a little before every face: none of the short cuts of a free one
    monkeypatch.setattr(left_out, "occlusion_of", lambda face: shown)
    monkeypatch.setattr(reference, "occlusion_of", lambda face: shown)
    looks = looks_of(place, session)
    references = [look.wearing.face for look in looks]
    with Manifest(config.out) as manifest:
        source = Found(place("a.jpg", "bare"), PurePath())
        outcomes = list(batch_line.run(Planner(looks, session, config, manifest), [source]))
    assert [outcome.status for outcome in outcomes] == ["made"] * REFERENCES
    of_references = [face.landmarks.tobytes() for face in references]
    assert [counts["covered_shares"][of] for of in of_references] == [1] * REFERENCES
    assert [counts["cheeks_mask"][of] for of in of_references] == [1] * REFERENCES
    # For the cheeks, for what is painted over, and for the shares that are covered.
    assert [counts["skin_mask"][of] for of in of_references] == [3] * REFERENCES
    # The finishers of a source's first results begin at the same time.
    assert list(counts["change_weights"].values()) == [1]


def test_a_source_that_is_being_read_already_is_not_read_again(place, session, tmp_path, calls):
    path = place("a.jpg", "bare")
    config = RunConfig(out=tmp_path / "out")
    looks = looks_of(place, session)
    reading: Future = Future()
    reading.set_result(read_source(path, session.signature, config))
    calls.clear()
    with Manifest(config.out) as manifest:
        run = batch_line.run(
            Planner(looks, session, config, manifest), [Found(path, PurePath())], ahead={path: reading}
        )
        assert [outcome.status for outcome in run] == ["made"] * REFERENCES
    assert "read_photo" not in calls and "detect" not in calls


def test_references_read_by_several_threads_come_in_their_order_with_their_failures(place, session, no_face):
    given = [place("looks/a.jpg", "worn", 0), no_face, place("looks/b.jpg", "worn", 1)]
    named = [(Found(path, PurePath()), Look.of(path)) for path in given]
    ready, failed = read_looks(named, session.signature, workers=3)
    assert [look.path for look in ready] == [given[0], given[2]]
    assert [outcome.reference for outcome in failed] == [no_face]


def test_after_prepare_the_first_result_waits_for_no_network(place, model, monkeypatch):
    with MakeupSession(model) as session:
        pipeline.prepare(session)
        loads, prepared = [], []
        monkeypatch.setattr(model_session, "load_network", lambda *_, **__: loads.append(1))
        for network in session._networks.values():
            make = network.session._make_callable_from_options
            monkeypatch.setattr(
                network.session,
                "_make_callable_from_options",
                lambda options, make=make: prepared.append(options) or make(options),
            )
        faces = [
            pipeline.find_faces(read_photo(place(f"{kind}.jpg", kind)).pixels, session.signature, kind)[0]
            for kind in ("bare", "worn")
        ]
        pipeline.make_up([tuple(faces)], session)
        assert (loads, prepared) == ([], [])


@pytest.mark.parametrize(("in_place", "copies"), [(True, 0), (False, 1)])
def test_a_result_takes_no_more_copies_of_the_photo_than_it_needs(place, session, in_place, copies):
    """A photo that is wanted again is copied once for each result, one of no further use not at all."""
    import cv2

    small = read_photo(place("a.jpg", "bare")).pixels
    look = pipeline.find_faces(read_photo(place("b.jpg", "worn")).pixels, session.signature, "b")[0]
    peaks = []
    for margin in (1500, 3000):  # the same face in a larger photo: what grows with the photo is a copy of it
        pixels = cv2.copyMakeBorder(small, margin, 0, margin, 0, cv2.BORDER_REPLICATE)
        face = pipeline.find_faces(small, session.signature, "a")[0]
        moved = face.crop_transform.matrix.copy()
        moved[:, 2] -= moved[:, :2] @ (margin, margin)
        face = replace(face, crop_transform=replace(face.crop_transform, matrix=moved))
        made = pipeline.make_up([(face, look)], session)
        tracemalloc.start()
        pipeline.apply(pixels, [face], made, Strengths(), in_place=in_place)
        peaks.append((tracemalloc.get_traced_memory()[1], pixels.nbytes))
        tracemalloc.stop()
    (first, of_first), (second, of_second) = peaks
    assert (second - first) / (of_second - of_first) == pytest.approx(copies, abs=0.05)
