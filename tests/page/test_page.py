"""The page in a real browser: what a user chooses, moves, sees and keeps."""

import base64
import io
import shlex

import numpy as np
import pytest
from PIL import Image

REFERENCE = "0"  # number of the look that is a reference photo
LONG = 90_000  # milliseconds that a busy machine may take

PIXELS = """async image => {
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    canvas.getContext("2d").drawImage(image, 0, 0);
    return canvas.toDataURL("image/png").split(",")[1];
}"""


def shown(page, image="#after"):
    """What an image of the page shows, (H, W, 3) int."""
    picture = base64.b64decode(page.locator(image).evaluate(PIXELS))
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)


def settle(page):
    """Wait until the page has answered the last wish and shows the command for it."""
    page.wait_for_selector("#copy:enabled", timeout=LONG)


def until(page, true):
    """Wait for something; the page's own policy forbids Playwright's way, which is to evaluate text in it."""
    for _ in range(LONG // 100):
        if true():
            return
        page.wait_for_timeout(100)
    raise AssertionError("it never became so")


def wear(page, number):
    page.locator(f"input[name=look][value='{number}']").check(force=True)
    settle(page)


def move(page, region, value):
    page.locator(f"#{region}").fill(str(value))
    settle(page)


def saved(page, button, tmp_path):
    """The file that a button gives the browser to save."""
    with page.expect_download(timeout=LONG) as download:
        page.locator(button).click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_each_look_appears_on_the_users_own_face(with_photo, served):
    page = with_photo()
    pictures = page.locator(".look img")
    assert pictures.count() == 1 + len(served.state.choices) >= 18
    until(page, lambda: page.locator(".look img[src]").count() == pictures.count())
    until(page, lambda: page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)"))
    faces = [shown(page, f".look:nth-child({number}) img") for number in range(1, pictures.count() + 1)]
    for face in faces[1:]:
        assert face.shape == faces[0].shape
        assert np.abs(face - faces[0]).max() > 20  # it wears something
        assert np.abs(face - faces[0]).mean() < 30  # and is still the same photo
    assert page.locator("#error").is_hidden()


def test_a_slider_changes_the_picture_without_asking_the_network(with_photo, served):
    page = with_photo()
    wear(page, REFERENCE)
    runs, full = served.state.session.runs, shown(page)
    assert runs > 0
    move(page, "lips", 20)
    weak = shown(page)
    move(page, "lips", 0)
    none = shown(page)
    bare = shown(page, "#before")
    assert served.state.session.runs == runs
    rows, columns = np.nonzero(np.abs(full - none).max(axis=2) > 40)
    assert len(rows) > 50  # the lips
    lips = np.s_[rows, columns]
    assert np.abs(none[lips] - bare[lips]).mean() < np.abs(weak[lips] - bare[lips]).mean()
    assert np.abs(weak[lips] - bare[lips]).mean() < np.abs(full[lips] - bare[lips]).mean()
    page.locator("#reset").click()
    settle(page)
    assert np.array_equal(shown(page), full)


@pytest.mark.parametrize("own", [False, True], ids=["reference at strengths", "look with own colours"])
def test_what_is_saved_is_what_the_command_writes(with_photo, served, beautygan, tmp_path, monkeypatch, own):
    page = with_photo()
    if own:
        wear(page, "3")
        page.locator("#lips-colour").fill("#7a1f45")
        page.locator("#lips-finish").select_option("gloss")
        page.locator("#liner").select_option("winged")
        page.locator("#brows-colour").fill("#2a4fa8")
        page.locator("#brows-finish").select_option("bold")
        page.locator("#blush-colour").fill("#e99a7c")
        page.locator("#blush-finish").select_option("apples")
        page.locator("#finish").select_option("dewy")
        move(page, "skin", 40)
    else:
        wear(page, REFERENCE)
        move(page, "lips", 55)
        move(page, "skin", 90)
    command = shlex.split(page.locator("#command").inner_text())
    file = saved(page, "#save", tmp_path)
    look = saved(page, "#save-look", served.folder)
    assert command[0] == "beautygan" and command[-2:] == ["--out", file.name]
    monkeypatch.chdir(served.folder)
    assert beautygan(*command[1:-1], tmp_path / "by_command.jpg", with_model=False)[0] == 0
    assert (tmp_path / "by_command.jpg").read_bytes() == file.read_bytes()
    by_look = ("me.jpg", "--look", look.name, "--out", tmp_path / "by_look.jpg")
    assert beautygan(*by_look, with_model=True)[0] == 0
    assert (tmp_path / "by_look.jpg").read_bytes() == file.read_bytes()
    with Image.open(file) as result, Image.open(served.photo) as photo:
        assert result.size == photo.size
        assert b"compositeWithTrainedAlgorithmicMedia" in result.info["xmp"]


def test_full_size_is_shown_at_100_per_cent(with_photo, served):
    page = with_photo()
    wear(page, REFERENCE)
    page.locator("#zoom").click()
    with Image.open(served.photo) as photo:
        until(page, lambda: page.locator("#after").evaluate("image => image.naturalWidth") == photo.width)
        assert page.locator("#stage").bounding_box()["width"] == photo.width
    page.locator("#viewer").focus()
    at = page.locator("#viewer").evaluate("viewer => viewer.scrollTop")
    page.keyboard.press("ArrowDown")
    until(page, lambda: page.locator("#viewer").evaluate("viewer => viewer.scrollTop") > at)


def test_before_is_shown_while_it_is_held_and_beside_the_divider(with_photo):
    page = with_photo()
    before = page.locator("#before")

    def visible():
        return before.evaluate("image => getComputedStyle(image).visibility") == "visible"

    assert not visible()
    page.locator("#hold").hover()
    page.mouse.down()
    assert visible()
    page.mouse.up()
    assert not visible()
    page.locator("#hold").focus()
    page.keyboard.down("Space")
    assert visible()
    page.keyboard.up("Space")
    assert not visible()
    page.locator("#split").click()
    assert visible()
    box = page.locator("#stage").bounding_box()
    page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + 0.5 * box["height"])
    assert page.locator("#cut").input_value() == "30"
    page.locator("#cut").focus()
    page.keyboard.press("ArrowRight")
    assert before.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 68% 0px 0px)"


