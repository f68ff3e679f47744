"""All of the speed figures in one Markdown table a subject.

    python benchmarks/all.py [--runs 3] [--only network photo]

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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import folder as folders
import network as networks

sys.path.insert(0, str(networks.REPOSITORY / "tests"))

MOST_PAIRS = 8  # in one run of the network
PHONE = (4032, 3024)  # pixels of a phone's photo of 12 megapixels, upright


def main() -> int:
    """Print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each measurement (default: 3)")
    parser.add_argument("--pairs", type=int, default=MOST_PAIRS, help="chips in a run of the network (default: 8)")
    parser.add_argument("--photos", type=int, nargs="+", default=[12, 48], help="sizes of folder (default: 12 48)")
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


def in_turns(work: Mapping[str, Callable[[], float]], runs: int) -> dict[str, float]:
    """The median of each measurement, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(runs):
        for name, measure in work.items():
            times[name].append(measure())
    return {name: statistics.median(values) for name, values in times.items()}


def timed(work: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run(*arguments: str) -> float:
    """Seconds of a whole Python process."""
    command = [sys.executable, *arguments]
    return timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))


# The tables


def start_up(options: argparse.Namespace, place: Path) -> None:
    """Whole processes that do little."""
    folders.generate(place / "small", 1, seed=1)
    look = next(iter(sorted((folders.SAMPLES / "makeup").glob("*.jpg"))))

    def one_photo() -> float:
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
    rows = [[name, f"{seconds:.2f} s", f"{seconds / whole:.2f}"] for name, seconds in medians.items()]
    table("Start", ("process", "median", "to `import tensorflow`"), rows)


def plain_loop(options: argparse.Namespace, place: Path) -> None:
    """One photo with nine references: the plain way and ours, whole processes on a stand-in of the published model."""
    model = published(place)
    count = str(networks.REFERENCES)
    work = {"plain loop": lambda: run("-c", networks.PLAIN, str(model), count)}
    for precision in ("fp32", "bf16"):
        work[f"`MakeupSession`, {precision}"] = lambda p=precision: run("-c", networks.OURS, str(model), count, p)
    medians = in_turns(work, options.runs)
    plain = medians["plain loop"]
    rows = [[name, f"{seconds:.2f} s", f"{plain / seconds:.2f}"] for name, seconds in medians.items()]
    table("One photo, nine references, published shape", ("process", "median", "times the plain rate"), rows)


def network(options: argparse.Namespace, place: Path) -> None:
    """The network alone, the same frozen graph in three engines."""
    import numpy as np

    from beautygan_cli import MakeupSession

    rows = []
    chips = np.random.default_rng(0).uniform(0, 255, (options.pairs, 256, 256, 3)).astype(np.float32)
    for name, model in (("bundled", None), ("published shape", published(place))):
        for precision in ("fp32", "bf16"):
            with MakeupSession(model, precision=precision, batch_size=options.pairs) as session:
                engines: dict[str, Callable[[], Any]] = {"TensorFlow": lambda s=session: s.transfer(chips, chips)}
                engines |= other_engines(session, place, chips, precision)
                for engine in engines.values():
                    engine()
                medians = in_turns({key: lambda e=engine: timed(e) for key, engine in engines.items()}, options.runs)
            ours = medians["TensorFlow"]
            figures = [f"{ours / options.pairs:.3f} s"]
            for key in ("OpenVINO", "ONNX Runtime"):
                figures.append(f"{ours / medians[key]:.2f}" if key in medians else "-")
            rows.append([f"{name}, {precision}", *figures])
    head = ("network", "a result", "our time to OpenVINO's", "to ONNX Runtime's")
    table(f"Network alone, {options.pairs} pairs a run", head, rows)


def other_engines(session: Any, place: Path, chips: Any, precision: str) -> dict[str, Callable[[], Any]]:
    """OpenVINO and ONNX Runtime (which has no bf16 here) on the session's own frozen graph, as far as installed."""
    opened = session._network(session.signature.made_up)
    graph_def = opened.graph.as_graph_def()
    names = [opened.source.name, opened.reference.name]
    fed = (chips / 127.5 - 1).astype("float32")
    engines: dict[str, Callable[[], Any]] = {}
    try:
        import openvino

        file = place / "frozen.pb"
        file.write_bytes(graph_def.SerializeToString())
        model = openvino.convert_model(
            file, input=[(name, list(fed.shape)) for name in names], output=opened.output.name
        )
        hint = {"fp32": "f32", "bf16": "bf16"}[precision]
        compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
        engines["OpenVINO"] = lambda: compiled([fed, fed])
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
        engines["ONNX Runtime"] = lambda: running.run(None, dict.fromkeys(inputs, fed))
    except ImportError:
        pass
    return engines


