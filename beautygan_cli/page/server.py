"""The page over HTTP: on this machine alone, for whoever knows its address, in memory.

Every request must name this server by its own name (against DNS rebinding), carry the token in its path, and come from
the page itself where a browser says where it comes from. Nothing that is sent or shown is written to a disk.
"""

from __future__ import annotations

import base64
import errno
import functools
import hashlib
import importlib.resources
import importlib.util
import logging
import re
import secrets
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from beautygan_cli.errors import BeautyGANError, LookError, PageError
from beautygan_cli.makeup.look import REGIONS
from beautygan_cli.makeup.words import describe
from beautygan_cli.page.state import GoneError, Kept, State, Wish

if TYPE_CHECKING:
    from flask import Flask, Response

INSTALL_PAGE = "pip install '.[page]'"
LOOPBACK = "127.0.0.1"
NAMES = (LOOPBACK, "localhost")  # what a browser on this machine may call the server
MOST_BYTES = 256 << 20  # of a photo's file: 16 bits a channel of 40 million pixels
MOST_WORD_CHARACTERS = 200
THREADS = 4  # of requests that wait beside the one that is worked on
KINDS = ("lips", "eyes", "liner", "brows", "finish", "blush")  # of makeup in words
NOT_FOR_YOU = "this is not for you; use the address that beautygan printed."
IN_MEMORY = 1 << 62  # bytes from which the server would put a body into a temporary file: never


@dataclass(frozen=True)
class Address:
    """Where the page is: the port that is listened on, and the token that every request's path begins with."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """For the user's browser."""
        return f"http://{LOOPBACK}:{self.port}/{self.token}/"

    @property
    def hosts(self) -> set[str]:
        """What a request's Host may say."""
        return {f"{name}:{self.port}" for name in NAMES}

    @property
    def origins(self) -> set[str]:
        """What a request's Origin may say."""
        return {f"http://{host}" for host in self.hosts}

    def lets_in(self, path: str, method: str, host: str | None, origin: str | None) -> bool:
        """Whether a request is the page's own, by its path and by what its headers say."""
        given = path.split("/")[1] if path.startswith("/") else ""
        known = secrets.compare_digest(given.encode("utf-8", "surrogateescape"), self.token.encode())
        own = origin in self.origins if origin is not None else method in ("GET", "HEAD")
        return known and own and host in self.hosts


def check_installed() -> None:
    """Raise PageError where the packages that serve the page are missing."""
    if any(importlib.util.find_spec(name) is None for name in ("flask", "waitress")):
        raise PageError(f"--serve needs two more packages; install them with: {INSTALL_PAGE}")


