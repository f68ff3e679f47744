"""The coverage-guided fuzzer over one target, or over all of them one after the other.

    python tests/fuzz all --runs 20000
    python tests/fuzz photo --seconds 3600

Needs atheris (`pip install atheris`), which has no wheels for some systems. What makes a target fail is kept in
tests/fuzz/corpus/TARGET, where `tests/fuzz/test_fuzz.py` tries it again from then on. Exit status 0: nothing failed.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
GUIDING = (  # modules whose branches guide the fuzzer
    *(
        "beautygan_cli.photos.photo",
        "beautygan_cli.photos.jpeg_scans",
        "beautygan_cli.photos.exif",
        "beautygan_cli.photos.xmp",
        "beautygan_cli.batch.manifest",
        "beautygan_cli.model.checkpoint",
        "beautygan_cli.model.graph",
        "beautygan_cli.model.weights",
        "beautygan_cli.model.signature",
    ),
    *("beautygan_cli.makeup.look", "tomllib", "json", "xml.dom.minidom"),
    *("PIL.TiffImagePlugin", "PIL.JpegImagePlugin", "PIL.PngImagePlugin"),
)
LONGEST_RUN = 60  # seconds after which an input counts as a hang


def main() -> int:
    """Run what the command line asks for; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", help="name of a target, or all")
    parser.add_argument("--runs", type=int, default=-1, help="inputs to try (default: without end)")
    parser.add_argument("--seconds", type=int, default=0, help="time to try for (default: without end)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=HERE / "corpus", help="folder for what fails")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # the fuzzer's own process
    options = parser.parse_args()
    if options.here:
        fuzz(options)
    from targets import TARGETS

    names = list(TARGETS) if options.target == "all" else [options.target]
    failed = []
    for name in names:
        arguments = [name, "--here", "--runs", str(options.runs), "--seconds", str(options.seconds)]
        arguments += ["--seed", str(options.seed), "--keep", str(options.keep)]
        print(f"--- {name}", flush=True)
        done = subprocess.run([sys.executable, "-W", "ignore", str(HERE), *arguments], stdout=subprocess.DEVNULL)
        if done.returncode:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "nothing failed", flush=True)
    return 1 if failed else 0


def fuzz(options: argparse.Namespace) -> None:
    """Fuzz in this process. Never returns."""
    import atheris

    with atheris.instrument_imports(include=["beautygan_cli", "PIL", "xml.dom", "json"], enable_loader_override=False):
        for name in GUIDING:
            importlib.import_module(name)
    from targets import TARGETS, seeds

    target = TARGETS[options.target]
    kept = options.keep / options.target
    kept.mkdir(parents=True, exist_ok=True)
    corpus = Path(tempfile.mkdtemp(prefix="beautygan-corpus-"))
    examples = list(seeds(options.target))
    for number, content in enumerate(examples):
        (corpus / f"seed{number}").write_bytes(content)
    arguments = [sys.argv[0], str(corpus), str(kept), f"-artifact_prefix={kept}/", f"-seed={options.seed}"]
    arguments += [f"-runs={options.runs}", f"-max_total_time={options.seconds}", f"-timeout={LONGEST_RUN}"]
    arguments += [f"-max_len={max(map(len, examples), default=0) + 4096}", "-rss_limit_mb=4096", "-print_final_stats=1"]
    atheris.Setup(arguments, target)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
