"""The whole way of one photo, from Python, with the bundled model."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image
from standin import StandIn

from beautygan_cli import MakeupSession, Strengths, transfer
from beautygan_cli.errors import FaceError, PhotoError
from beautygan_cli.faces import alignment, detection
from beautygan_cli.faces.masks import cheeks_mask, face_mask, lids_mask, lips_mask
from beautygan_cli.faces.recognition import descriptor
from beautygan_cli.imaging.colour import ciede2000, rgb_to_lab, weighted_mean
from beautygan_cli.makeup import pipeline
from beautygan_cli.photos import icc
from beautygan_cli.photos.photo import photo_of, read_photo

BARE = sorted((SAMPLES / "no_makeup").glob("*.jpg"))
LOOKS = sorted((SAMPLES / "makeup").glob("*.jpg"))


@pytest.fixture(scope="module")
def session() -> Iterator[MakeupSession]:
    with MakeupSession() as opened:
        yield opened


def mean_colours(pixels: np.ndarray, landmarks: np.ndarray) -> dict[str, np.ndarray]:
    lab, shape = rgb_to_lab(pixels), pixels.shape[:2]
    return {
        "lips": weighted_mean(lab, lips_mask(landmarks, shape, soft=0)),
        "lids": weighted_mean(lab, lids_mask(landmarks, shape)),
    }


def test_the_chips_of_a_pair_are_laid_once_though_three_regions_wear_them(
    session: MakeupSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    def face(path: Path) -> alignment.FaceAnalysis:
        return pipeline.find_faces(read_photo(path).pixels, session.signature, path.name)[0]

    pairs = [(face(BARE[0]), face(look)) for look in LOOKS[:2]]
    laid = []
    lay = pipeline.network_chips
    monkeypatch.setattr(pipeline, "network_chips", lambda *given: laid.append(given[:2]) or lay(*given))
    pipeline.make_up(pairs, session)
    sources = {source for source, _ in pairs}
    assert [item for item in laid if item[0] in sources] == pairs
    # The rest: each reference once, for the pigment of its eyes.
    assert [face for face, _ in laid if face not in sources] == [look for _, look in pairs]


def test_makeup_of_every_look_comes_over_to_every_sample(session: MakeupSession) -> None:
    """Each photo is read once and its faces found once; from there it is the way of `transfer`."""
    before: dict[str, list[float]] = {"lips": [], "lids": []}
    after: dict[str, list[float]] = {"lips": [], "lids": []}
    looks = []
    for look in LOOKS:
        pixels = read_photo(look).pixels
        (worn,) = pipeline.find_faces(pixels, session.signature, look.name, which="largest")
        looks.append((pipeline.Wearing.all_of(worn), mean_colours(pixels, detection.detect(pixels)[0].landmarks)))
    for path in BARE:
        pixels = read_photo(path).pixels
        faces = pipeline.find_faces(pixels, session.signature, path.name)
        landmarks = detection.detect(pixels)[0].landmarks
        own = mean_colours(pixels, landmarks)
        for wearing, wanted in looks:
            made = pipeline.apply_look(pixels, faces, wearing, Strengths(1, 1, 1), session, in_place=False)
            got = mean_colours(made, landmarks)
            for region in before:
                before[region].append(float(ciede2000(own[region], wanted[region])))
                after[region].append(float(ciede2000(got[region], wanted[region])))
    assert np.mean(after["lips"]) < 0.5 * np.mean(before["lips"])
    assert np.mean(after["lids"]) < 0.6 * np.mean(before["lids"])
    assert all(a < b for a, b in zip(after["lips"], before["lips"], strict=True) if b > 15)


def test_the_person_stays_the_same(session: MakeupSession) -> None:
    distances = []
    for path in BARE:
        pixels = read_photo(path).pixels
        face = detection.detect(pixels)[0]
        result = transfer(pixels, LOOKS[0], session=session)
        distances.append(np.linalg.norm(descriptor(pixels, face) - descriptor(result, face)))
    assert np.mean(distances) < 0.32  # strangers lie 0.6 apart


def test_a_photo_is_taken_in_whatever_way_it_is_given(session: MakeupSession) -> None:
    photo, content = read_photo(BARE[0]), BARE[0].read_bytes()
    given = [BARE[0], str(BARE[0]), photo, photo.pixels, content, io.BytesIO(content), Image.open(BARE[0])]
    results = [transfer(source, LOOKS[0], session=session) for source in given]
    assert all(np.array_equal(result, results[0]) for result in results)
    with Image.open(LOOKS[0]) as look:
        assert np.array_equal(transfer(content, look, session=session), results[0])


def test_a_pil_image_is_seen_upright_through_its_profile(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    profile = icc.matrix_profile(icc.PRIMARIES[12], None)
    Image.open(BARE[0]).save(tmp_path / "turned.png", exif=exif.tobytes(), icc_profile=profile)
    with Image.open(tmp_path / "turned.png") as image:
        assert np.array_equal(photo_of(image).pixels, read_photo(tmp_path / "turned.png").pixels)
    with pytest.raises(PhotoError, match="the photo is no photo of a known format"):
        transfer(b"nothing", LOOKS[0])


def test_a_photo_that_is_spare_is_made_up_in_place_and_another_is_left_alone(session: MakeupSession) -> None:
    kept = read_photo(BARE[0]).pixels
    face = pipeline.find_faces(kept, session.signature, "a photo")[0]
    look = pipeline.find_faces(read_photo(LOOKS[0]).pixels, session.signature, "a look")[0]
    made = pipeline.make_up([(face, look)], session)
    spare, before = kept.copy(), kept.copy()
    result = pipeline.apply(kept, [face], made, Strengths())
    assert np.array_equal(kept, before)
    assert pipeline.apply(spare, [face], made, Strengths(), in_place=True) is spare
    assert np.array_equal(spare, result)


def test_every_face_of_a_photo_is_made_up_or_the_largest_alone(session: MakeupSession) -> None:
    two = np.full((800, 1500, 3), 210, dtype=np.uint8)
    two[:800, :800] = cv2.resize(read_photo(BARE[0]).pixels, (800, 800), interpolation=cv2.INTER_AREA)
    two[100:700, 850:1450] = cv2.resize(read_photo(BARE[1]).pixels, (600, 600), interpolation=cv2.INTER_AREA)
    everyone = transfer(two, LOOKS[0], session=session) != two
    assert everyone[:, :800].any()
    assert everyone[:, 850:].any()
    one = transfer(two, LOOKS[0], session=session, which="largest") != two
    assert one[:, :800].any()
    assert not one[:, 850:].any()


def test_one_photo_without_a_face_is_named_in_the_error(session: MakeupSession, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((300, 300, 3), 140, dtype=np.uint8))
    with pytest.raises(FaceError, match=r"blank\.png"):
        transfer(blank, LOOKS[0], session=session)
    with pytest.raises(FaceError, match=r"blank\.png"):
        transfer(BARE[0], blank, session=session)


def test_a_missing_photo_is_named_in_the_error(session: MakeupSession, tmp_path: Path) -> None:
    with pytest.raises(PhotoError, match=r"nothing\.jpg"):
        transfer(tmp_path / "nothing.jpg", LOOKS[0], session=session)


@pytest.mark.parametrize("bad", [np.zeros((9, 9), np.uint8), np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 3))])
def test_an_array_of_another_kind_is_refused(bad: np.ndarray, session: MakeupSession) -> None:
    with pytest.raises(ValueError, match="uint8 RGB"):
        transfer(bad, LOOKS[0], session=session)


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import beautygan_cli, sys; print([m for m in ('numpy', 'cv2', 'dlib', 'tensorflow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_transfer_is_the_function_whatever_was_imported_before() -> None:
    code = "import beautygan_cli.batch.line; from beautygan_cli import transfer; print(callable(transfer))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"


def test_glasses_and_a_fringe_of_the_reference_leave_no_ghost(session: MakeupSession) -> None:
    look = read_photo(SAMPLES / "makeup" / "plum.jpg").pixels
    landmarks = detection.detect(look)[0].landmarks
    covered = look.copy()
    for eye in (landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)):
        cv2.ellipse(covered, (int(eye[0]), int(eye[1]) + 12), (92, 74), 0, 0, 360, (15, 15, 20), 8, cv2.LINE_AA)
    source = read_photo(SAMPLES / "no_makeup" / "bea.jpg").pixels
    own = detection.detect(source)[0].landmarks
    plain, through = (transfer(source, item, session=session).astype(int) for item in (look, covered))
    cheeks = cheeks_mask(own, source.shape[:2]) > 0.9
    assert np.abs(rgb_to_lab(plain) - rgb_to_lab(through))[cheeks].max(axis=-1).mean() < 2


def test_a_model_of_the_published_contract_runs_the_same_way(tmp_path: Path) -> None:
    StandIn(width=4, batch=1, blocks=1).save(tmp_path)
    with MakeupSession(tmp_path) as published:
        assert not published.signature.warp_reference
        pixels = read_photo(BARE[0]).pixels
        result = transfer(pixels, LOOKS[0], session=published)
        # Each encoder, then the decoder; before that both chips once, to see how well makeup comes off.
        assert (published.encoded, published.runs) == (2 + 2, 3 + 1)
    outside = face_mask(detection.detect(pixels)[0].landmarks, pixels.shape[:2], soft=0.2) == 0
    far = cv2.erode(outside.astype(np.uint8), np.ones((61, 61))) > 0
    assert np.array_equal(result[far], pixels[far])