def listening(port: int) -> socket.socket:
    """A socket of the loopback interface that holds the port, 0 for any that is free. PageError where it is taken."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # where it would let two programs share the port
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((LOOPBACK, port))
        holder.listen()
    except OSError as error:
        holder.close()
        reason = "another program has it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise PageError(
            f"port {port} can't be used: {reason}; give another, or --serve alone for a free one."
        ) from error
    return holder


def serve(state: State, holder: socket.socket, stop: threading.Event, announce: Callable[[str], None]) -> None:
    """Serve the page on a socket of `listening` until `stop` is set; threads may still be at work then.

    announce: is called with the page's address as soon as it answers.
    """
    from waitress import create_server

    address = Address(holder.getsockname()[1], secrets.token_urlsafe(24))
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a request waits for another is as it should be
    server = create_server(
        application(state, address),
        sockets=[holder],
        threads=THREADS,
        ident=None,
        max_request_body_size=MOST_BYTES,
        inbuf_overflow=IN_MEMORY,
        outbuf_overflow=IN_MEMORY,
    )
    server.channel_class = _channel_for(address)
    threading.Thread(target=server.run, name="page", daemon=True).start()
    threading.Thread(target=state.warm_up, args=(stop,), name="warm-up").start()  # Python's end waits for it
    announce(address.url)
    while not stop.wait(0.5):  # on Windows a wait without an end hears no Ctrl-C
        pass


def _channel_for(address: Address) -> Any:
    """The server's class for a connection, of which a stranger's request sends no body: it would be kept in memory."""
    from waitress.channel import HTTPChannel
    from waitress.parser import HTTPRequestParser, ParsingError
    from waitress.utilities import Error

    class ForbiddenError(Error):  # type: ignore[misc]
        """What a stranger is answered."""

        code = 403
        reason = "Forbidden"

    class Parser(HTTPRequestParser):  # type: ignore[misc]
        """Refuses a request by its head."""

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            host, origin = self.headers.get("HOST"), self.headers.get("ORIGIN")
            self.strange = not address.lets_in(self.path, self.command, host, origin)
            if self.strange and self.body_rcv is not None:
                raise ParsingError(NOT_FOR_YOU)

        def received(self, data: bytes) -> int:
            taken: int = super().received(data)
            if getattr(self, "strange", False) and vars(self).get("error"):
                self.error = ForbiddenError(NOT_FOR_YOU)
            return taken

    class Channel(HTTPChannel):  # type: ignore[misc]
        """Reads requests so."""

        parser_class = Parser

    return Channel


def application(state: State, address: Address) -> Flask:
    """The page as a WSGI application."""
    from flask import Flask, request

    app = Flask(__name__, static_folder=None)
    page = importlib.resources.files("beautygan_cli.page").joinpath("page.html").read_text(encoding="utf-8")
    policy = content_security_policy(page)

    @app.before_request
    def _refuse_strangers() -> Response | None:
        if address.lets_in(request.path, request.method, request.headers.get("Host"), request.headers.get("Origin")):
            return None
        return _said(NOT_FOR_YOU, 403)

    @app.after_request
    def _keep_to_ourselves(response: Response) -> Response:
        response.headers.update(
            {
                "Content-Security-Policy": policy,
                "Cache-Control": "no-store",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "same-origin",
                "Referrer-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
            }
        )
        return response

    @app.errorhandler(Exception)
    def _tell(error: Exception) -> Response:
        return _failure(error)

    def route(rule: str, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """A route below the token, which is checked before."""

        def registered(view: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(view)
            def without_token(token: str, **values: Any) -> Any:
                return view(**values)

            app.add_url_rule(f"/<token>/{rule}", view.__name__, without_token, **options)
            return view

        return registered

    @route("")
    def show_page() -> Response:
        return _content(page.encode(), "text/html; charset=utf-8")

    @route("looks")
    def list_looks() -> dict[str, Any]:
        return about(state)

    @route("photos", methods=["POST"])
    def add_photo() -> dict[str, Any]:
        return told(state.add(request.get_data(), request.args.get("name", "photo")))

    pictures = {"thumbnail": state.thumbnail, "preview": state.preview, "full": state.full_size}

    @route("photos/<key>/<any(thumbnail, preview, full):size>")
    def show_photo(key: str, size: str) -> Response:
        return _content(pictures[size](state.photo(key), wish_of(request.args, state)), "image/jpeg")

    @route("photos/<key>/result")
    def save_photo(key: str) -> Response:
        kept, wish = state.photo(key), wish_of(request.args, state)
        return _file(state.result(kept, wish), state.result_name(kept, wish))

    @route("photos/<key>/command")
    def show_command(key: str) -> dict[str, str]:
        return {"command": state.command(state.photo(key), wish_of(request.args, state))}

    @route("look")
    def save_look() -> Response:
        name, text = state.look_file(wish_of(request.args, state))
        return _file(text.encode(), name)

    return app


def about(state: State) -> dict[str, Any]:
    """What the page needs to know before there is a photo: looks, limits, what could not be read."""
    choices = []
    for choice in state.choices:
        worn = [region for region in REGIONS if choice.look.part(region)]
        if "brows" not in worn and choice.look.eyes and choice.look.references:
            worn.append("brows")
        usual = {region: choice.usual(region) for region in worn}
        of_photos = bool(choice.look.references)
        choices.append({"title": choice.title, "about": choice.about, "usual": usual, "ofPhotos": of_photos})
    return {
        "looks": choices,
        "mostBytes": MOST_BYTES,
        "problems": state.problems,
    }


def told(kept: Kept) -> dict[str, Any]:
    """What the page needs to know of a photo: its key, size, faces and the middle of the largest one, 0 to 1."""
    height, width = kept.photo.pixels.shape[:2]
    x, y = kept.full.faces[0].crop_transform.to_photo(kept.full.faces[0].landmarks).mean(axis=0)
    return {
        "key": kept.key,
        "name": kept.name,
        "width": width,
        "height": height,
        "faces": len(kept.full.faces),
        "middle": [float(x) / width, float(y) / height],
        "notes": list(kept.notes),
    }


def wish_of(values: Mapping[str, str], state: State) -> Wish:
    """What a request asks for: `look` by its number, a strength for each region, words as `say-lips` and so on.

    LookError where a value is none that may be asked for.
    """
    choice = None
    if text := values.get("look"):
        if not text.isdecimal() or len(text) > 4 or int(text) >= len(state.choices):
            raise LookError(f"there is no look number {text[:20]!r}; reload the page.")
        choice = int(text)
    strengths = {region: _strength(region, values[region]) for region in REGIONS if region in values}
    words = {kind: values[f"say-{kind}"] for kind in KINDS if values.get(f"say-{kind}")}
    for kind, text in words.items():
        if len(text) > MOST_WORD_CHARACTERS:
            raise LookError(f"{kind} are described by more than {MOST_WORD_CHARACTERS} characters; use fewer words.")
        describe(kind, text)
    return Wish(choice, strengths, words)


def content_security_policy(page: str) -> str:
    """A policy under which a browser runs the page's own inline style and script, and loads nothing from elsewhere."""
    allowed = {}
    for element in ("style", "script"):
        texts = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        allowed[element] = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        f"default-src 'none'; style-src {allowed['style']}; script-src {allowed['script']}; img-src blob: data:;"
        " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _strength(region: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise LookError(f"the strength of {region} is {text[:20]!r}; it must be a number from 0 to 1.")
    return round(value, 4)


def _failure(error: Exception) -> Response:
    """An error as a sentence for the page."""
    from werkzeug.exceptions import HTTPException

    if isinstance(error, BeautyGANError):
        return _said(str(error), 410 if isinstance(error, GoneError) else 422)
    if isinstance(error, HTTPException):
        return _said(error.description or error.name, error.code or 500)
    if isinstance(error, MemoryError):
        return _said("this needs more memory than there is; make the photo smaller first.", 422)
    traceback.print_exception(error, file=sys.stderr)
    return _said("something went wrong in beautygan; its terminal says more.", 500)


def _said(sentence: str, status: int) -> Response:
    from flask import jsonify

    response = jsonify(error=sentence)
    response.status_code = status
    return response


def _content(content: bytes, kind: str) -> Response:
    from flask import Response

    return Response(content, content_type=kind)


def _file(content: bytes, name: str) -> Response:
    """A file for the browser to save."""
    response = _content(content, "application/octet-stream")
    response.headers["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name)}"
    return response
