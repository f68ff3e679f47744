"""The gallery in a real browser: what a user sees, moves and filters."""

import os
import subprocess
import sys
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from beautygan_cli.batch.outcome import MEASURED, Outcome
from beautygan_cli.evaluation.fault_summary import FAULTS
from beautygan_cli.report.gallery import FIGURES, PAGE, Gallery
from beautygan_cli.report.table import Rows, Shortened

HOSTILE = '"><img src=x onerror=document.title=1>.jpg'
CLOSING = "</script><script>document.title=2</script>.jpg"


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


GREEN = np.full((64, 64, 3), (0, 255, 0), np.uint8)


def written(folder, outcomes, **settings):
    """The gallery of some outcomes; its page."""
    rows, gallery = Rows(), Gallery(folder, **settings)
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


def until(page, claim):
    """Wait until an expression is true in the page; asked from outside, since the page's policy forbids `eval`."""
    for _ in range(200):
        if page.evaluate(claim):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"never true: {claim}")


def large_view_of(page, number=0):
    """The large view of a card opened, with both its photos, 1200 pixels wide, there and laid out."""
    page.locator(".enlarge").nth(number).click()
    until(page, "document.querySelectorAll('#stage img').length === 2")
    until(page, "[...document.querySelectorAll('#stage img')].every(image => image.naturalWidth === 1200)")
    until(page, "Boolean(document.querySelector('#stage .pair')?.style.width)")


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


