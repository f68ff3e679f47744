"""The page's server: who is let in, what is kept, what is written, and how it begins and ends."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from conftest import REPOSITORY, bare_photos

from beautygan_cli.batch.options import RunConfig
from beautygan_cli.errors import LookError, PhotoError
from beautygan_cli.page import server, state
from beautygan_cli.page.command import command_line
from beautygan_cli.page.state import GoneError, State, Wish


def request(served, path, method="GET", body=None, **headers):
    """The answer to a request below the page's address, or of a path of its own where that begins with a slash."""
    url = urlsplit(served.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path if path.startswith("/") else url.path + path, body, given)
    answer = connection.getresponse()
    answer.content = answer.read()
    connection.close()
    return answer


def origin(served):
    return served.url[: served.url.index("/", 8)]


def uploaded(served, name="me.jpg"):
    answer = request(served, f"photos?name={name}", "POST", served.photo.read_bytes(), Origin=origin(served))
    assert answer.status == 200, answer.content
    return json.loads(answer.content)


def test_the_page_says_where_it_may_load_from(served):
    answer = request(served, "")
    assert answer.status == 200 and b"<title>Try a look</title>" in answer.content
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["Cache-Control"] == "no-store" and "Server" not in answer.headers
    assert not re.findall(rb"(?:src|href)=[\"'](?!data:,)", answer.content)  # one file, nothing beside it


@pytest.mark.promise("Privacy")
@pytest.mark.parametrize("path", ["", "looks", "photos/x/preview", "nothing"])
def test_without_the_token_nothing_is_shown(served, path):
    token = urlsplit(served.url).path.strip("/")
    for wrong in ("/", f"/{path}", f"/wrong/{path}", f"/{token[:-1]}/{path}", f"/{token}x/{path}"):
        assert request(served, wrong).status == 403, wrong


@pytest.mark.promise("Privacy")
def test_another_name_of_this_machine_is_refused(served):
    port = urlsplit(served.url).port
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "127.0.0.1", "[::1]:80"):
        assert request(served, "looks", Host=host).status == 403, host
    assert request(served, "looks", Host=f"localhost:{port}").status == 200


@pytest.mark.promise("Privacy")
def test_other_origins_are_refused(served):
    photo = served.photo.read_bytes()
    for foreign in ("http://evil.example", "null", f"{origin(served)}1", origin(served).replace("http", "https")):
        assert request(served, "photos", "POST", photo, Origin=foreign).status == 403, foreign
        assert request(served, "looks", Origin=foreign).status == 403, foreign
    assert request(served, "photos", "POST", photo).status == 403  # every browser says it with a POST
    assert request(served, "photos", "OPTIONS", Origin="http://evil.example").status == 403


@pytest.mark.promise("Privacy")
def test_it_listens_on_loopback_alone():
    with server.listening(0) as holder:
        assert holder.getsockname()[0] == "127.0.0.1"


