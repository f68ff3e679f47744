"""Fine-tuning: any checkpoint of the contract learns on, keeps its tensors and resumes; a loss means what it says."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES
from standin import StandIn

from beautygan_cli import MakeupSession, transfer
from beautygan_cli.cli.train import _tuning, parser
from beautygan_cli.cli.train import main as train_command
from beautygan_cli.errors import DatasetError, ModelError
from beautygan_cli.model.checkpoint import bundled_model, find_checkpoint, read_meta_graph
from beautygan_cli.model.signature import Signature
from beautygan_cli.model.tf_runtime import quiet_tensorflow
from beautygan_cli.photos.photo import read_photo
from beautygan_cli.training import finetune as module
from beautygan_cli.training import losses, networks, run_folder
from beautygan_cli.training.finetune import Tuning, finetune
from beautygan_cli.training.trainable import Trainable

BARE, MADE_UP = SAMPLES / "no_makeup", SAMPLES / "makeup"
SIZE = 64  # pixels: enough for every region to hold some, and quick

tf = quiet_tensorflow()


@pytest.fixture
def tuning(tmp_path: Path, cast: Path):
    """`tuning(init, steps=4)`: settings of a quick run under `tmp_path/tuned`."""

    def make(init: Path, **options: object) -> Tuning:
        out = tmp_path / "tuned"
        run_folder.claim(out)
        (out / "finetuning").mkdir(parents=True, exist_ok=True)
        (out / "finetuning" / "people.npz").write_bytes(cast.read_bytes())
        common = {"steps": 4, "buffer": 4, "precision": "fp32", "warm_up": 2}
        return Tuning(init=str(init), faces=str(BARE), out=str(out), **{**common, **options})

    return make


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small stand-in of the published model: one pair at once, reference variables, its optimiser beside it."""
    return StandIn(size=SIZE, width=2, batch=1, training=True).save(tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A narrow, untrained model of the bundled one's topology and contract."""
    folder = tmp_path_factory.mktemp("bundled")
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(1)
        networks.named(*networks.generator(*networks.placeholders(SIZE), 4))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver().save(session, str(folder / "model"))
    Signature(name="narrow", size=SIZE, warp_reference=True, mask=True).save(folder)
    return folder


def run(tensor: object) -> np.ndarray:
    with tf.compat.v1.Session() as session:
        return session.run(tensor)


def pair(seed: int = 0, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    chips = np.random.default_rng(seed).integers(0, 256, (2, 1, size, size, 3), dtype=np.uint8)
    return chips[0], chips[1]


def transferred(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    with MakeupSession(folder) as session:
        return session.transfer(*pair()), session.remove(*pair())


# Losses


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """Wasserstein distance of two channels' histograms of equal count, in the values' unit."""
    return float(np.abs(np.sort(first, axis=0) - np.sort(second, axis=0)).mean())


def test_matching_gives_a_region_the_references_histogram() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal([-0.3, 0.1, 0.4], 0.1, (5000, 3)).astype(np.float32)
    reference = (rng.gamma(2.0, 0.15, (5000, 3)) - 0.5).astype(np.float32)
    with tf.Graph().as_default():
        result = run(losses.matched(tf.constant(values), tf.constant(reference)))
        fewer = run(losses.matched(tf.constant(values[:977]), tf.constant(reference)))
    assert distance(values, reference) > 0.2
    assert distance(result, reference) == 0
    assert (
        np.abs(
            np.quantile(fewer, np.linspace(0.05, 0.95, 19), axis=0)
            - np.quantile(reference, np.linspace(0.05, 0.95, 19), axis=0)
        ).max()
        < 0.01
    )
    for channel in range(3):  # who was brighter stays brighter
        assert (np.diff(result[np.argsort(values[:, channel], kind="stable"), channel]) >= 0).all()


def test_the_makeup_loss_asks_for_the_histogram_and_not_for_the_place() -> None:
    rng = np.random.default_rng(2)
    picture = rng.uniform(-1, 1, (1, 24, 24, 3)).astype(np.float32)
    masks = np.zeros((1, 24, 24, 3), np.float32)
    masks[:, 2:8, :, 0] = masks[:, 10:16, :, 1] = masks[:, 18:, :, 2] = 1
    mirrored = picture[:, :, ::-1]  # the same histograms everywhere, each pixel elsewhere
    darker = picture - np.float32(0.25) * masks[..., :1]  # the lips, all of them
    with tf.Graph().as_default():
        same, moved, lips, none = (
            float(run(losses.makeup_loss(tf.constant(a), tf.constant(b), tf.constant(m), tf.constant(masks), 1)))
            for a, b, m in (
                (picture, picture, masks),
                (picture, mirrored, masks),
                (picture, darker, masks),
                (picture, darker, 0 * masks),
            )
        )
    assert (same, moved, none) == (0, 0, 0)
    assert lips == pytest.approx(losses.LIPS_WEIGHT * 0.25, abs=1e-5)


def test_the_makeup_loss_pulls_each_region_toward_the_reference() -> None:
    rng = np.random.default_rng(3)
    picture, reference = (rng.normal(mean, 0.05, (1, 16, 16, 3)).astype(np.float32) for mean in (0.2, -0.2))
    masks = np.zeros((1, 16, 16, 3), np.float32)
    masks[:, :8, :, 0] = 1
    with tf.Graph().as_default():
        given = tf.constant(picture)
        loss = losses.makeup_loss(given, tf.constant(reference), tf.constant(masks), tf.constant(masks), 1)
        slope = run(tf.gradients(loss, given)[0])
    assert (slope[:, :8] > 0).all()  # brighter is worse: the reference is darker
    assert (slope[:, 8:] == 0).all()


def test_structure_is_kept_by_colour_and_contrast_and_lost_by_a_shift() -> None:
    picture, other = (chips.astype(np.float32) / 127.5 - 1 for chips in pair(4))
    with tf.Graph().as_default():
        same, tinted, shifted, foreign = (
            float(run(losses.structure_loss(tf.constant(result), tf.constant(picture))))
            for result in (
                picture,
                (0.6 * picture + [0.3, -0.1, 0.1]).astype(np.float32),
                np.roll(picture, 1, axis=2),
                other,
            )
        )
    assert same == pytest.approx(0, abs=1e-5)
    assert tinted < 0.01
    assert shifted > 0.8
    assert foreign > 0.8


def test_structure_has_a_finite_slope_where_a_picture_is_flat() -> None:
    with tf.Graph().as_default():
        flat = tf.zeros((1, 16, 16, 3))
        slope = run(tf.gradients(losses.structure_loss(flat, flat), flat)[0])
    assert np.isfinite(slope).all()


def test_adversarial_and_cycle_losses_are_zero_where_all_is_won() -> None:
    with tf.Graph().as_default():
        ones, zeros = tf.ones((1, 4, 4, 1)), tf.zeros((1, 4, 4, 1))
        assert run(losses.generator_loss(ones)) == 0
        assert run(losses.generator_loss(zeros)) == 1
        assert run(losses.discriminator_loss(ones, zeros)) == 0
        assert run(losses.discriminator_loss(zeros, ones)) == 2
        assert run(losses.cycle_loss(ones, zeros, ones, zeros)) == 0
        assert run(losses.cycle_loss(ones, zeros, zeros, ones)) == 2


def test_a_discriminator_learns_to_tell_two_kinds_of_pictures_apart() -> None:
    rng = np.random.default_rng(5)
    real = rng.uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    fake = np.zeros_like(real) + real.mean(axis=(1, 2), keepdims=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.set_random_seed(1)
        loss = losses.discriminator_loss(
            losses.discriminator(tf.constant(real), "discriminator"),
            losses.discriminator(tf.constant(fake), "discriminator"),
        )
        step = tf.compat.v1.train.AdamOptimizer(1e-3).minimize(loss)
        session.run(tf.compat.v1.global_variables_initializer())
        before = session.run(loss)
        for _ in range(60):
            session.run(step)
        assert session.run(loss) < 0.3 < 0.9 < before


# The checkpoint, opened for training


@pytest.mark.parametrize("kind", ["published", "bundled"])
def test_a_model_saved_untrained_gives_the_very_same_results_twice_over(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(kind)
    before = transferred(folder)
    for generation in ("one", "two"):
        Trainable.load(folder).save({}, tmp_path / generation, {})
        folder = tmp_path / generation
        for first, again in zip(before, transferred(folder), strict=True):
            np.testing.assert_allclose(again, first, atol=1e-3)


def test_the_published_models_tensors_variables_and_kinds_stay(published: Path, tmp_path: Path) -> None:
    Trainable.load(published).save({}, tmp_path / "saved", {})
    old, new = (read_meta_graph(find_checkpoint(folder).meta).nodes for folder in (published, tmp_path / "saved"))
    kinds = {name: node.op for name, node in old.items()}
    kept = {name: node.op for name, node in new.items()}
    assert {"X", "Y", "generator/xs", "generator/ys", "generator/conv2d/kernel"} <= set(kept)
    assert kept["generator/conv2d/kernel"] == "VariableV2"
    assert all(kinds[name] == op for name, op in kept.items() if name.startswith("generator/") and name in kinds)
    shape = new["X"].attr["shape"].shape
    assert [dimension.size for dimension in shape.dim] == [1, SIZE, SIZE, 3]


def test_what_was_saved_restores_as_tensorflow_1_scripts_do(published: Path, tmp_path: Path) -> None:
    folder = tmp_path / "saved"
    Trainable.load(published).save({}, folder, {})
    source, reference = (chips / np.float32(127.5) - 1 for chips in pair())
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.train.import_meta_graph(str(folder / "model.meta")).restore(
            session, tf.train.latest_checkpoint(str(folder))
        )
        values = session.run("generator/xs:0", {"X:0": source, "Y:0": reference})
    np.testing.assert_allclose((values + 1) * 127.5, transferred(published)[0], atol=1e-2)


def test_weights_of_the_generator_alone_are_trained(published: Path) -> None:
    start = Trainable.load(published)
    assert start.batch == 1
    assert start.trained == set(start.values)
    assert all(name.startswith("generator/") and "Adam" not in name for name in start.values)


# Runs


@pytest.mark.slow
def test_drawn_makeup_is_learned(bundled: Path, tuning) -> None:
    said: list[str] = []
    settings = tuning(bundled, steps=40, rate=3e-3, buffer=16)
    out = finetune(settings, say=said.append)
    start, tuned = Trainable.load(bundled), Trainable.load(out)
    before, after = (paired_loss(model, settings) for model in (start, tuned))
    assert after < 0.95 * before
    assert tuned.signature == Signature(
        name="narrow, fine-tuned", size=SIZE, warp_reference=True, mask=True, about=tuned.signature.about
    )
    assert tuned.signature.about["fine-tuned from"]["sha256"] == start.digest
    assert tuned.signature.about["settings"]["rate"] == 3e-3
    assert str(Path(settings.out).parent) not in json.dumps(dict(tuned.signature.about))
    assert (out / "validation.jpg").is_file()


def paired_loss(model: Trainable, settings: Tuning) -> float:
    """The mean loss over the very sets that the run learned from."""
    work = Path(settings.out) / "finetuning"
    plan = module.BufferPlan(work / "buffer", settings.buffer, SIZE, 0.35, True, True, settings.seed)
    sets = module.Buffer(plan).batch(np.arange(settings.buffer))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = model.declare()
        tower = module._paired(settings, model, tf.constant(0.0))
        module.load_values(variables, model.values, session)
        return float(session.run(tower.loss, {tower.feeds[name]: values for name, values in sets.items()}))


def test_removal_alone_is_trained_and_putting_makeup_on_stays_to_the_bit(bundled: Path, tuning) -> None:
    out = finetune(tuning(bundled, steps=4, rate=3e-3, buffer=6, removal_only=True), say=lambda _: None)
    (made_up, removed), (made_up_before, removed_before) = transferred(out), transferred(bundled)
    assert np.array_equal(made_up, made_up_before)
    assert np.abs(removed - removed_before).mean() > 0.01


def test_the_published_model_learns_from_photos_and_still_is_one(published: Path, tuning) -> None:
    out = finetune(tuning(published, steps=4, makeup=str(MADE_UP)), say=lambda _: None)
    made_up, removed = transferred(out)
    assert made_up.shape == removed.shape == (1, SIZE, SIZE, 3)
    before = transferred(published)
    assert 0.01 < np.abs(made_up - before[0]).mean() < 40
    signature = Signature.load(out)
    assert (signature.source, signature.made_up, signature.removed) == ("X:0", "generator/xs:0", "generator/ys:0")
    assert not signature.warp_reference
    assert not signature.mask


@pytest.mark.slow
def test_the_worked_example_in_few_steps(model: Path, tmp_path: Path, cast: Path) -> None:
    out = tmp_path / "mine"
    run_folder.claim(out)
    (out / "finetuning").mkdir(parents=True)
    (out / "finetuning" / "people.npz").write_bytes(cast.read_bytes())
    arguments = ["--init", model, "--faces", BARE, "--makeup", MADE_UP, "--out", out, "--steps", 2, "--buffer", 3]
    assert train_command([str(argument) for argument in arguments]) == 0
    bare = read_photo(BARE / "bea.jpg").pixels
    with MakeupSession(model) as before, MakeupSession(out) as after:
        results = [transfer(bare, MADE_UP / "red.jpg", session=session) for session in (before, after)]
    change = np.abs(results[0].astype(int) - results[1]).mean()
    assert 0 < change < 3  # two steps move the makeup a little, and break nothing
    assert np.abs(results[1].astype(int) - bare).max() > 30


@pytest.mark.slow
def test_a_killed_run_goes_on_to_its_last_step(published: Path, tuning) -> None:
    settings = tuning(published, steps=100_000, save_every=0.0)
    script = (
        "import sys, json; from beautygan_cli.training.finetune import Tuning, finetune\n"
        "if __name__ == '__main__': finetune(Tuning(**json.loads(sys.argv[1])))\n"
    )
    record = Path(settings.out) / "finetuning" / "progress.json"
    process = subprocess.Popen([sys.executable, "-c", script, json.dumps(vars(settings))], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not record.is_file() or json.loads(record.read_text())["step"] < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    reached = json.loads(record.read_text())["step"]
    said: list[str] = []
    finetune(tuning(published, steps=reached + 4), resume=True, say=said.append)
    assert any(line.startswith("going on from step ") for line in said)
    assert json.loads(record.read_text())["step"] == reached + 4
    assert Signature.load(Path(settings.out)).about["step"] == reached + 4


@pytest.mark.slow
def test_another_models_run_is_not_resumed(published: Path, bundled: Path, tuning) -> None:
    finetune(tuning(published, steps=1), say=lambda _: None)
    with pytest.raises(ModelError, match="another model"):
        finetune(tuning(bundled, steps=2), resume=True)
    with pytest.raises(DatasetError, match="whose seed is 1, not 2"):
        finetune(tuning(published, steps=2, seed=2), resume=True)


# Refusals


def refusal(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert train_command([str(argument) for argument in arguments]) == 2
    printed = capfd.readouterr().err.strip()
    assert len(printed.splitlines()) == 1
    return printed


def test_a_folder_that_is_no_model_ends_with_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    common = ("--faces", BARE, "--out", tmp_path / "out", "--steps", 1)
    assert "empty lacks model.meta" in refusal(capfd, "--init", empty, *common)
    assert "none does not exist" in refusal(capfd, "--init", tmp_path / "none", *common)
    assert not (tmp_path / "out").exists()


def test_made_up_photos_without_a_face_are_refused_by_name(
    published: Path, tuning, tmp_path: Path, no_face: Path
) -> None:
    folder = tmp_path / "walls"
    folder.mkdir()
    no_face.rename(folder / no_face.name)
    with pytest.raises(DatasetError, match="walls holds no photo with a face"):
        finetune(tuning(published, makeup=str(folder)))


def test_without_a_folder_the_bundled_model_is_tuned() -> None:
    common = ["--faces", str(BARE), "--out", "tuned"]
    assert _tuning(parser().parse_args([*common, "--init"])).init == str(bundled_model())
    assert _tuning(parser().parse_args([*common, "--init", "other"])).init == "other"
    for wrong in ("0", "-3", "many"):
        with pytest.raises(SystemExit):
            parser().parse_args([*common, "--steps", wrong])
    with pytest.raises(SystemExit):
        parser().parse_args([*common, "--without", "lights,taste"])
    options = parser().parse_args([*common, "--without", "lights,poses"])
    assert options.without == ("lights", "poses")
    told = module._settings(Tuning(init="", faces="", out="", without=options.without))
    assert json.loads(json.dumps(told)) == told, "else --resume takes its own run for another one"


def test_options_that_say_nothing_together_are_refused(
    published: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert "--init" in refusal(capfd, "--faces", BARE, "--out", out, "--makeup", MADE_UP)
    assert "--init" in refusal(capfd, "--faces", BARE, "--out", out, "--removal-only")
    assert "--init" in refusal(capfd, "--faces", BARE, "--out", out, "--rate", 0.1)
    assert "--width" in refusal(capfd, "--faces", BARE, "--out", out, "--init", published, "--width", 8)
    assert "--out" in refusal(capfd, "--faces", BARE, "--out", published, "--init", published)
    (out / "finetuning").mkdir(parents=True)
    assert "--init" in refusal(capfd, "--faces", BARE, "--out", out, "--resume", "--steps", 1)
