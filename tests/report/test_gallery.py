"""The gallery in a real browser: what a user sees, moves and filters."""

import os
import shutil
import sys
import warnings
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from beautygan_cli.batch.outcome import Outcome
from beautygan_cli.report.gallery import PAGE, Gallery
from beautygan_cli.report.table import Rows

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OFFLINE = [  # no word to the maker's servers, which a closed network would refuse one by one
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
HOSTILE = '"><img src=x onerror=document.title=1>.jpg'
CLOSING = "</script><script>document.title=2</script>.jpg"


@pytest.fixture(scope="module")
def chromium():
    """A real browser; without one the tests are skipped, loudly."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if CHROMIUM is None or sync_playwright is None:
        missing = "chromium" if CHROMIUM is None else "playwright"
        warnings.warn(f"NO BROWSER: the gallery is NOT tested, for want of {missing}", stacklevel=1)
        pytest.skip(f"{missing} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OFFLINE)
        yield browser
        browser.close()


def result(folder, number, reference="red.jpg", **changes):
    """A made outcome, a picture with it: blue before, red after."""
    source = folder / "photos" / changes.pop("name", f"{number:04d}.jpg")
    output = folder / f"{number:04d}__{reference[:-4]}.jpg"
    iio.imwrite(output, np.zeros((40, 30, 3), np.uint8))
    before, after = (np.full((40, 30, 3), colour, np.uint8) for colour in ((0, 0, 255), (255, 0, 0)))
    values = {
        "source": source,
        "reference": folder / reference,
        "output": output,
        "status": "made",
        "faces": 1,
        "size": (30, 40),
        "figures": {"lips_before": 20.0, "lips_after": 4.0, "identity": 0.21, "detail": 0.99},
        "previews": (before, after),
    }
    return Outcome(**{**values, **changes})


def written(folder, outcomes):
    """The gallery of some outcomes; its page."""
    rows, gallery = Rows(), Gallery(folder)
    for outcome in outcomes:
        rows.add(outcome)
        gallery.add(outcome)
    gallery.write(rows, {})
    return folder / PAGE


@pytest.fixture
def opened(chromium):
    """`opened(page file)` shows it; complaints of the page or of the network fail the test."""
    contexts, complaints = [], []

    def show(path, **settings):
        contexts.append(chromium.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(f"failed: {request.url}"))
        page.on("request", lambda request: complaints.append(request.url) if request.url[:5] != "file:" else None)
        page.goto(path.as_uri())
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


def cut(page, number=0):
    """Where the divider of a card stands, in per cent."""
    return page.locator(".pair").nth(number).evaluate("pair => parseFloat(pair.style.getPropertyValue('--cut'))")


def colour_at(page, x, y):
    """The colour of a point of the first card's picture as it is on the screen, x and y in 0..1."""
    shot = iio.imread(page.locator(".pair").first.screenshot())
    return shot[int(y * shot.shape[0]), int(x * shot.shape[1]), :3].astype(int)


def test_card_shows_pictures_figures_and_a_way_to_the_full_size(opened, tmp_path):
    page = opened(written(tmp_path, [result(tmp_path, 1)]))
    card = page.locator(".card")
    assert card.count() == 1
    text = card.inner_text()
    for part in ("0001.jpg", "red.jpg", "20.0 → 4.0", "0.210", "0.990"):
        assert part in text
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    href = card.locator("a").evaluate("link => link.href")
    assert href == (tmp_path / "0001__red.jpg").as_uri()
    left, right = colour_at(page, 0.2, 0.4), colour_at(page, 0.8, 0.4)
    assert left[2] > 200 > left[0] and right[0] > 200 > right[2]  # blue before, red after


def test_slider_moves_by_mouse_touch_and_keyboard(opened, tmp_path):
    page = opened(written(tmp_path, [result(tmp_path, 1)]), has_touch=True)
    box = page.locator(".pair").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
    page.mouse.up()
    assert cut(page) == pytest.approx(80, abs=2)
    assert colour_at(page, 0.6, 0.4)[2] > 200  # what was after is before now
    page.mouse.move(box["x"] + box["width"] * 0.1, middle)
    assert cut(page) == pytest.approx(80, abs=2)  # let go

    page.touchscreen.tap(box["x"] + box["width"] * 0.3, middle)
    assert cut(page) == pytest.approx(30, abs=2)

    page.locator(".pair input").focus()
    at = cut(page)
    page.keyboard.press("ArrowRight")
    assert cut(page) == at + 2
    page.keyboard.press("Home")
    assert cut(page) == 0
    assert page.locator(".pair input").get_attribute("aria-label").startswith("Before and after of ")


def test_filters_by_reference_status_and_name(opened, tmp_path):
    outcomes = [
        *(result(tmp_path, number, reference) for number in range(3) for reference in ("red.jpg", "blue.jpg")),
        result(tmp_path, 7, status="failed", reason="no face found in 0007.jpg", previews=None, figures={}),
    ]
    page = opened(written(tmp_path, outcomes))
    visible = page.locator(".card:visible")
    assert visible.count() == 7
    page.locator("#reference").select_option(str(tmp_path / "blue.jpg"))
    assert visible.count() == 3
    assert page.locator("#count").inner_text() == "3 of 7 results"
    page.locator("#reference").select_option("")
    page.locator("#status").select_option("failed")
    assert visible.count() == 1
    assert "no face found in 0007.jpg" in visible.text_content()
    page.locator("#status").select_option("")
    page.locator("#name").fill("0002")
    assert visible.count() == 2


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows does not take")
def test_hostile_names_are_shown_and_not_obeyed(opened, tmp_path):
    outcomes = [result(tmp_path, 1, name=HOSTILE), result(tmp_path, 2, name="</script><b>.jpg")]
    outcomes += [result(tmp_path, 3, status="failed", reason=CLOSING, previews=None)]
    page = opened(written(tmp_path, outcomes))
    assert page.title() == "Made up"
    assert page.locator("h2").first.inner_text() == HOSTILE
    assert page.locator(".reason").last.inner_text() == CLOSING
    assert page.locator("main img").count() == 4 and page.locator("script").count() == 2


def test_light_and_dark_follow_the_system(opened, tmp_path):
    path = written(tmp_path, [result(tmp_path, 1)])

    def brightness(scheme):
        colour = opened(path, color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))

    assert brightness("dark") < 150 < 600 < brightness("light")