def test_wishes_that_mean_nothing_are_refused_in_a_sentence(served):
    key = uploaded(served)["key"]
    for query, sentence in (
        ("look=99", "there is no look number '99'; reload the page."),
        ("look=x", "there is no look number 'x'; reload the page."),
        ("lips=2", "the strength of lips is '2'; it must be a number from 0 to 1."),
        ("eyes=nan", "the strength of eyes is 'nan'; it must be a number from 0 to 1."),
        ("say-lips=glos", "'glos' is no word for lips; did you mean gloss?"),
    ):
        answer = request(served, f"photos/{key}/preview?{query}")
        assert answer.status == 422
        assert json.loads(answer.content)["error"].startswith(sentence)
    assert request(served, "look").status == 422  # nothing is worn
    assert request(served, "photos/nothing/preview").status == 410


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(served):
    url = urlsplit(served.url)
    head = f"POST {url.path}photos HTTP/1.1\r\nHost: {url.netloc}\r\nOrigin: {origin(served)}\r\n"
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall(f"{head}Content-Length: {server.MOST_BYTES + 1}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.promise("Privacy")
@pytest.mark.parametrize("wrong", ["token", "Host", "Origin", "no Origin", "chunked"])
def test_a_strangers_body_is_refused_before_it_is_sent(served, wrong):
    """The server would keep it in memory until it is whole, from a hundred connections at once."""
    url = urlsplit(served.url)
    path = "/stranger/" if wrong in ("token", "chunked") else url.path
    host = "rebound.example" if wrong == "Host" else url.netloc
    lines = [f"POST {path}photos HTTP/1.1", f"Host: {host}"]
    if wrong != "no Origin":
        lines.append("Origin: " + ("http://elsewhere.example" if wrong == "Origin" else origin(served)))
    lines.append("Transfer-Encoding: chunked" if wrong == "chunked" else f"Content-Length: {server.MOST_BYTES}")
    with socket.create_connection((url.hostname, url.port), timeout=60) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer.startswith(b"HTTP/1.1 403") and b"this is not for you" in answer


WATCHED = {"on": False, "written": []}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def _watch(event, arguments):
    if WATCHED["on"] and event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING:
        WATCHED["written"].append(arguments[0])


@pytest.mark.promise("Privacy")
def test_nothing_is_written_to_a_disk(served, tmp_path):
    """Neither the photo that is sent, of more bytes than servers keep in memory by themselves, nor what comes back."""
    import imageio.v3 as iio

    large = tmp_path / "large.bmp"
    iio.imwrite(large, iio.imread(served.photo))
    content = large.read_bytes()
    assert len(content) > 2 << 20
    sys.addaudithook(_watch)
    WATCHED["on"] = True
    try:
        (tmp_path / "trial").write_bytes(b"")
        assert WATCHED["written"] == [str(tmp_path / "trial")] or WATCHED["written"] == [tmp_path / "trial"]
        WATCHED["written"].clear()
        answer = request(served, "photos?name=large.bmp", "POST", content, Origin=origin(served))
        key = json.loads(answer.content)["key"]
        for what in ("thumbnail", "preview", "full", "result"):
            answer = request(served, f"photos/{key}/{what}?look=0")
            assert answer.status == 200
        assert len(answer.content) > 2 << 20
        assert request(served, "look?look=0").status == 200
    finally:
        WATCHED["on"] = False
    assert WATCHED["written"] == []


def test_a_name_is_a_name_and_no_path(served):
    assert uploaded(served, "..%2F..%2Fetc%2Fme.jpg")["name"] == "me.jpg"
    assert uploaded(served, "C:%5Cphotos%5Cme.jpg")["name"] == "me.jpg"
    assert uploaded(served, "a%0Ab.jpg")["name"] == r"a\nb.jpg".replace("\\", "\\")
    key = uploaded(served, "%C3%A4%22%3B%20x.jpg")["key"]
    assert (
        request(served, f"photos/{key}/result?look=0").headers["Content-Disposition"]
        == "attachment; filename*=UTF-8''%C3%A4%22%3B%20x__look.jpg"
    )


def test_few_photos_are_kept_and_no_more_pixels_than_allowed(session, photos):
    content = photos("bare", 0).read_bytes()
    few = State(session)
    kept = [few.add(content, f"{number}.jpg") for number in range(state.MOST_PHOTOS + 1)]
    with pytest.raises(GoneError, match="choose it again"):
        few.photo(kept[0].key)
    assert few.photo(kept[1].key) is kept[1]
    height, width = kept[0].photo.pixels.shape[:2]
    narrow = State(session, config=RunConfig(Path(), max_pixels=int(2.5 * height * width)))
    kept = [narrow.add(content, f"{number}.jpg") for number in range(3)]
    with pytest.raises(GoneError):
        narrow.photo(kept[0].key)
    assert narrow.photo(kept[2].key) is kept[2]
    with pytest.raises(PhotoError, match="--max-pixels"):
        State(session, config=RunConfig(Path(), max_pixels=1000)).add(content, "me.jpg")


def test_the_network_is_asked_once_for_each_photo_and_look(session, photos):
    from beautygan_cli.makeup.look import Look
    from beautygan_cli.photos.find import Found

    reference = photos("worn", 0)
    page = State(session, [(Found(reference, Path()), Look.of(reference))])
    kept = page.add(photos("bare", 0).read_bytes(), "me.jpg")
    page.thumbnail(kept, Wish(0))
    runs = session.runs
    pictures = {page.preview(kept, Wish(0, {"lips": share / 10})) for share in range(10)}
    page.full_size(kept, Wish(0))
    page.result(kept, Wish(0, {"eyes": 0.5}))
    assert len(pictures) == 10 and session.runs == runs
    other = page.add(photos("bare", 1).read_bytes(), "other.jpg")
    page.preview(other, Wish(0))
    assert session.runs > runs


def test_a_reference_without_a_face_is_named_and_left_out(session, no_face, photos):
    from beautygan_cli.makeup.look import Look
    from beautygan_cli.photos.find import Found

    page = State(session, [(Found(no_face, Path()), Look.of(no_face))])
    assert page.problems[0].startswith(f"no face found in {no_face}")
    assert "--look" in page.choices[0].option
    with pytest.raises(LookError, match="nothing is worn yet"):
        page.look_file(Wish())


def test_a_command_is_quoted_for_a_shell():
    words = {"lips": "#b00020 gloss", "finish": "dewy"}
    line = command_line("-it's me.jpg", ("--look", "cat-eye"), {"eyes": 0.35}, words, ["--no-mark"], "a b.jpg")
    said = f"""echo {line.removeprefix("beautygan ")}"""
    assert line.startswith("beautygan ")
    echoed = subprocess.run(["sh", "-c", said], capture_output=True, text=True, check=True).stdout.strip()
    assert echoed == (
        "./-it's me.jpg --look cat-eye --eyes 0.35 --lips #b00020 gloss --skin dewy --no-mark --out a b.jpg"
    )


# The command


COMMAND = [sys.executable, "-m", "beautygan_cli", "--serve"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY)}


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_the_middle_of_a_photo(number, status, tmp_path):
    with subprocess.Popen(
        COMMAND, cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        url = urlsplit(process.stdout.readline().strip())
        assert (url.scheme, url.hostname) == ("http", "127.0.0.1") and len(url.path) > 30
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
        photo = bare_photos()[0].read_bytes()
        connection.request("POST", f"{url.path}photos", photo, {"Origin": f"http://{url.netloc}"})
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
        connection.close()
    assert process.returncode == status
    assert out == "" and "Traceback" not in error and len(error.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named(beautygan):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        status, out, error = beautygan("--serve", port)
    assert (status, out) == (2, [])
    remedy = "another program has it; give another, or --serve alone for a free one."
    assert error == f"beautygan: port {port} can't be used: {remedy}\n"


@pytest.mark.parametrize("missing", ["flask", "waitress"])
def test_without_the_extra_it_says_what_to_install(missing, tmp_path):
    code = f"import sys; sys.modules[{missing!r}] = None; from beautygan_cli.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--serve"], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "beautygan: --serve needs two more packages; install them with: pip install '.[page]'\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["me.jpg", "--serve"], "--serve takes photos in its page; leave me.jpg out, and choose it there"),
        (["--serve", "--lips", "crimson"], "--serve takes what is drawn in its page; leave --lips out"),
        (["--serve", "--grid", "g.jpg"], "--serve shows a page and writes nothing; leave --grid out"),
        (["--serve", "--lips", "0"], "--serve shows a page and writes nothing; leave --lips out"),
        (["--serve", "--out", "x"], "--serve shows a page and writes nothing; leave --out out"),
        (["--serve", "65536"], "'65536' is no port from 0 to 65535"),
    ],
)
def test_options_that_say_nothing_beside_it_are_refused(beautygan, arguments, says):
    status, out, error = beautygan(*arguments, with_model=False)
    assert (status, out) == (2, []) and says in error
