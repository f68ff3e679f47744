"""All of the speed figures in one Markdown table a subject.

    python benchmarks/all.py [--runs 5] [--only commands photo]

Needs `pip install -e '.[bench]'` for OpenVINO and ONNX Runtime; what is missing of them is left out. What is compared
runs in turns within one run of this command, so that whatever else the machine does falls on all of it, and each
figure is a median. Of them the ratios carry over to another machine; seconds don't.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import folder as folders
import network as networks
import peers

sys.path.insert(0, str(networks.REPOSITORY / "tests"))

MOST_PAIRS = 8  # in one run of the network
NEEDED = ("decode", "network", "encode")  # stages of a photo that no way of doing it could leave out
BOTH = ("elapsed", "processor")
PHONE_FOLDERS = (8, 56)  # of such photos
FOLDER_RUNS = 5
PHONE = (4032, 3024)  # pixels of a phone's photo of 12 megapixels, upright


def main() -> int:
    """Print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="of each measurement (default: 5)")
    parser.add_argument("--pairs", type=int, default=MOST_PAIRS, help="chips in a run of the network (default: 8)")
    parser.add_argument("--photos", type=int, nargs="+", default=[50, 400], help="sizes of folder (default: 50 400)")
    parser.add_argument("--folded", action="store_true", help="give the other engines the network folded, as ours is")
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), default=list(SECTIONS), help="these tables alone")
    options = parser.parse_args()
    print(f"Machine: {machine()}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="beautygan-benchmark-") as place:
        for name in options.only:
            SECTIONS[name](options, Path(place))
    return 0


def machine() -> str:
    """The processor, its cores, and the releases that matter."""
    from importlib import metadata

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    return (
        f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores{load}, Python"
        f" {platform.python_version()}, TensorFlow {metadata.version('tensorflow')}"
    )


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table."""
    print(f"### {title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


class Cost(NamedTuple):
    """Seconds by the clock, and of all processors together: what other processes take doesn't count there.

    memory: megabytes that a process had at its largest, 0 where that was not looked at.
    """

    elapsed: float
    processor: float
    memory: float = 0.0

    def to(self, other: Cost) -> tuple[str, str]:
        """The ratio of each, for a table."""
        return f"{self.elapsed / other.elapsed:.2f}", f"{self.processor / other.processor:.2f}"

    def __str__(self) -> str:
        return f"{self.elapsed:.3g} s | {self.processor:.3g} s"


def median(costs: Sequence[Cost]) -> Cost:
    """Of each kind of time."""
    return Cost(*(statistics.median(kind) for kind in zip(*costs, strict=True)))


def in_turns(work: Mapping[str, Callable[[], Cost]], runs: int) -> dict[str, Cost]:
    """The median of each measurement, taken in turns."""
    costs: dict[str, list[Cost]] = {name: [] for name in work}
    for _ in range(runs):
        for name, measure in work.items():
            costs[name].append(measure())
    return {name: median(several) for name, several in costs.items()}


def timed(work: Callable[[], object]) -> Cost:
    """What a call takes."""
    began, used = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - began, time.process_time() - used)


def run(*arguments: str) -> Cost:
    """What a whole Python process takes."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if code := os.waitstatus_to_exitcode(status):
        raise subprocess.CalledProcessError(code, process.args)
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


# The tables


def start_up(options: argparse.Namespace, place: Path) -> None:
    """Whole processes that do little."""
    folders.generate(place / "small", 1, seed=1)
    look = next(iter(sorted((folders.SAMPLES / "makeup").glob("*.jpg"))))

    def one_photo() -> Cost:
        shutil.rmtree(place / "one", ignore_errors=True)
        photos = ("--no-makeup", str(place / "small"), "--ref", str(look))
        return run("-m", "beautygan_cli", *photos, "--out", str(place / "one"))

    medians = in_turns(
        {
            "`python -c 'import tensorflow'`": lambda: run("-c", "import tensorflow"),
            "`beautygan --help`": lambda: run("-m", "beautygan_cli", "--help"),
            "one small photo with one reference": one_photo,
        },
        options.runs,
    )
    whole = medians["`python -c 'import tensorflow'`"]
    rows = [[name, str(cost), *cost.to(whole)] for name, cost in medians.items()]
    table("Start", ("process", *BOTH, "to `import tensorflow`, elapsed", "processor"), rows)


def commands(options: argparse.Namespace, place: Path) -> None:
    """Whole commands in turns with the plain loop: photos in, files out, on a stand-in of the published model and ours.

    Of the stand-in there are two: one whose results are as smooth as a trained model's, for which `--precision auto`
    finds that bfloat16 is invisible, and one that gives noise, for which it finds that it is not. The first run of
    each is not counted: it finds that out, and has files in the system's memory for the others.
    """
    source, looks = folders.SAMPLES / "no_makeup" / "bea.jpg", nine_references(place)
    smooth, noise = published(place, contrast=0.05), published(place)
    many, one = [str(look) for look in looks], [str(looks[0])]

    def command(references: Sequence[str], *more: str) -> Callable[[], Cost]:
        def measured() -> Cost:
            shutil.rmtree(place / "made", ignore_errors=True)
            photos = ("--no-makeup", str(source), "--ref", *references)
            return run("-m", "beautygan_cli", *photos, "--out", str(place / "made"), "--no-defaults", *more)

        return measured

    count = str(len(looks))
    work = {
        PLAIN_LOOP: lambda: run("-c", networks.PLAIN, str(smooth), count),
        "`--model`, trained-like": command(many, "--model", str(smooth)),
        "`--model`, trained-like, `--precision fp32`": command(many, "--model", str(smooth), "--precision", "fp32"),
        "`--model`, noise": command(many, "--model", str(noise)),
        "bundled model": command(many),
        "bundled model, one reference": command(one),
    }
    for measure in work.values():
        measure()
    medians = in_turns(work, options.runs)
    plain = medians[PLAIN_LOOP]
    rows = [[name, str(cost), f"{cost.memory:.0f} MB", *plain.to(cost)] for name, cost in medians.items()]
    head = ("process", *BOTH, "peak memory", "times the plain rate, elapsed", "processor")
    table("One photo, nine references: whole commands, photos in and files out", head, rows)


PLAIN_LOOP = "plain loop, arrays in and nothing out"


def nine_references(place: Path) -> list[Path]:
    """The samples, and of three of them the mirror images."""
    import imageio.v3 as iio

    folder = place / "references"
    if not folder.exists():
        folder.mkdir()
        samples = sorted((folders.SAMPLES / "makeup").glob("*.jpg"))
        for sample in samples:
            shutil.copyfile(sample, folder / sample.name)
        for sample in samples[: networks.REFERENCES - len(samples)]:
            iio.imwrite(folder / f"{sample.stem}_mirrored.jpg", iio.imread(sample)[:, ::-1], quality=95)
    return sorted(folder.iterdir())


def sizes(options: argparse.Namespace, place: Path) -> None:
    """Whole commands on photos of 3, 12 and 50 megapixels with a face of the same share, and of the same size."""
    look = min((folders.SAMPLES / "makeup").glob("*.jpg"))

    def command(photo: Path) -> Callable[[], Cost]:
        def measured() -> Cost:
            shutil.rmtree(place / "made", ignore_errors=True)
            return run(
                "-m", "beautygan_cli", "--no-makeup", str(photo), "--ref", str(look), "--out", str(place / "made")
            )

        return measured

    work = {}
    for pixels in (3, 12, 50):
        share = drawn_elsewhere(place, f"share{pixels}.jpg", (pixels / 12) ** 0.5)
        work[f"{pixels} megapixels, the face a third of the width"] = command(share)
    for pixels in (12, 50):
        same = drawn_elsewhere(place, f"same{pixels}.jpg", (pixels / 12) ** 0.5, face=0.5)
        work[f"{pixels} megapixels, the face 490 pixels wide"] = command(same)
    for measure in work.values():
        measure()
    medians = in_turns(work, options.runs)
    twelve = medians["12 megapixels, the face a third of the width"]
    rows = [[name, str(cost), f"{cost.memory:.0f} MB", *cost.to(twelve)] for name, cost in medians.items()]
    head = ("photo, one reference, bundled model", *BOTH, "peak memory", "to 12 megapixels, elapsed", "processor")
    table("Large photos: whole commands", head, rows)


def network(options: argparse.Namespace, place: Path) -> None:
    """The network alone: the same checkpoint frozen in three engines; only `--folded` folds it for the others too."""
    import numpy as np

    from beautygan_cli import MakeupSession

    rows = []
    chips = np.random.default_rng(0).uniform(0, 255, (options.pairs, 256, 256, 3)).astype(np.float32)
    for name, model in (("bundled", None), ("published shape", published(place))):
        for precision in ("fp32", "bf16"):
            with MakeupSession(model, precision=precision, batch_size=options.pairs) as session:
                engines: dict[str, Callable[[], Any]] = {"TensorFlow": lambda s=session: s.transfer(chips, chips)}
                frozen = session._network(session.signature.made_up) if options.folded else plain_network(model)
                engines |= other_engines(frozen, place, chips, precision)
                for engine in engines.values():
                    engine()
                medians = in_turns({key: lambda e=engine: timed(e) for key, engine in engines.items()}, options.runs)
            ours = medians["TensorFlow"]
            figures = [str(Cost(*(seconds / options.pairs for seconds in ours)))]
            for key in ("OpenVINO", "ONNX Runtime"):
                figures += ours.to(medians[key]) if key in medians else ("-", "-")
            rows.append([f"{name}, {precision}", *figures])
    engines = ("to OpenVINO, elapsed", "processor", "to ONNX Runtime, elapsed", "processor")
    head = ("network", *(f"a result, {kind}" for kind in BOTH), *engines)
    table(f"Network alone, {options.pairs} pairs a run", head, rows)


def other_networks(options: argparse.Namespace, place: Path) -> None:
    """The bundled network beside those of other methods, each in a process of its own (`peers.py` says how built)."""
    with peers.served(place) as networks_by_name:
        work = {key: lambda n=network: Cost(*n.run()) for key, network in networks_by_name.items()}
        medians = in_turns(work, options.runs)
    rows = []
    for (name, precision), cost in medians.items():
        network, ours = networks_by_name[name, precision], medians[peers.OURS, precision]
        learnt, memory = f"{network.parameters / 1e6:.2f} million", f"{network.memory:.0f} MB"
        rows.append([f"{name}, {precision}", learnt, str(cost), memory, *cost.to(ours)])
    ends = ("peak memory", "to ours in that precision, elapsed", "processor")
    head = ("network", "parameters", *(f"a result, {kind}" for kind in BOTH), *ends)
    table("Networks of other methods, rebuilt with random weights, one pair a run", head, rows)


def plain_network(model: Path | None) -> Any:
    """The model's frozen network as the checkpoint has it, with nothing folded."""
    from beautygan_cli import MakeupSession
    from beautygan_cli.model import fold_upsampling

    folded, fold_upsampling.folded = fold_upsampling.folded, lambda nodes, shapes, batch: list(nodes)
    try:
        with MakeupSession(model, precision="fp32") as session:
            return session._network(session.signature.made_up)
    finally:
        fold_upsampling.folded = folded


def other_engines(opened: Any, place: Path, chips: Any, precision: str) -> dict[str, Callable[[], Any]]:
    """OpenVINO and ONNX Runtime (which has no bf16 here) on a frozen network, as far as installed."""
    graph_def = opened.graph.as_graph_def()
    names = [opened.source.name, opened.reference.name]
    network_input = (chips / 127.5 - 1).astype("float32")
    engines: dict[str, Callable[[], Any]] = {}
    try:
        import openvino

        file = place / "frozen.pb"
        file.write_bytes(graph_def.SerializeToString())
        model = openvino.convert_model(
            file, input=[(name, list(network_input.shape)) for name in names], output=opened.output.name
        )
        hint = {"fp32": "f32", "bf16": "bf16"}[precision]
        compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        engines["OpenVINO"] = lambda: compiled([network_input, network_input])
    except ImportError:
        pass
    try:
        if precision != "fp32":
            return engines
        import onnxruntime
        import tf2onnx

        model, _ = tf2onnx.convert.from_graph_def(
            graph_def, input_names=names, output_names=[opened.output.name], opset=17
        )
        running = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        inputs = [item.name for item in running.get_inputs()]
        engines["ONNX Runtime"] = lambda: running.run(None, dict.fromkeys(inputs, network_input))
    except ImportError:
        pass
    return engines


def photo(options: argparse.Namespace, place: Path) -> None:
    """A photo of 12 megapixels by stage, and beside it what imageio alone takes to read and to write it."""
    from dataclasses import replace

    import imageio.v3 as iio

    from beautygan_cli import MakeupSession
    from beautygan_cli.batch import thread_counts
    from beautygan_cli.faces import exposure
    from beautygan_cli.makeup import colour_correction, composite, pipeline
    from beautygan_cli.makeup.composite import Strengths
    from beautygan_cli.photos.photo import read_photo, write_photo

    path, out = phone_photo(place), place / "phone_out.jpg"
    thread_counts.use()
    with MakeupSession() as session:
        signature = session.signature
        look = next(iter(sorted((folders.SAMPLES / "makeup").glob("*.jpg"))))
        reference = pipeline.find_faces(read_photo(look).pixels, signature, "", which="largest")[0]
        spent: dict[str, list[Cost]] = {}

        def stage(name: str, work: Callable[[], Any]) -> Any:
            values = []
            spent.setdefault(name, []).append(timed(lambda: values.append(work())))
            return values[0]

        def by_stage() -> None:
            photo = stage("decode", lambda: read_photo(path))
            pixels, strengths = photo.pixels, Strengths()
            face = stage("detect and align", lambda: pipeline.find_faces(pixels, signature, "")[0])
            lit = stage("light", lambda: exposure.lit(face))
            before, seen = stage("chips", lambda: pipeline.network_chips(lit, reference, signature))
            raw = stage("network", lambda: session.transfer(before[None], seen[None])[0])
            made_up = stage("shades", lambda: colour_correction.deepen(before, raw, face, seen, face.landmarks))
            weights = stage("masks", lambda: composite.change_weights(pixels, face, strengths))
            stage("composite", lambda: composite.paste_into(pixels, face, before, made_up, strengths, weights))
            stage("encode", lambda: write_photo(photo, out, overwrite=True))

        def as_python() -> None:
            wearing = pipeline.Wearing.all_of(reference)
            photo = read_photo(path)
            aligned = pipeline.find_faces(photo.pixels, signature, "")[:1]
            pixels = pipeline.apply_look(photo.pixels, aligned, wearing, Strengths(), session, in_place=True)
            write_photo(replace(photo, pixels=pixels), out, overwrite=True)

        for _ in range(options.runs + 1):
            by_stage()
            stage(WHOLE, as_python)
            plain = stage(READ, lambda: iio.imread(path))
            stage(WRITTEN, lambda p=plain: iio.imwrite(out, p, quality=95, subsampling="4:4:4"))
            del plain
    medians = {name: median(costs[1:]) for name, costs in spent.items()}
    whole, imageio = medians.pop(WHOLE), [medians.pop(name) for name in (READ, WRITTEN)]
    needed, plainly = total(medians[name] for name in NEEDED), total([medians["network"], *imageio])
    every = total(medians.values())
    rows = [[name, str(cost)] for name, cost in medians.items()]
    rows += [["all", str(every)], [WHOLE, str(whole)]]
    rows += [[name, str(cost)] for name, cost in zip((READ, WRITTEN), imageio, strict=True)]
    one = one_of_many(path, look, place)
    rows += [["one of a folder of them, by the command", str(one)]]
    for name, cost in (("all", every), (WHOLE, whole), ("one of a folder", one)):
        rows += [[f"{name}, to decode + network + encode", *cost.to(needed)]]
        rows += [[f"{name}, to imageio's reading and writing + network", *cost.to(plainly)]]
    table("A photo of 12 megapixels, bundled model", ("stage", *BOTH), rows)


WHOLE = "all, from Python, masks beside the network"
READ, WRITTEN = "read by imageio", "written by imageio, as we do"


def total(costs: Iterable[Cost]) -> Cost:
    """Of each kind of time."""
    return Cost(*(sum(kind) for kind in zip(*costs, strict=True)))


def one_of_many(photo: Path, look: Path, place: Path) -> Cost:
    """What one more photo of a folder costs: the difference of a long and a short run by the command, divided."""
    costs = []
    for turn in range(FOLDER_RUNS):
        ends = []
        for count in PHONE_FOLDERS:
            photos = place / f"phone{count}"
            photos.mkdir(exist_ok=True)
            for number in range(count):
                shutil.copyfile(photo, photos / f"{number}.jpg")
            out = place / f"phone_made{count}_{turn}"
            ends.append(run("-m", "beautygan_cli", "--no-makeup", str(photos), "--ref", str(look), "--out", str(out)))
            shutil.rmtree(out)
        more = PHONE_FOLDERS[1] - PHONE_FOLDERS[0]
        costs.append(Cost(*((long - short) / more for short, long in zip(*ends, strict=True))))
    return median(costs)


def folder(options: argparse.Namespace, place: Path) -> None:
    """Rate and peak memory over sizes of folder, and over cores."""
    rows = []
    for count in options.photos:
        folders.generate(place / f"photos{count}", count, seed=1)
    for count, jobs in [*((count, None) for count in options.photos), (options.photos[-1], 1)]:
        out = place / f"made{count}-{jobs}"
        settings = argparse.Namespace(references=1, options=f"--jobs {jobs}" if jobs else "")
        command = folders.command(place / f"photos{count}", out, settings)
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        used = usage.ru_utime + usage.ru_stime
        name = f"{count} photos" + (f", `--jobs {jobs}`" if jobs else "")
        rows.append(
            [
                name,
                f"{count / seconds:.2f}",
                f"{used / count:.2f} s",
                f"{used / seconds:.2f}",
                f"{usage.ru_maxrss / 1024:.0f} MB",
            ]
        )
    head = ("folder", "results a second", "processor a result", "cores in use", "peak memory")
    table("Folders of small photos", head, rows)


SECTIONS: dict[str, Callable[[argparse.Namespace, Path], None]] = {
    "start": start_up,
    "folder": folder,  # before what makes this process large: a child's peak memory counts what its parent had
    "peers": other_networks,  # so too: peak memory of its processes
    "commands": commands,
    "sizes": sizes,
    "network": network,
    "photo": photo,
}


def published(place: Path, contrast: float = 1.0) -> Path:
    """A stand-in of the published checkpoint, saved once by a process of its own; contrast: of its results."""
    model = place / f"published{contrast:g}"
    if not model.exists():
        code = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from standin import StandIn;"
        code += f" StandIn(batch=None, training=True, filler=7500, contrast={contrast}).save(Path(sys.argv[2]))"
        run("-c", code, str(networks.REPOSITORY / "tests"), str(model))
    return model


def drawn_elsewhere(place: Path, name: str, scale: float, face: float | None = None) -> Path:
    """`phone_photo` by a process of its own: what this one had in memory would count as its children's."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import all;"
    code += f" all.phone_photo(Path(sys.argv[2]), {name!r}, {scale!r}, {face!r})"
    run("-c", code, str(Path(__file__).parent), str(place))
    return place / name


def phone_photo(place: Path, name: str = "phone.jpg", scale: float = 1.0, face: float | None = None) -> Path:
    """A sample as a phone takes it: 12 megapixels with grain, the face about a third of its width.

    scale: of the photo's sides; face: of the sample in it, where that is not as large.
    """
    import cv2
    import imageio.v3 as iio
    import numpy as np

    path = place / name
    if path.exists():
        return path
    pixels = iio.imread(folders.SAMPLES / "no_makeup" / "bea.jpg")
    height, width = (round(side * scale) for side in PHONE)
    side = round(PHONE[1] * (scale if face is None else face))
    pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC)
    pixels = cv2.copyMakeBorder(pixels, 0, height - side, 0, width - side, cv2.BORDER_REPLICATE)
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 1)).astype(np.float32)
    iio.imwrite(path, np.clip(pixels + grain, 0, 255).astype(np.uint8), quality=92)
    return path


if __name__ == "__main__":
    sys.exit(main())