def test_card_shows_the_look_beside_the_result(opened, tmp_path):
    outcomes = [result(tmp_path, 1), result(tmp_path, 2), result(tmp_path, 3, "drawn.jpg")]
    page = opened(written(tmp_path, outcomes, looks={tmp_path / "red.jpg": GREEN}))
    looks = page.locator(".card .look")
    assert looks.count() == 2  # none of the look without a face to show
    assert looks.first.get_attribute("alt") == "the look: red.jpg"
    until(page, "[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    shot = iio.imread(looks.first.screenshot())[28, 28, :3].astype(int)
    assert shot[1] > 200 > max(shot[0], shot[2])
    assert len(list((tmp_path / "thumbnails").glob("*-look.jpg"))) == 1


def swept(folder):
    """One photo at three strengths, one of them made weaker, one wrong; and one that failed."""
    of = [
        result(folder, number, asked=asked, name="me.jpg", output=folder / f"me__red@{100 * asked:g}.jpg", **changes)
        for number, (asked, changes) in enumerate(
            [
                (0.25, {"figures": {"identity": 0.3, "lips_before": 9.0, "lips_after": 7.0}}),
                (0.5, {"figures": {"identity": 0.1}, "reason": f"odd light; {FAULTS['hair']}"}),
                (1.0, {"figures": {"identity": 0.2}, "strength": 0.75, "partly": True, "reason": "made at 0.75"}),
            ]
        )
    ]
    for outcome in of:
        iio.imwrite(outcome.output, np.zeros((40, 30, 3), np.uint8))
    gone = result(folder, 7, status="failed", reason=FAULTS["hair"], previews=None, figures={}, partly=False)
    return [*of, gone]


def captions(page):
    """What the visible cards say of their looks; as text content, since off the screen nothing is rendered."""
    return [card.locator(".with").text_content().replace("\xa0", " ") for card in page.locator(".card:visible").all()]


def test_strengths_are_told_apart_and_a_weaker_one_is_said_in_words(opened, tmp_path):
    page = opened(written(tmp_path, swept(tmp_path)))
    at = [f"with red.jpg at {percent} %" for percent in (25, 50, 100, 100)]
    assert captions(page) == at
    badge = page.locator(".card .badge", has_text="made weaker")
    assert badge.count() == 1
    assert badge.text_content().replace("\xa0", " ") == "made weaker, to 75 % of what was asked for"
    page.locator("#strength").select_option("0.5")
    assert captions(page) == at[1:2]


def test_one_full_strength_is_not_worth_a_word(opened, tmp_path):
    page = opened(written(tmp_path, [result(tmp_path, 1)]))
    assert captions(page) == ["with red.jpg"]
    assert not page.locator("#strength").is_visible()


@pytest.mark.parametrize(
    "fault, shown",
    [("partly", [100]), ("weaker", [100]), ("wrong", [50]), ("hair", [50]), ("failed", [100]), ("none", [25])],
)
def test_filters_by_fault(opened, tmp_path, fault, shown):
    page = opened(written(tmp_path, swept(tmp_path)))
    page.locator("#fault").select_option(fault)
    assert captions(page) == [f"with red.jpg at {percent} %" for percent in shown]
    if fault == "failed":
        assert page.locator(".card:visible .badge").text_content() == "failed"


def test_sorts_by_any_figure_either_way_with_the_unknown_last(opened, tmp_path):
    page = opened(written(tmp_path, swept(tmp_path)))

    def order():
        return [int(card.get_attribute("data-index")) for card in page.locator(".card").all()]

    orders = [
        ("identity", [1, 2, 0, 3], [0, 2, 1, 3]),
        ("lips_after", [0, 1, 2, 3], [0, 1, 2, 3]),
        ("name", [3, 0, 1, 2], [0, 1, 2, 3]),
        ("asked", [0, 1, 2, 3], [2, 3, 1, 0]),
        ("faults", [0, 1, 2, 3], [3, 1, 2, 0]),
        ("run", [0, 1, 2, 3], [3, 2, 1, 0]),
    ]
    for key, up, down in orders:
        page.locator("#sort").select_option(key)
        assert order() == up, key
        page.locator("#direction").click()
        assert order() == down, key
        page.locator("#direction").click()
    assert page.locator("#sort option[value=lids_after]").count() == 0  # nothing to sort by


def test_every_figure_has_plain_words_and_a_meaning(opened, tmp_path):
    assert sorted(name for figure in FIGURES for name in figure.names) == sorted(MEASURED)
    figures = dict.fromkeys(MEASURED, 0.5)
    page = opened(written(tmp_path, [with_full_size(tmp_path, 1, figures=figures)]))
    row = page.locator(".card tr", has_text="colour of the lips: distance to the look")
    assert "0.5 → 0.5" in row.text_content()
    assert "colour distance (CIEDE2000) of the lips" in row.get_attribute("title")
    page.locator("#legend summary").click()
    for place in ("#legend dt", "#large dt"):
        if place == "#large dt":
            page.locator(".enlarge").click()
        told = "\n".join(page.locator(place).all_inner_texts())
        assert all(figure.label in told for figure in FIGURES), place


def test_pictures_stand_side_by_side_too(opened, tmp_path):
    page = opened(written(tmp_path, [result(tmp_path, 1)]))
    page.locator("#view").select_option("beside")
    before, after = (page.locator(f".card .{name}").bounding_box() for name in ("before", "after"))
    assert before["x"] + before["width"] <= after["x"] and before["y"] == after["y"]
    assert colour_at(page, 0.25, 0.4)[2] > 200 and colour_at(page, 0.75, 0.4)[0] > 200
    page.locator(".pair").click(position={"x": 20, "y": 20})
    assert np.isnan(cut(page))  # no divider to move


def with_full_size(folder, number, **changes):
    """An outcome whose source and result are there as files: white and black, 1200 x 900."""
    outcome = result(folder, number, **changes)
    outcome.source.parent.mkdir(exist_ok=True)
    for path, level in ((outcome.source, 255), (outcome.output, 0)):
        iio.imwrite(path, np.full((900, 1200, 3), level, np.uint8))
    return outcome


def shown_size(page, selector):
    box = page.locator(selector).bounding_box()
    return round(box["width"]), round(box["height"])


def test_large_view_shows_both_photos_fitted_or_pixel_by_pixel(opened, tmp_path):
    page = opened(written(tmp_path, [with_full_size(tmp_path, number) for number in (1, 2)]))
    large_view_of(page)
    source = page.locator("#stage .before").evaluate("image => image.src")
    assert source == (tmp_path / "photos" / "0001.jpg").as_uri()
    fitted = shown_size(page, "#stage .pair")
    assert fitted[0] < 1200 and fitted[0] / fitted[1] == pytest.approx(4 / 3, abs=0.01)
    page.locator("#zoom").click()
    assert shown_size(page, "#stage .after") == (1200, 900)
    page.locator("#beside").click()
    assert page.locator("#stage .pane").count() == 2
    assert [shown_size(page, f"#stage .pane[aria-label={name}] img") for name in ("before", "after")] == [
        (1200, 900)
    ] * 2
    page.locator("#stage .pane").first.evaluate("pane => pane.scrollTo(40, 30)")
    until(page, "document.querySelectorAll('#stage .pane')[1].scrollLeft === 40")  # both show one place
    assert page.locator("#large .note").inner_text() == ""


def drag(page, start, to):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*to, steps=4)
    page.mouse.up()


