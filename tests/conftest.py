"""What the tests of the command share: a model, a session and real photos, small enough to be quick."""

import os
import shutil
import tempfile
from pathlib import Path

import cv2
import imageio.v3 as iio
import pytest

pytest_plugins = ["browser", "served_page"]
REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLES = REPOSITORY / "samples"
SHARED = REPOSITORY.parent / "shared" / "faces"
os.environ["XDG_CONFIG_HOME"] = os.devnull  # whoever runs the tests may keep defaults of their own
# What is measured of models is remembered in a folder of this test run's own.
os.environ["XDG_CACHE_HOME"] = os.environ.get("BEAUTYGAN_TEST_CACHE") or tempfile.mkdtemp(prefix="beautygan-cache-")
LONGEST_SIDE = 320  # pixels of a test photo: enough for its face to be found, and quick


# What runs whole commands, browsers or training many times over: the fast lane leaves it to the whole suite.
SLOW_MODULES = (
    "batch/test_animation.py", "batch/test_clip.py", "batch/test_determinism.py", "batch/test_left_out.py",
    "batch/test_line.py", "batch/test_manifest.py", "batch/test_outputs.py", "batch/test_ray.py",
    "batch/test_watch.py", "cli/test_described.py", "cli/test_privacy.py", "cli/test_tour.py",
    "faces/test_hard_faces.py", "faces/test_turned.py", "fuzz/test_fuzz.py", "model/test_tensor_bundle.py",
    "model/test_tf_runtime.py", "page/test_page.py", "page/test_server.py", "photos/test_bombs.py",
    "photos/test_hostile_photos.py", "photos/test_what_clips_say.py", "report/test_gallery.py",
    "report/test_table.py", "test_packaging.py", "test_queues.py", "test_soak.py", "test_stopping.py",
    "training/test_eye_pigment_training.py", "training/test_finetune.py", "training/test_landmarks.py",
    "training/test_occlusion_training.py", "training/test_training.py",
)  # fmt: skip


def pytest_collection_modifyitems(items):
    """Mark the tests of SLOW_MODULES `slow`."""
    tests = Path(__file__).parent
    slow = {tests / name for name in SLOW_MODULES}
    assert all(module.is_file() for module in slow), "SLOW_MODULES names a module that is gone"
    for item in items:
        if item.path in slow:
            item.add_marker(pytest.mark.slow)


def bare_photos() -> list[Path]:
    """Bare-faced photos at their own size: the project's samples, else the shared photos."""
    samples = sorted(path for path in (SAMPLES / "no_makeup").glob("*") if path.suffix in (".jpg", ".png"))
    return samples or [*sorted((SHARED / "london_neutral").glob("00*.jpg")), *sorted(SHARED.glob("selfie_lisa/*.jpg"))]


def worn_photos() -> list[Path]:
    """References at their own size, from the same places."""
    return sorted((SAMPLES / "makeup").glob("*.jpg")) or sorted((SHARED / "london_smiling").glob("0[12]*.jpg"))


@pytest.fixture(scope="session")
def model() -> Path:
    """The folder of the model: the bundled one, or what BEAUTYGAN_TEST_MODEL names."""
    from beautygan_cli.errors import ModelError
    from beautygan_cli.model.checkpoint import bundled_model

    if os.environ.get("BEAUTYGAN_TEST_MODEL"):
        return Path(os.environ["BEAUTYGAN_TEST_MODEL"])
    try:
        return bundled_model()
    except ModelError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def session(model):
    """The model, open for the whole test run; how well it takes makeup off is measured already, once."""
    from beautygan_cli.makeup import eye_layer, pipeline
    from beautygan_cli.model.session import MakeupSession

    with MakeupSession(model, batch_size=4) as opened:
        eye_layer.usable(opened, pipeline._bare_pair)
        yield opened


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """`photos("bare", 0)` and `photos("worn", 1)`: real photos, reduced, as JPEG files that no test writes to."""
    bare, worn = bare_photos(), worn_photos()
    if len(bare) < 3 or len(worn) < 3:
        pytest.skip("neither the samples nor the shared photos are here")
    folder, made = tmp_path_factory.mktemp("photos"), {}

    def get(kind: str, number: int) -> Path:
        several = bare if kind == "bare" else worn
        original = several[number % len(several)]
        if original not in made:
            pixels = iio.imread(original, plugin="pillow", mode="RGB")
            scale = min(1.0, LONGEST_SIDE / max(pixels.shape[:2]))
            size = (round(pixels.shape[1] * scale), round(pixels.shape[0] * scale))
            made[original] = folder / f"{kind}{number}.jpg"
            iio.imwrite(made[original], cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), quality=92)
        return made[original]

    return get


@pytest.fixture(scope="session")
def cast(tmp_path_factory):
    """The bare samples' faces, found once, as the file that a training keeps them in."""
    from beautygan_cli.training import dataset

    cache = tmp_path_factory.mktemp("cast") / "people.npz"
    dataset.load(SAMPLES / "no_makeup", cache)
    return cache


@pytest.fixture
def place(photos, tmp_path):
    """`place("selfies/a.jpg", "bare", 0)` puts a copy of a photo there; another suffix converts it."""

    def put(name: str, kind: str, number: int = 0) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jpg":
            shutil.copyfile(photos(kind, number), path)
        else:
            iio.imwrite(path, iio.imread(photos(kind, number)))
        return path

    return put


@pytest.fixture
def beautygan(model, tmp_path, monkeypatch, capsys):
    """Runs the command in `tmp_path`; gives its exit status, the lines on stdout and all of stderr."""
    from beautygan_cli.cli.main import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments, with_model=True):
        capsys.readouterr()
        if with_model and "--model" not in arguments:
            arguments = (*arguments, "--model", model)
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            status = stopped.code
        printed = capsys.readouterr()
        return status, printed.out.splitlines(), printed.err

    return run


@pytest.fixture
def no_face(tmp_path):
    """A photo of nothing."""
    import numpy as np

    path = tmp_path / "wall.png"
    wall = np.full((240, 320, 3), 130, np.uint8)
    wall[:, ::16] = 90
    iio.imwrite(path, wall)
    return path


@pytest.fixture
def trials(request):
    """How many cases a trial of a promise runs through: `@pytest.mark.promise("name", trials=200)`."""
    return max(mark.kwargs.get("trials", 1) for mark in request.node.iter_markers("promise"))
