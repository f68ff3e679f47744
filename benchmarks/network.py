"""The network alone and whole processes: this package against the plain way of running BeautyGAN's checkpoint.

    python benchmarks/network.py [--runs 3]

The plain way imports the whole meta-graph, restores all variables and runs the session once a reference, as the
published demo does; it and `MakeupSession` run on a stand-in of the published checkpoint (its names, shapes, training
nodes and optimiser slots, random weights), one photo with nine references. All times are medians within one run on one
machine; what carries over to another is the ratio.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
REFERENCES = 9

PLAIN = """
import sys
import numpy as np
import tensorflow as tf
tf.compat.v1.disable_eager_execution()
rng = np.random.default_rng(0)
with tf.compat.v1.Session() as session:
    tf.compat.v1.train.import_meta_graph(sys.argv[1] + "/model.meta").restore(session, sys.argv[1] + "/model")
    graph = tf.compat.v1.get_default_graph()
    source = rng.uniform(-1, 1, (1, 256, 256, 3))
    for _ in range(int(sys.argv[2])):
        reference = rng.uniform(-1, 1, (1, 256, 256, 3))
        session.run(graph.get_tensor_by_name("generator/xs:0"), {"X:0": source, "Y:0": reference})
"""
OURS = """
import sys
import numpy as np
from beautygan_cli import MakeupSession
rng = np.random.default_rng(0)
with MakeupSession(sys.argv[1], precision=sys.argv[3], batch_size=int(sys.argv[2])) as session:
    source = rng.uniform(0, 255, (1, 256, 256, 3)).astype(np.float32)
    references = rng.uniform(0, 255, (int(sys.argv[2]), 256, 256, 3)).astype(np.float32)
    session.decode(session.encode_sources(source), session.encode_references(references))
"""


def process(*command: str) -> float:
    """Seconds that a whole process takes."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", *command], check=True, capture_output=True)
    return time.perf_counter() - began


def per_result(model: Path | None, precision: str, runs: int) -> float:
    """Seconds for one result of an open session, in batches of eight."""
    import numpy as np

    from beautygan_cli import MakeupSession

    chips = np.random.default_rng(0).uniform(0, 255, (8, 256, 256, 3)).astype(np.float32)
    with MakeupSession(model, precision=precision) as session:
        session.transfer(chips, chips)
        times = []
        for _ in range(runs):
            began = time.perf_counter()
            session.transfer(chips, chips)
            times.append((time.perf_counter() - began) / len(chips))
    return statistics.median(times)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each measurement (default: 3)")
    runs = parser.parse_args().runs
    sys.path.insert(0, str(REPOSITORY / "tests"))
    from standin import StandIn

    from beautygan_cli.model.tf_runtime import quiet_tensorflow

    quiet_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        published = Path(folder)
        StandIn(batch=None, training=True, filler=7500).save(published)
        rows = {
            "import tensorflow": [process("import tensorflow") for _ in range(runs)],
            "plain loop, 9 references": [process(PLAIN, folder, str(REFERENCES)) for _ in range(runs)],
            "MakeupSession, 9 references": [process(OURS, folder, str(REFERENCES), "fp32") for _ in range(runs)],
        }
        medians = {name: statistics.median(times) for name, times in rows.items()}
        results = {
            "published shape, fp32": per_result(published, "fp32", runs),
            "published shape, bf16": per_result(published, "bf16", runs),
            "bundled model, fp32": per_result(None, "fp32", runs),
            "bundled model, bf16": per_result(None, "bf16", runs),
        }
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}")
    for name, seconds in medians.items():
        print(f"{name:32} {seconds:7.2f} s a process")
    ratio = medians["plain loop, 9 references"] / medians["MakeupSession, 9 references"]
    print(f"{'plain loop / MakeupSession':32} {ratio:7.2f}")
    for name, seconds in results.items():
        print(f"{name:32} {seconds:7.3f} s a result")


if __name__ == "__main__":
    main()