def test_what_is_wrong_with_a_photo_is_said_in_the_tools_own_sentence(with_photo, no_face, tmp_path, served):
    page = with_photo()
    damaged = tmp_path / "cut short.jpg"
    damaged.write_bytes(served.photo.read_bytes()[:3000])
    error = page.locator("#error")
    page.evaluate("scrollTo(0, 10000)")
    assert page.evaluate("scrollY") > 0
    for file, sentence in (
        (damaged, "cut short.jpg is damaged or cut short; get a fresh copy of it."),
        (no_face, "no face found in wall.png; use a photo in which the face is larger, upright and uncovered."),
    ):
        page.locator("#another input").set_input_files(file)
        until(page, lambda sentence=sentence: error.inner_text() == sentence)
        assert error.bounding_box()["y"] >= 0  # in sight, though the page is scrolled down
    assert page.locator("#name").inner_text().startswith("me.jpg")  # the photo before stays
    wear(page, "2")
    assert error.is_hidden()


def test_a_dropped_photo_is_taken(opened, served):
    page = opened()
    content = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped.jpg", {type: "image/jpeg"}));
            return data;
        }""",
        list(served.photo.read_bytes()),
    )
    page.dispatch_event("body", "drop", {"dataTransfer": content})
    page.wait_for_selector("#after[src]", timeout=LONG)
    assert page.locator("#name").inner_text().startswith("dropped.jpg")


def test_where_nothing_is_chosen_the_page_says_so_in_place_of_a_command_that_would_fail(with_photo):
    page = with_photo()
    settle(page)
    assert page.locator("#command").inner_text() == "Choose a look or a colour first."
    wear(page, "1")
    assert shlex.split(page.locator("#command").inner_text())[0] == "beautygan"


def test_a_hostile_name_is_shown_and_not_obeyed(opened, served):
    page = opened()
    name = "\"'><img src=x onerror=document.title=1>.jpg"
    file = {"name": name, "mimeType": "image/jpeg", "buffer": served.photo.read_bytes()}
    page.locator("#empty input").set_input_files(file)
    page.wait_for_selector("#after[src]", timeout=LONG)
    wear(page, "1")
    assert page.locator("#name").inner_text().startswith(name)
    assert shlex.split(page.locator("#command").inner_text())[1] == name
    assert page.title() == "Try a look"


def test_a_phone_shows_everything_within_its_width(with_photo):
    page = with_photo(viewport={"width": 390, "height": 844}, has_touch=True)
    wear(page, "1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for control in (
        "#hold",
        "#split",
        "#zoom",
        "#save",
        "#lips",
        "#lips-colour",
        "#liner",
        "#blush-colour",
        "#finish",
        "#copy",
        "#save-look",
    ):
        box = page.locator(control).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 390, control
    assert page.locator("#save").bounding_box()["y"] == page.locator("#hold").bounding_box()["y"]  # one row of buttons


def test_light_and_dark_follow_the_system(opened):
    def brightness(scheme):
        colour = opened(color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(","))

    assert brightness("dark") < 150 < 600 < brightness("light")


FOCUSED = """() => {
    const one = document.activeElement;
    const outlined = [one, one.parentElement].some(item => getComputedStyle(item).outlineStyle === "solid");
    const input = one.matches("input[type=file]") ? "photo" : one.name || one.id;
    return {name: input, outlined, labelled: !!(one.labels?.length || one.ariaLabel || one.textContent.trim())};
}"""


def test_the_keyboard_reaches_every_control_and_shows_where_it_is(with_photo):
    page = with_photo()
    wear(page, "1")
    page.evaluate("document.activeElement.blur()")
    reached = {}
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        reached[focused["name"]] = focused
    controls = {"photo", "hold", "split", "zoom", "save", "look", "reset", "lips", "eyes", "skin", "own-lips"}
    controls |= {"lips-colour", "lips-finish", "own-eyes", "eyes-colour", "eyes-finish", "liner", "copy", "save-look"}
    controls |= {f"{kind}-{part}" for kind in ("brows", "blush") for part in ("colour", "finish")}
    controls |= {"own-brows", "own-blush", "finish"}
    assert controls <= set(reached)
    assert [name for name in controls if not (reached[name]["outlined"] and reached[name]["labelled"])] == []
    page.locator("input[name=look]:checked").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("input[name=look]:checked").get_attribute("value") == "2"


def test_picking_a_colour_draws_it_without_a_look(with_photo, tmp_path):
    page = with_photo()
    assert page.locator("#save").is_disabled() and page.locator("#lips").is_disabled()
    page.locator("#lips-colour").fill("#2a4fa8")
    settle(page)
    assert page.locator("#own-lips").is_checked() and page.locator("#lips").is_enabled()
    assert "--lips '#2a4fa8'" in page.locator("#command").inner_text()
    changed = np.abs(shown(page) - shown(page, "#before")).max(axis=2) > 40
    blue, red = shown(page)[changed][:, 2].mean(), shown(page)[changed][:, 0].mean()
    assert changed.sum() > 50 and blue > red
    with Image.open(io.BytesIO(saved(page, "#save", tmp_path).read_bytes())) as result:
        assert result.format == "JPEG"


@pytest.mark.parametrize(
    ("picker", "slider", "words"),
    [("brows", "brows", "#2a4fa8 bold"), ("blush", "skin", "#b81224 draped"), ("finish", "skin", "bronzed")],
)
def test_brows_blush_and_skin_are_drawn_as_they_are_chosen(with_photo, picker, slider, words):
    page = with_photo()
    assert page.locator(f"#{slider}").is_disabled()
    colour, _, shape = words.rpartition(" ")
    if colour:
        page.locator(f"#{picker}-colour").fill(colour)
        page.locator(f"#{picker}-finish").select_option(shape)
    else:
        page.locator(f"#{picker}").select_option(shape)
    until(page, lambda: np.abs(shown(page) - shown(page, "#before")).max() > 10)
    settle(page)
    assert page.locator(f"#{slider}").is_enabled()
    option = "--skin" if picker == "finish" else f"--{picker}"
    command = shlex.split(page.locator("#command").inner_text())
    assert command[command.index(option) + 1] == words
