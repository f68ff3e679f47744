"""The page as the command serves it: the real model, its real server, a real photo."""

import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from beautygan_cli.batch import thread_counts
from beautygan_cli.batch.options import RunConfig
from beautygan_cli.makeup.composite import Strengths
from beautygan_cli.makeup.look import Look
from beautygan_cli.makeup.precision import open_session
from beautygan_cli.page import server
from beautygan_cli.page.state import State
from beautygan_cli.photos.find import Found


@dataclass
class Served:
    """A page that is served: its address, what it works on, and the folder that its user's files lie in."""

    url: str
    state: State
    folder: Path

    @property
    def photo(self) -> Path:
        return self.folder / "me.jpg"


@pytest.fixture(scope="session")
def served(model, tmp_path_factory):
    """The page with one reference beside the looks that come along, served as `beautygan --serve` does it."""
    from conftest import bare_photos, worn_photos

    folder = tmp_path_factory.mktemp("user")
    shutil.copyfile(bare_photos()[0], folder / "me.jpg")
    shutil.copyfile(worn_photos()[0], folder / "look.jpg")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with open_session(model, threads=thread_counts.use().network) as session:
            given = [(Found(Path("look.jpg"), Path()), Look.of("look.jpg", Strengths()))]
            state = State(session, given, RunConfig(Path()), ["--model", str(model)])
            stop, started = threading.Event(), threading.Event()
            said = []

            def announce(url):
                said.append(url)
                started.set()

            arguments = (state, server.listening(0), stop, announce)
            thread = threading.Thread(target=server.serve, args=arguments)
            thread.start()
            assert started.wait(60)
            yield Served(said[0], state, folder)
            stop.set()
            thread.join()


@pytest.fixture
def opened(chromium, served):
    """`opened()` shows the page; its complaints, and requests to anywhere else, fail the test."""
    contexts, complaints = [], []

    def own(request):
        return request.url.startswith((served.url, "blob:", "data:"))

    def show(**settings):
        contexts.append(chromium.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: None if own(request) else complaints.append(request.url))
        page.goto(served.url)
        page.wait_for_selector("input[name=look][value='0']", state="attached")
        return page

    yield show
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def with_photo(opened, served):
    """`with_photo()` shows the page with a real photo chosen, once its preview is there."""

    def show(**settings):
        page = opened(**settings)
        page.locator("#empty input").set_input_files(served.photo)
        page.wait_for_selector("#after[src]", timeout=60_000)
        return page

    return show