def test_phone_shows_one_card_across_and_nothing_beyond_its_edge(opened, tmp_path):
    long_name = "a_very_long_name_without_any_space_" * 4 + ".jpg"
    outcomes = [result(tmp_path, 1, name=long_name), result(tmp_path, 2)]
    page = opened(written(tmp_path, outcomes), viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [page.locator(".card").nth(number).bounding_box() for number in range(2)]
    assert boxes[0]["x"] == boxes[1]["x"] and boxes[0]["width"] > 300


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
})"""  # milliseconds from frame to frame


def test_two_thousand_results_load_lazily_and_scroll_smoothly(opened, tmp_path):
    first = result(tmp_path, 0)
    gallery = Gallery(tmp_path)
    gallery.add(first)
    thumbnails = sorted(gallery.thumbnails.iterdir())
    rows = Rows()
    for number in range(2000):
        outcome = result(tmp_path, number % 10, previews=None, output=tmp_path / f"{number:04d}__red.jpg")
        rows.add(outcome)
        os.link(thumbnails[0], gallery._after_path(outcome.output)) if not gallery.has(outcome.output) else None
        before = gallery._before_path(outcome.source)
        os.link(thumbnails[1], before) if not before.exists() else None
    gallery.write(rows, {})
    page = opened(tmp_path / PAGE)
    assert page.locator(".card").count() == 2000
    loaded = "[...document.images].filter(image => image.complete && image.naturalWidth).length"
    page.wait_for_timeout(300)
    assert page.evaluate(loaded) < 400
    frames = page.evaluate(SCROLLED)
    assert page.evaluate("scrollY") > 15_000
    page.evaluate("[...document.querySelectorAll('.card')].slice(40).forEach(card => card.remove())")
    of_few = page.evaluate(SCROLLED)
    # From frame to frame as on a page of forty, since how long that takes is the machine's.
    assert float(np.median(frames)) < 3.5 * float(np.median(of_few)), (frames, of_few)


def test_gallery_of_a_run(opened, place, beautygan, no_face, tmp_path):
    """The command's own gallery, and the same after a second run that makes nothing."""
    place("selfies/a.jpg", "bare")
    place("selfies/sub/b c#1.jpg", "bare", 1)
    place("look.jpg", "worn")
    command = ("--no-makeup", "selfies", no_face, "--ref", "look.jpg", "--out", "out", "--gallery")
    for status in ("made", "kept"):
        assert beautygan(*command)[0] == 1
        page = opened(tmp_path / "out" / PAGE)
        assert page.locator(f".card.{status}").count() == 2
        assert page.locator(".card.failed .reason").inner_text().startswith("no face found in ")
        page.locator(".card").nth(1).scroll_into_view_if_needed()
        page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
        for link in page.locator(".open a").all():
            assert Path(link.evaluate("link => decodeURIComponent(new URL(link.href).pathname)")).is_file()


def test_gallery_asked_for_later_takes_its_pictures_from_the_files(place, beautygan, tmp_path):
    place("a.jpg", "bare")
    place("look.jpg", "worn")
    command = ("--no-makeup", "a.jpg", "--ref", "look.jpg")
    beautygan(*command)
    assert beautygan(*command, "--gallery")[:2] == (0, [])
    pictures = sorted((tmp_path / "made_up" / "thumbnails").iterdir())
    after, before, look = (iio.imread(path) for path in sorted(pictures, key=lambda path: path.name[20:]))
    assert look.shape[0] == look.shape[1] > 100
    assert after.shape == before.shape and (after != before).any()
    assert min(after.shape[:2]) > 100
