"""How long the page of `beautygan --serve` takes to answer: the first look on one's own face, and a slider.

    python benchmarks/page.py [--runs 20]

The page is served as the command serves it and asked over HTTP, as a browser asks. Photos are a sample at its own size
and at 12 megapixels; looks are one that is drawn and one that is a reference photo. A slider's figure is the median.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLES = REPOSITORY / "samples"
sys.path.insert(0, str(REPOSITORY))

from beautygan_cli.batch import thread_counts  # noqa: E402
from beautygan_cli.makeup.look import Look  # noqa: E402
from beautygan_cli.model.session import MakeupSession  # noqa: E402
from beautygan_cli.page import server  # noqa: E402
from beautygan_cli.page.state import State  # noqa: E402
from beautygan_cli.photos.find import Found  # noqa: E402

PHONE = 3464  # pixels a side of a square photo of 12 megapixels


def main() -> int:
    """Print the figures; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="of each slider (default: 20)")
    options = parser.parse_args()
    reference = SAMPLES / "makeup" / "red.jpg"
    began = time.monotonic()
    with MakeupSession(threads=thread_counts.use().network) as session:
        state = State(session, [(Found(reference, Path()), Look.of(reference))])
        stop, address = threading.Event(), []
        started = threading.Event()

        def announce(url: str) -> None:
            address.append(url)
            started.set()

        thread = threading.Thread(target=server.serve, args=(state, server.listening(0), stop, announce))
        thread.start()
        started.wait()
        print(f"from start to address {time.monotonic() - began:.2f} s", flush=True)
        try:
            measure(Page(address[0]), len(state.choices), options.runs)
        finally:
            stop.set()
            thread.join()
    return 0


class Page:
    """The served page, asked as a browser asks."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.path, self.origin = parts.path, f"http://{parts.netloc}"
        self.connection = http.client.HTTPConnection(parts.netloc, timeout=600)

    def ask(self, path: str, body: bytes | None = None) -> bytes:
        """What the page answers."""
        method = "GET" if body is None else "POST"
        self.connection.request(method, self.path + path, body, {"Origin": self.origin})
        answer = self.connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise SystemExit(f"{path}: status {answer.status}: {content.decode()}")
        return content


def measure(page: Page, choices: int, runs: int) -> None:
    """Print how long photos, thumbnails, looks and sliders take."""
    sample = SAMPLES / "no_makeup" / "alma.jpg"
    for name, content in (("first photo, 1.8 MP", sample.read_bytes()), ("photo of 12 MP", enlarged(sample))):
        key, upload = timed(lambda content=content: json.loads(page.ask("photos?name=me.jpg", content))["key"])
        _, first = timed(lambda key=key: page.ask(f"photos/{key}/thumbnail?look=1"))
        _, all_of_them = timed(
            lambda key=key: [page.ask(f"photos/{key}/thumbnail?look={look}") for look in range(choices)]
        )
        print(f"{name}: to its faces {upload:.2f} s, first thumbnail {first:.2f} s, all {choices} {all_of_them:.2f} s")
        for kind, look in (("drawn look", 1), ("reference", 0)):
            _, chosen = timed(lambda key=key, look=look: page.ask(f"photos/{key}/preview?look={look}"))
            times = [
                timed(
                    lambda key=key, look=look, run=run: page.ask(f"photos/{key}/preview?look={look}&lips={run / runs}")
                )[1]
                for run in range(runs)
            ]
            _, full = timed(lambda key=key, look=look: page.ask(f"photos/{key}/result?look={look}"))
            slider = f"slider {statistics.median(times):.3f} s (median of {runs}, longest {max(times):.3f})"
            print(f"  {kind}: chosen {chosen:.2f} s, {slider}, full size to save {full:.2f} s", flush=True)


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """What the work gives, and its seconds."""
    began = time.monotonic()
    result = work()
    return result, time.monotonic() - began


def enlarged(photo: Path) -> bytes:
    """The photo at PHONE pixels a side, as a JPEG."""
    import cv2
    import imageio.v3 as iio

    pixels = cv2.resize(iio.imread(photo), (PHONE, PHONE), interpolation=cv2.INTER_CUBIC)
    file = io.BytesIO()
    iio.imwrite(file, pixels, extension=".jpg", quality=92)
    return file.getvalue()


if __name__ == "__main__":
    sys.exit(main())
