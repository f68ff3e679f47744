"""The gallery's page with many results in a real browser: how long it takes to open, to sort, to filter and to scroll.

    python benchmarks/gallery.py [--results 2000] [--runs 5]

Needs `pip install playwright` and the system's Chromium. Each figure is a median in milliseconds; scrolling is the time
from one frame to the next, beside that of a page of forty results, since how long a frame takes is the machine's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from beautygan_cli.batch.outcome import Outcome, Status
from beautygan_cli.report.gallery import PAGE, Gallery
from beautygan_cli.report.table import Rows

FEW = 40
SIDE = 480  # pixels of the small pictures, as the command makes them
CHANGED = """(id, value) => new Promise(done => {
    const began = performance.now(), element = document.getElementById(id);
    element.value = value;
    element.dispatchEvent(new Event("input", {bubbles: true}));
    requestAnimationFrame(() => setTimeout(() => done(performance.now() - began)));
})"""  # until what follows is on the screen
SCROLLED = """() => new Promise(done => {
    const times = [];
    let before = performance.now();
    function step(now) {
        times.push(now - before);
        before = now;
        scrollBy(0, 400);
        times.length < 60 ? requestAnimationFrame(step) : done(times.slice(5));
    }
    scrollTo(0, 0);
    requestAnimationFrame(step);
})"""
OPENED = "performance.getEntriesByType('navigation')[0].loadEventEnd"


def main() -> int:
    """Print a table; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    print("| results | page, MB | open | sort by a figure | filter by name | frame while scrolling |")
    print("|---|---|---|---|---|---|")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(prefix="beautygan-benchmark-") as place:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for count in (FEW, options.results):
            page_file = generate(Path(place, str(count)), count)
            figures = [measure(browser, page_file) for _ in range(options.runs)]
            told = " | ".join(f"{statistics.median(kind):.0f} ms" for kind in zip(*figures, strict=True))
            print(f"| {count} | {page_file.stat().st_size / 1e6:.2f} | {told} |")
        browser.close()
    return 0


def generate(folder: Path, count: int) -> Path:
    """The gallery of `count` made-up outcomes, each with pictures of its own; its page."""
    folder.mkdir()
    chance = np.random.default_rng(0)
    look, gallery, rows = folder / "look.jpg", Gallery(folder), Rows()
    noise = chance.integers(0, 256, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
    picture = noise.repeat(8, axis=0).repeat(8, axis=1)
    first = None
    for number in range(count):
        source, output = folder / "photos" / f"{number:05d}.jpg", folder / f"{number:05d}__look.jpg"
        figures = {"lips_before": 20.0, "lips_after": float(chance.uniform(0, 9)), "identity": 0.2, "detail": 0.98}
        outcome = Outcome(source, look, output, Status.MADE, figures=figures, previews=(picture, picture))
        rows.add(outcome)
        if first is None:
            gallery.add(outcome)
            first = gallery._after_path(output)
        else:
            os.link(first, gallery._after_path(output))
            os.link(first, gallery._before_path(source))
    gallery.write(rows, {})
    return folder / PAGE


def measure(browser: Any, page_file: Path) -> tuple[float, float, float, float]:
    """Milliseconds to open the page, to sort it, to filter it, and from frame to frame while it is scrolled."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(page_file.as_uri())
    opened = page.evaluate(OPENED)
    moved = statistics.median(page.evaluate(SCROLLED))
    page.evaluate("scrollTo(0, 0)")
    changed = [
        page.evaluate(f"({CHANGED})({name!r}, {value!r})") for name, value in (("sort", "lips_after"), ("name", "7"))
    ]
    context.close()
    return opened, changed[0], changed[1], moved


if __name__ == "__main__":
    sys.exit(main())
