"""Files behind URLs (`s3://`, `gs://`, `hdfs://`, or any that fsspec knows), as paths like any other.

pyarrow's file systems do the work and are imported when the first URL is used. A file appears under its name whole or
not at all: object stores work so by themselves, elsewhere a temporary file is renamed.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

_URL = re.compile(r"([a-z][a-z0-9+.-]+)://")
_COLLAPSED = re.compile(r"^([a-z][a-z0-9+.-]+):/+")  # what pathlib makes of a URL's beginning
# An object of these appears when its upload ends, and moving one would copy it.
_WHOLE_OBJECTS = frozenset({"s3", "gcs", "abfs"})


def is_url(name: object) -> bool:
    """Whether a name is a URL and no local path."""
    return _URL.match(str(name)) is not None


def as_path(name: str | Path) -> Path:
    """The path that a name stands for: of a file system elsewhere where it is a URL."""
    if isinstance(name, Path):
        return name
    return RemotePath(name) if is_url(name) else Path(name)


class RemotePath(type(Path())):  # type: ignore[misc]
    """The path of a file or folder behind a URL, without query.

    What `Path` can't do without a local disk is done through pyarrow: `stat`, `open` for reading, `publish`. Raises
    OSError as `Path` does. A path that a listing gave keeps what the listing said of it.
    """

    _listed: os.stat_result | None = None
    _held: bytes | None = None

    def __str__(self) -> str:
        text = super().__str__()
        begin = _COLLAPSED.match(text)
        if begin is None:
            return str(text)
        return f"{begin[1]}://{'/' if begin[1] == 'file' else ''}{text[begin.end() :]}"

    def __fspath__(self) -> str:
        return str(self)

    def absolute(self) -> RemotePath:
        """Itself: a URL depends on no current folder."""
        return self

    def resolve(self, strict: bool = False) -> RemotePath:
        """Itself: no links are known."""
        return self

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Size, time of change and kind; the inode is made of the URL."""
        return self._listed or _status(self, _info(self))

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """Whether there is anything."""
        try:
            self.stat()
        except FileNotFoundError:
            return False
        return True

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a file."""
        return self.exists() and stat.S_ISREG(self.stat().st_mode)

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a folder, as it was when first asked."""
        return _is_folder(str(self))

    def is_symlink(self) -> bool:
        """False: no links are known."""
        return False

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: `publish` makes the folders that it needs."""

    def open(self, mode: str = "rb", *_: Any, **__: Any) -> IO[bytes]:
        """The whole file in memory, for reading."""
        if mode != "rb":
            raise OSError(errno.EROFS, "a remote file is written whole, with publish")
        if self._held is not None:
            return io.BytesIO(self._held)
        files, place = _place(self)
        try:
            with files.open_input_file(place) as file:
                return io.BytesIO(file.read())
        except FileNotFoundError as error:  # fsspec's lacks the number
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from error

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Read the file once for all that is opened meanwhile."""
        self._held = self.open().read()
        try:
            yield
        finally:
            self._held = None

    def publish(self, content: bytes, overwrite: bool) -> None:
        """Put content in its place, whole or not at all. FileExistsError where a file is there and must stay.

        Between the look and the writing another program may put a file there, which is then replaced.
        """
        files, place = _place(self)
        if not overwrite and self.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
        if files.type_name in _WHOLE_OBJECTS:
            with files.open_output_stream(place) as stream:
                stream.write(content)
            return
        folder = place.rpartition("/")[0]
        temporary = f"{folder}/.beautygan-{secrets.token_hex(8)}.part"
        files.create_dir(folder, recursive=True)
        try:
            with files.open_output_stream(temporary) as stream:
                stream.write(content)
            files.move(temporary, place)
        except BaseException:
            with contextlib.suppress(OSError):
                files.delete_file(temporary)
            raise


def listing(folder: RemotePath) -> list[RemotePath]:
    """All files in and below a folder, sorted by name; one listing, whatever their number."""
    from pyarrow.fs import FileSelector

    files, place = _place(folder)
    found = []
    for info in files.get_file_info(FileSelector(place, recursive=True)):
        if info.is_file:
            path: RemotePath = folder / info.path[len(place) :].lstrip("/")
            path._listed = _status(path, info)
            found.append(path)
    return sorted(found)


def state_file(folder: RemotePath) -> Path:
    """Where on this machine the manifest of a remote folder is kept: SQLite needs a disk of its own."""
    state = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    return state / "beautygan" / f"{hashlib.sha256(str(folder).encode()).hexdigest()[:32]}.sqlite"


def _info(path: RemotePath) -> Any:
    files, place = _place(path)
    return files.get_file_info(place)


def _status(path: RemotePath, info: Any) -> os.stat_result:
    from pyarrow.fs import FileType

    if info.type == FileType.NotFound:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    kind = stat.S_IFDIR if info.type == FileType.Directory else stat.S_IFREG
    inode = int.from_bytes(hashlib.sha256(str(path).encode()).digest()[:7], "big")
    changed = info.mtime_ns or 0
    seconds = changed // 1_000_000_000
    return os.stat_result(
        (kind | 0o644, inode, 0, 1, 0, 0, info.size or 0, seconds, seconds, seconds), {"st_mtime_ns": changed}
    )


@lru_cache(maxsize=1024)
def _is_folder(url: str) -> bool:
    try:
        return stat.S_ISDIR(RemotePath(url).stat().st_mode)
    except OSError:
        return False


def _place(path: RemotePath) -> tuple[Any, str]:
    """The file system that holds a path, and the path's name there."""
    scheme, _, rest = str(path).partition("://")
    host, _, inside = rest.partition("/")
    files, root = _file_system(f"{scheme}://{host}")
    return files, f"{root.rstrip('/')}/{inside}".rstrip("/") or "/"


@lru_cache(maxsize=64)
def _file_system(root: str) -> tuple[Any, str]:
    """A file system by the beginning of its URLs, and what paths on it begin with."""
    try:
        import pyarrow
        from pyarrow import fs
    except ImportError as error:
        raise OSError(errno.ENOTSUP, "URLs are read through pyarrow, install it with `pip install '.[ray]'`") from error
    try:
        found: tuple[Any, str] = fs.FileSystem.from_uri(root + "/")
        return found
    except pyarrow.ArrowInvalid as unknown:  # not one of pyarrow's own
        try:
            from fsspec.core import url_to_fs

            files, place = url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise OSError(errno.ENOTSUP, f"{error}") from unknown
        return fs.PyFileSystem(fs.FSSpecHandler(files)), place
