"""What could not be made up as asked is told; what this tool made before is no source, through the whole command."""

import json
import shutil
from pathlib import Path

import cv2
import hard_faces
import imageio.v3 as iio
import numpy as np
import pytest
from conftest import bare_photos

from beautygan_cli.batch.manifest import FILE_NAME
from beautygan_cli.faces import left_out


@pytest.fixture(scope="module")
def hidden_eye(tmp_path_factory):
    """A photo of somebody with a hand before one eye."""
    path = tmp_path_factory.mktemp("hidden") / "hand.png"
    iio.imwrite(path, hard_faces.hand(hard_faces.read(bare_photos()[0]), "eye").pixels)
    return path


def rows(tmp_path):
    return json.loads((tmp_path / "report.json").read_text())["results"]


def test_a_covered_eye_stands_in_report_summary_and_gallery(beautygan, place, tmp_path, hidden_eye):
    place("look.jpg", "worn")
    place("free.jpg", "bare")
    options = ("--ref", "look.jpg", "--report", "report.json", "--gallery")
    status, _, err = beautygan(hidden_eye, "free.jpg", *options)
    assert status == 0
    hand, free = rows(tmp_path)
    assert hand["partly"] is True and "left eye" in hand["reason"] and "% covered" in hand["reason"]
    assert (free["partly"], free["reason"]) == (False, None)
    assert "2 made, 1 of them in part" in err
    assert '"partly": true' in (tmp_path / "made_up" / "index.html").read_text()
    beautygan(hidden_eye, "free.jpg", *options)
    again = rows(tmp_path)
    assert [row["status"] for row in again] == ["kept", "kept"]
    assert [row["partly"] for row in again] == [True, False]  # the manifest keeps it


def test_what_is_not_to_be_made_up_is_not_left_out(beautygan, place, tmp_path, hidden_eye):
    place("look.jpg", "worn")
    beautygan(hidden_eye, "--ref", "look.jpg", "--eyes", "0", "--report", "report.json")
    assert [row["partly"] for row in rows(tmp_path)] == [False]


def test_what_a_reference_does_not_show_is_told(beautygan, place, tmp_path, hidden_eye):
    place("me.jpg", "bare", 1)
    beautygan("me.jpg", "--ref", hidden_eye, "--report", "report.json")
    (row,) = rows(tmp_path)
    assert row["partly"] is True and "in the reference left eye" in row["reason"]


def test_a_mouth_cut_by_the_photos_edge_lies_outside():
    landmarks = np.full((68, 2), 50.0)
    assert left_out.outside(landmarks, (100, 100)) == []
    landmarks[57] = (50, 104)
    assert [item.region for item in left_out.outside(landmarks, (100, 100))] == ["lips"]
    landmarks[36] = (-1, 50)
    assert [item.phrase for item in left_out.outside(landmarks, (100, 100))] == [
        "an eye out of the photo",
        "the mouth out of the photo",
    ]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_results_of_earlier_runs_in_a_folder_are_no_sources(beautygan, place, tmp_path, suffix):
    place(f"mine/me{suffix}", "bare")
    place("look.jpg", "worn")
    beautygan("mine", "--ref", "look.jpg", "--out", "first")
    (made,) = [path for path in Path("first").iterdir() if not path.name.startswith(FILE_NAME)]
    shutil.copyfile(made, Path("mine", made.name))
    status, out, err = beautygan("mine", "--ref", "look.jpg", "--out", "second")
    assert (status, len(out)) == (0, 1)
    assert "me__look" in out[0] and "me__look__look" not in out[0]
    assert "results of earlier runs in folders are left out (1)" in err


def test_a_lost_manifest_does_not_make_results_of_results(beautygan, place, tmp_path):
    place("mine/me.png", "bare")
    place("look.jpg", "worn")
    arguments = ("mine", "--ref", "look.jpg", "--out", "mine")
    beautygan(*arguments)
    for file in Path("mine").glob(f"{FILE_NAME}*"):
        file.unlink()
    beautygan(*arguments)
    assert sorted(path.name for path in Path("mine").iterdir() if not path.name.startswith(".")) == [
        "me.png",
        "me__look.png",
    ]


def test_a_result_that_is_named_is_made_up_again(beautygan, place):
    place("me.png", "bare")
    place("look.jpg", "worn")
    _, (made,), _ = beautygan("me.png", "--ref", "look.jpg")
    status, out, err = beautygan(made, "--ref", "look.jpg", "--out", "again")
    assert (status, len(out)) == (0, 1) and "left out" not in err


def beside(small, large, scale):
    """Two photos side by side, the first reduced."""
    height, width = (round(side * scale) for side in small.shape[:2])
    canvas = np.full((large.shape[0], large.shape[1] + width, 3), 200, np.uint8)
    canvas[:, : large.shape[1]] = large
    canvas[:height, large.shape[1] :] = cv2.resize(small, (width, height), interpolation=cv2.INTER_AREA)
    return canvas


@pytest.mark.parametrize("kind", ["far behind", "statue"])
def test_bystanders_and_statues_are_left_alone_and_counted(beautygan, place, tmp_path, kind):
    person, other = (hard_faces.read(path, 1000).pixels for path in bare_photos()[:2])
    other = np.repeat(other.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8) if kind == "statue" else other
    photo = beside(other, person, 1.0 if kind == "statue" else 0.22)
    iio.imwrite(tmp_path / "two.png", photo)
    place("look.jpg", "worn")
    beautygan("two.png", "--ref", "look.jpg", "--report", "report.json")
    (row,) = rows(tmp_path)
    assert row["faces"] == 1
    assert row["reason"] == "a face far smaller, or without colour, left as in the photo"
    made = iio.imread(tmp_path / row["output"])
    assert np.array_equal(made[:, person.shape[1] :], photo[:, person.shape[1] :])
    assert not np.array_equal(made, photo)


def test_friends_side_by_side_are_all_made_up(beautygan, place, tmp_path):
    person, other = (hard_faces.read(path, 1000).pixels for path in bare_photos()[:2])
    iio.imwrite(tmp_path / "two.png", beside(other, person, 0.4))
    place("look.jpg", "worn")
    beautygan("two.png", "--ref", "look.jpg", "--report", "report.json")
    (row,) = rows(tmp_path)
    assert (row["faces"], row["reason"]) == (2, None)


def test_a_photo_in_black_and_white_alone_is_made_up(beautygan, place, tmp_path):
    grey = hard_faces.read(bare_photos()[0], 600).pixels.mean(axis=2, keepdims=True)
    iio.imwrite(tmp_path / "grey.png", np.repeat(grey, 3, axis=2).astype(np.uint8))
    place("look.jpg", "worn")
    beautygan("grey.png", "--ref", "look.jpg", "--report", "report.json")
    assert rows(tmp_path)[0]["faces"] == 1