def test_large_views_divider_is_dragged_and_at_100_per_cent_the_picture(opened, tmp_path):
    page = opened(written(tmp_path, [with_full_size(tmp_path, 1), with_full_size(tmp_path, 2)]))
    large_view_of(page)

    def at():
        return page.locator("#stage .pair").evaluate("pair => parseFloat(pair.style.getPropertyValue('--cut'))")

    box = page.locator("#stage .pair").bounding_box()
    y = box["y"] + box["height"] / 2
    drag(page, (box["x"] + 20, y), (box["x"] + 0.25 * box["width"], y))
    assert at() == pytest.approx(25, abs=2)

    page.locator("#zoom").click()
    pane = page.locator("#stage .pane")
    before = pane.evaluate("pane => pane.scrollLeft")
    pane.evaluate("pane => pane.scrollTo(0, pane.scrollTop)")
    box = pane.bounding_box()
    drag(page, (box["x"] + 700, y), (box["x"] + 600, y))
    assert before > 0 and pane.evaluate("pane => pane.scrollLeft") == pytest.approx(100, abs=5)
    assert at() == pytest.approx(25, abs=2)  # the picture moved, not the divider
    grip = page.locator("#stage .grip").bounding_box()
    drag(page, (grip["x"] + 22, y), (grip["x"] + 22 + 300, y))
    assert at() == pytest.approx(50, abs=2)
    page.keyboard.press("ArrowRight")
    assert page.locator("#large-name").inner_text().startswith("0002.jpg")  # the arrows are still the next card's


def test_at_100_per_cent_a_pixel_is_one_of_the_screen(opened, tmp_path):
    path = written(tmp_path, [with_full_size(tmp_path, 1)])
    page = opened(path, device_scale_factor=2)
    large_view_of(page)
    page.locator("#zoom").click()
    assert shown_size(page, "#stage .after") == (600, 450)


def test_large_view_is_led_by_the_keyboard(opened, tmp_path):
    outcomes = [with_full_size(tmp_path, number) for number in (1, 2, 3)]
    outcomes.insert(1, result(tmp_path, 9, status="failed", reason="no face found", previews=None))
    page = opened(written(tmp_path, outcomes))
    name = page.locator("#large-name")
    page.locator("#name").fill("000")
    page.locator(".enlarge").first.focus()
    page.keyboard.press("Enter")
    assert name.inner_text() == "0001.jpg with red.jpg"
    assert page.locator("#previous").is_disabled()
    page.keyboard.press("ArrowRight")
    assert name.inner_text() == "0002.jpg with red.jpg"  # what failed has nothing to show
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert name.inner_text() == "0003.jpg with red.jpg" and page.locator("#next").is_disabled()
    page.keyboard.press("ArrowLeft")
    assert name.inner_text() == "0002.jpg with red.jpg"
    until(page, "[...document.querySelectorAll('#stage img')].every(image => image.complete)")
    page.keyboard.press("Escape")
    until(page, "!document.getElementById('large').open")
    # back at the card that was looked at last
    until(page, "document.activeElement.closest('.card')?.querySelector('h2').textContent === '0002.jpg'")