def photo(options: argparse.Namespace, place: Path) -> None:
    """A photo of 12 megapixels by stage, in processor time too: what another process takes doesn't count there."""
    from dataclasses import replace

    from beautygan_cli import MakeupSession, composite, cores, images, pipeline
    from beautygan_cli.composite import Strengths

    path = phone_photo(place)
    cores.use()
    with MakeupSession() as session:
        signature = session.signature
        look = next(iter(sorted((folders.SAMPLES / "makeup").glob("*.jpg"))))
        reference = pipeline.find_faces(images.read(look).pixels, signature, "", which="largest")[0]
        spent: dict[str, list[tuple[float, float]]] = {}

        def stage(name: str, work: Callable[[], Any]) -> Any:
            began, used = time.perf_counter(), time.process_time()
            value = work()
            spent.setdefault(name, []).append((time.perf_counter() - began, time.process_time() - used))
            return value

        for _ in range(options.runs + 1):
            read = stage("decode", lambda: images.read(path))
            faces = stage("detect and align", lambda r=read: pipeline.find_faces(r.pixels, signature, "")[:1])
            chips = stage("chips", lambda f=faces: pipeline.network_chips(f[0], reference, signature))
            stage("network", lambda c=chips: session.transfer(c[0][None], c[1][None]))
            fed, made_up = pipeline.make_up([(faces[0], reference)], session)
            weights = stage("masks", lambda r=read, f=faces: composite.change_weights(r.pixels, f[0], Strengths()))
            pasted = stage(
                "composite",
                lambda r=read, f=faces, b=fed, a=made_up, w=weights: composite.paste(
                    r.pixels, f[0], b[0], a[0], Strengths(), w
                ),
            )
            stage(
                "encode",
                lambda r=read, p=pasted: images.write(replace(r, pixels=p), place / "phone_out.jpg", overwrite=True),
            )
    medians = {
        name: [statistics.median(kind) for kind in zip(*values[1:], strict=True)] for name, values in spent.items()
    }
    rows = [[name, f"{wall:.3f} s", f"{used:.3f} s"] for name, (wall, used) in medians.items()]
    total = [sum(values[kind] for values in medians.values()) for kind in (0, 1)]
    needed = [sum(medians[name][kind] for name in ("decode", "network", "encode")) for kind in (0, 1)]
    rows.append(["all", *(f"{seconds:.3f} s" for seconds in total)])
    ratios = (f"{whole / least:.2f}" for whole, least in zip(total, needed, strict=True))
    rows.append(["all to decode + network + encode", *ratios])
    table("A photo of 12 megapixels, bundled model", ("stage", "elapsed", "processor"), rows)


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
    "plain": plain_loop,
    "network": network,
    "photo": photo,
    "folder": folder,
}


def published(place: Path) -> Path:
    """A stand-in of the published checkpoint, saved once."""
    model = place / "published"
    if not model.exists():
        from standin import StandIn

        StandIn(batch=None, training=True, filler=7500).save(model)
    return model


def phone_photo(place: Path) -> Path:
    """A sample as a phone takes it: 12 megapixels with grain, the face about a third of its width."""
    import cv2
    import imageio.v3 as iio
    import numpy as np

    pixels = iio.imread(folders.SAMPLES / "no_makeup" / "bea.jpg")
    height, width = PHONE
    pixels = cv2.resize(pixels, (width, width), interpolation=cv2.INTER_CUBIC)
    pixels = cv2.copyMakeBorder(pixels, 0, height - width, 0, 0, cv2.BORDER_REPLICATE)
    grain = np.random.default_rng(0).normal(0, 4, (height, width, 1))
    path = place / "phone.jpg"
    iio.imwrite(path, np.clip(pixels + grain, 0, 255).astype(np.uint8), quality=92)
    return path


if __name__ == "__main__":
    sys.exit(main())