def test_source_that_would_tell_of_unnamed_folders_is_not_linked(opened, tmp_path):
    out, selfies = tmp_path / "results", tmp_path / "unnamed" / "selfies"
    out.mkdir()
    selfies.mkdir(parents=True)
    outcome = result(out, 1, source=selfies / "me.jpg")
    iio.imwrite(outcome.source, np.full((900, 1200, 3), 255, np.uint8))
    page_file = written(out, [outcome], shortened=Shortened([selfies, out]))
    assert "unnamed" not in page_file.read_text()
    page = opened(page_file)
    page.locator(".enlarge").click()
    until(page, "document.querySelectorAll('#stage img').length === 2")
    assert "thumbnails/" in page.locator("#stage .pane[aria-label=before] img").get_attribute("src")
    assert "small picture stands in" in page.locator("#large .note").inner_text()

    beside = result(out, 2, source=tmp_path / "selfies" / "me.jpg")
    text = written(out, [beside], shortened=Shortened([tmp_path / "selfies", out]), overwrite=True).read_text()
    assert '"original": "../selfies/me.jpg"' in text and str(tmp_path) not in text


def test_file_that_the_browser_cannot_show_has_its_small_picture_in_its_place(opened, tmp_path):
    outcome = with_full_size(tmp_path, 1)
    outcome.output.write_bytes(b"II*\0 no picture that a browser knows")
    page = opened(written(tmp_path, [outcome]))
    page.locator(".enlarge").click()
    until(page, "document.querySelector('#large .note').textContent.includes('small picture stands in')")
    for name in ("before", "after"):  # of one part of the photo, and so laid over each other
        until(page, f"document.querySelector('#stage .pair .{name}')?.naturalWidth === 30")


def test_clips_play_in_card_and_large_view_from_their_first_picture(opened, tmp_path):
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    clip = tmp_path / "walk__red.mp4"
    scene = ["-f", "lavfi", "-i", "testsrc=size=64x64:rate=10:duration=2", "-pix_fmt", "yuv420p"]
    subprocess.run([ffmpeg, "-loglevel", "error", *scene, clip], check=True)
    page = opened(written(tmp_path, [result(tmp_path, 1, name="walk.mp4", output=clip)]))
    assert page.locator("video").count() == 0  # nothing of a clip is fetched before it is asked for
    page.locator(".play").click()
    video = page.locator(".card video")
    until(page, "document.querySelector('.card video').currentTime > 0")
    attributes = video.evaluate("video => [video.controls, video.preload, video.poster]")
    assert attributes[:2] == [True, "none"] and attributes[2].endswith("-after.jpg")

    page.locator(".enlarge").click()
    large = page.locator("#stage [aria-label=after] video")
    assert large.evaluate("video => [video.controls, video.preload, video.src]") == [True, "none", clip.as_uri()]
    assert page.locator("#zoom").is_disabled()
    large.evaluate("video => video.play()")
    until(page, "document.querySelector('#stage video[src$=\"__red.mp4\"]').currentTime > 0")
    page.keyboard.press("Escape")
    until(page, "document.querySelectorAll('#stage video').length === 0")


def test_without_scripts_results_are_listed_with_pictures_and_links(opened, tmp_path):
    hostile = [] if sys.platform == "win32" else [result(tmp_path, 5, name="</noscript><b>&.jpg")]
    page = opened(written(tmp_path, [*swept(tmp_path), *hostile]), java_script_enabled=False)
    items = page.locator(".list li")
    assert items.count() == 4 + len(hostile)
    assert (
        items.first.inner_text().replace("\xa0", " ").endswith("me.jpg with " + str(tmp_path / "red.jpg") + ", at 25 %")
    )
    assert items.nth(3).inner_text().endswith(FAULTS["hair"]) and items.nth(3).locator("a").count() == 0
    assert items.first.locator("a").get_attribute("href") == "me__red%4025.jpg"
    assert items.first.locator("img").count() == 2
    assert not page.locator("header").is_visible() and page.locator("b").count() == 0
    if hostile:
        assert "</noscript><b>&.jpg" in items.last.inner_text()


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


def test_large_view_fits_a_phone(opened, tmp_path):
    path = written(tmp_path, [with_full_size(tmp_path, 1, name="a_very_long_name_" * 8 + ".jpg")])
    page = opened(path, viewport={"width": 360, "height": 740})
    large_view_of(page)
    assert page.locator("#large").evaluate("dialog => dialog.scrollWidth") <= 360
    assert page.locator("#stage .pair").bounding_box()["width"] <= 360
    assert page.locator("#close").bounding_box()["x"] < 320


def test_phone_shows_one_card_across_and_nothing_beyond_its_edge(opened, tmp_path):
    long_name = "a_very_long_name_without_any_space_" * 4 + ".jpg"
    outcomes = [result(tmp_path, 1, name=long_name), result(tmp_path, 2)]
    page = opened(written(tmp_path, outcomes), viewport={"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    boxes = [page.locator(".card").nth(number).bounding_box() for number in range(2)]
    assert boxes[0]["x"] == boxes[1]["x"] and boxes[0]["width"] > 300


SCROLLED = """() => new Promise(done => {
    let steps = 0;
    function step() {
        scrollBy(0, 400);
        ++steps < 60 ? requestAnimationFrame(step) : requestAnimationFrame(() => requestAnimationFrame(done));
    }
    requestAnimationFrame(step);
})"""
LAID_OUT = """() => [...document.querySelectorAll(".card h2")].filter(
    heading => heading.checkVisibility({contentVisibilityAuto: true})).length"""  # cards whose content isn't skipped


def test_two_thousand_results_load_lazily_and_only_what_is_near_is_laid_out(chromium, tmp_path):
    first = result(tmp_path, 0)
    gallery = Gallery(tmp_path, looks={first.reference: GREEN})
    gallery.add(first)
    after, before, look = sorted(gallery.thumbnails.iterdir(), key=lambda path: path.name[20:])
    assert look.name.endswith("-look.jpg")
    rows = Rows()
    for number in range(2000):
        source = tmp_path / "photos" / f"{number}.jpg"
        outcome = result(
            tmp_path, number % 10, previews=None, source=source, output=tmp_path / f"{number:04d}__red.jpg"
        )
        rows.add(outcome)
        for original, path in ((after, gallery._after_path(outcome.output)), (before, gallery._before_path(source))):
            if not path.exists():
                os.link(original, path)
    gallery.write(rows, {})
    context = chromium.new_context()
    page = context.new_page()
    requested = []
    page.on("request", lambda request: requested.append(request.url) if request.url.endswith(".jpg") else None)
    page.goto((tmp_path / PAGE).as_uri())
    assert page.locator(".card").count() == 2000
    page.wait_for_timeout(300)
    assert 0 < len(requested) < 400  # of 4,000: a few screens beyond the first, as the browser sees fit
    assert 0 < page.evaluate(LAID_OUT) < 40
    page.evaluate(SCROLLED)
    assert page.evaluate("scrollY") > 15_000
    assert 0 < page.evaluate(LAID_OUT) < 80  # what was passed is skipped again
    assert len(requested) < 2000
    assert page.evaluate("document.querySelectorAll('video').length") == 0
    page.locator("#sort").select_option("name")
    page.locator("#name").fill("1999")
    assert page.locator(".card:visible").count() == 1
    context.close()


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
        until(page, "[...document.images].every(image => image.complete && image.naturalWidth > 0)")
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
