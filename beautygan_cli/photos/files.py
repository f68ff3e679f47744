"""Files read and written safely: a pipe is never waited for, a result is whole or absent, inputs stay as they are."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import IO, Protocol

from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.photos import remote
from beautygan_cli.photos.leftovers import beginning, taken_away_by

MAX_FILE_BYTES = 1 << 32  # what a TIFF can address; a file of holes can claim any size and take hours to read
_TEMPORARY = re.compile(r"\.beautygan-[0-9a-f]{16}\.part")


def printable(path: PurePath | str) -> str:
    """A path for a message: one line, valid UTF-8; newlines and undecodable bytes are escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(path))


def not_a_file(path: Path) -> str:
    return f"{printable(path)} is a device, pipe or socket; name a photo or a folder of photos."


class Journal(Protocol):
    """Remembers what was written where, so that a file counts as ours by its content alone."""

    def wrote(self, path: Path) -> bool:
        """Whether the file at a path is, to the byte, one that was written there."""

    def writing(self, path: Path, sha256: str) -> None:
        """Note for good that a file of this content is about to get its name."""


def write_text(path: Path, parts: Iterable[str], *, overwrite: bool = False, journal: Journal | None = None) -> None:
    """Write text to a file, whole or not at all; `overwrite` and `journal` as `whole` has them. OutputError."""
    publish((part.encode("utf-8", "backslashreplace") for part in parts), path, overwrite=overwrite, journal=journal)


def sweep(folder: Path | str, *, below: bool = True) -> int:
    """Remove the temporary files that a killed run left in a folder and (`below`) its sub-folders; return how many.

    Those that another run is writing this moment stay, and links are not followed.
    """
    removed = 0
    for current, folders, names in os.walk(folder):
        folders[:] = sorted(folders) if below else []
        for name in filter(_TEMPORARY.fullmatch, names):
            path = Path(current, name)
            with contextlib.suppress(OSError), os.fdopen(_open_plain(path), "rb") as file:
                if claim(file):
                    path.unlink()
                    removed += 1
    return removed


@contextlib.contextmanager
def opened(path: Path) -> Iterator[io.BufferedIOBase]:
    """A regular file with something in it, open for reading; a pipe or device is refused without waiting for it.

    Raises PhotoError, for whatever the system says against it while it is opened.
    """
    name = printable(path)
    if isinstance(path, remote.RemotePath):
        yield _fetched(path)
        return
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise PhotoError(f"{name} is a folder, not a photo; name a photo file.")
        if not stat.S_ISREG(mode):
            raise PhotoError(not_a_file(path))
        descriptor = _open_plain(path)
    except (OSError, ValueError) as error:
        raise PhotoError(f"{name} can't be read: {reason_of(error)}.") from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise PhotoError(f"{name} is no longer a file; name a photo file.")
        if status.st_size == 0:
            raise PhotoError(f"{name} is empty; get a fresh copy of it.")
        if status.st_size > MAX_FILE_BYTES:
            raise PhotoError(f"{name} is larger than {MAX_FILE_BYTES >> 30} GB; make it smaller first.")
        yield file


def _fetched(path: remote.RemotePath) -> io.BufferedIOBase:
    """A remote file with something in it, in memory."""
    try:
        file = io.BytesIO(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PhotoError(f"{printable(path)} can't be read: {reason_of(error)}.") from error
    if not file.read(1):
        raise PhotoError(f"{printable(path)} is empty; get a fresh copy of it.")
    file.seek(0)
    return file


def _open_plain(path: Path, flags: int = 0) -> int:
    """A descriptor for reading that never waits, not even when the path became a pipe since it was looked at."""
    return os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | flags)


def present(path: Path) -> bool:
    """Whether anything is there, a link to nothing included."""
    return path.exists() or path.is_symlink()


def sha256_of(path: Path) -> str:
    """The digest of a file's content, in hexadecimal. OSError for a link, and for whatever is no file."""
    if isinstance(path, remote.RemotePath):
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), str(path))
    with os.fdopen(_open_plain(path, getattr(os, "O_NOFOLLOW", 0)), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_foreign(path: Path, *, overwrite: bool, journal: Journal | None = None) -> None:
    """OutputError where a file is in the way that may not be replaced: one that the journal does not know as ours.

    What is no file stays even where `overwrite` is set: a device's name belongs to the whole machine.
    """
    with contextlib.suppress(OSError, ValueError):
        if is_special(path):
            raise OutputError(f"{printable(path)} is a device, pipe or socket; choose another place.")
        if not overwrite and present(path) and not (journal is not None and journal.wrote(path)):
            raise OutputError(_exists(path))


def is_special(path: Path) -> bool:
    """Whether a device, pipe or socket is at a path, or at the end of the link there."""
    if isinstance(path, remote.RemotePath) or not path.exists():
        return False
    mode = path.stat().st_mode
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def refuse_to_replace(path: Path, source: Path, overwrite: bool, journal: Journal | None = None) -> None:
    """Say before the encoding what `publish` would say after it."""
    refuse_foreign(path, overwrite=overwrite, journal=journal)
    with contextlib.suppress(OSError, ValueError):
        if source.is_file() and path.samefile(source):
            raise OutputError(f"{printable(path)} is the photo itself and stays as it is; choose another --out.")


def _exists(path: Path) -> str:
    return f"{printable(path)} exists already; remove it, allow --overwrite or choose another place."


def publish(content: Iterable[bytes], path: Path, *, overwrite: bool, journal: Journal | None = None) -> None:
    """Put content at a path, whole or not at all: a temporary file beside it first, then its name. OutputError."""
    try:
        with whole(path, overwrite, journal) as file:
            file.writelines(content)
    except OSError as error:
        raise OutputError(f"{printable(path)} can't be written: {reason_of(error)}.") from error


@contextlib.contextmanager
def whole(path: Path, overwrite: bool, journal: Journal | None = None) -> Iterator[IO[bytes]]:
    """A file to write to that gets its name when it is done, and is gone when anything goes wrong. OutputError.

    Without `overwrite` a file that is there stays, unless the `journal` knows it as ours. Another process may write to
    the new one, too, by its name. It is locked meanwhile, so that another run's `sweep` leaves it. What goes wrong
    while it is written is raised as it is.
    """
    if isinstance(path, remote.RemotePath):
        with tempfile.NamedTemporaryFile(prefix="beautygan-") as local:
            yield local
            local.flush()
            content = Path(local.name).read_bytes()
        if journal is not None:
            journal.writing(path, hashlib.sha256(content).hexdigest())
        try:
            path.publish(content, overwrite or (journal is not None and path.exists() and journal.wrote(path)))
        except FileExistsError as error:
            raise OutputError(_exists(path)) from error
        except OSError as error:
            raise OutputError(f"{printable(path)} can't be written: {reason_of(error)}.") from error
        return
    refuse_foreign(path, overwrite=True)
    temporary = path.parent / f".beautygan-{secrets.token_hex(8)}.part"
    of_the_writer: BaseException | None = None
    try:
        _make_folder(path.parent)
        folder = _held(path.parent)
        try:
            with taken_away_by(temporary.unlink):
                with temporary.open("xb") as file:  # mode 0o666 less the umask, and never through a link
                    claim(file)
                    try:
                        yield file
                    except BaseException as error:
                        of_the_writer = error
                        raise
                    file.flush()
                    os.fsync(file.fileno())  # a full disk or quota may show only now
                if journal is not None:
                    journal.writing(path, sha256_of(temporary))
                seen = _seen(path)  # before it is read, so that what is judged is what is replaced
                if overwrite:
                    temporary.replace(path)
                elif journal is not None and seen is not None and journal.wrote(path):
                    _replace_own(temporary, path, seen)
                else:
                    _name_unless_taken(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                if folder is None:
                    temporary.unlink()
                else:
                    os.unlink(temporary.name, dir_fd=folder)
            if folder is not None:
                os.close(folder)
    except (OSError, ValueError) as error:
        if error is of_the_writer:
            raise
        message = f"{printable(path)} can't be written: {reason_of(error)}."
        raise OutputError(_exists(path) if isinstance(error, FileExistsError) else message) from error


def _held(folder: Path) -> int | None:
    """A folder's descriptor, by which it is the same one when it is moved; None on systems without."""
    if os.unlink not in os.supports_dir_fd:
        return None
    with contextlib.suppress(OSError):  # one that may be written to and not be read, without O_PATH
        return os.open(folder, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
    return None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from error


def _name_unless_taken(temporary: Path, path: Path) -> None:
    """Give a finished file its name, or raise FileExistsError; no moment in between in which it could replace one."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        path.open("xb").close()
        try:
            temporary.replace(path)
        except BaseException:
            path.unlink()
            raise


def _seen(path: Path) -> tuple[int, int, int, int] | None:
    """What tells a file from any other that takes its place or is written into it; None where there is none."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _replace_own(temporary: Path, path: Path, seen: tuple[int, int, int, int]) -> None:
    """Let a finished file take the place of one of ours; FileExistsError where another came there meanwhile.

    temporary: the finished file; path: its name to be; seen: what `_seen` said of the file there before it was found
    to be ours.

    Where the system can exchange two names, what was there has the temporary name afterwards and goes back if it is
    not the one that was seen: nothing of a user's is lost, whenever it came. Elsewhere a moment remains between the
    last look and the renaming.
    """
    with beginning:  # or the end of the process may take the temporary name away while a user's file has it
        if not _exchanged(temporary, path):
            if (now := _seen(path)) is None:
                _name_unless_taken(temporary, path)
            elif now == seen:
                temporary.replace(path)
            else:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        elif _seen(temporary) != seen:
            if not _exchanged(temporary, path):  # taken away meanwhile: what came out keeps a name that nobody sweeps
                temporary.rename(path.with_name(f"{path.stem}-{secrets.token_hex(4)}{path.suffix}"))
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


_HERE, _EXCHANGE = -100, 2  # Linux' AT_FDCWD and RENAME_EXCHANGE


def _exchanged(one: Path, other: Path) -> bool:
    """Let two files have each other's name, at one moment; False where system or disk can't, or one is gone."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):  # a C library without it
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


_NO_HARD_LINKS = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK, errno.EINVAL}


def claim(file: IO[bytes]) -> bool:
    """Lock a file for as long as it is open; False when another run holds it. Without fcntl the system itself does."""
    try:
        import fcntl
    except ImportError:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system that knows no locks
        return True
    return True


_REASONS = {
    errno.ENOENT: "there is no such file or folder, check the name",
    errno.ENOTDIR: "a part of its path is a file, not a folder, check the name",
    errno.EISDIR: "it is a folder, choose another name",
    errno.EACCES: "access is denied, change its permissions or choose another folder",
    errno.EPERM: "access is denied, change its permissions or choose another folder",
    errno.EROFS: "the disk is read-only, choose another folder",
    errno.ENOSPC: "the disk is full, free some space or choose another folder",
    errno.EDQUOT: "the disk quota is used up, free some space or choose another folder",
    errno.EFBIG: "it is larger than files may be here, choose another folder",
    errno.ENAMETOOLONG: "its name is too long, use shorter names",
    errno.ELOOP: "its links lead in a circle, name the file itself",
    errno.EMFILE: "too many files are open, raise the limit with `ulimit -n`",
}


def reason_of(error: OSError | ValueError) -> str:
    """Why the system refused, with the remedy, as the end of a sentence."""
    if not isinstance(error, OSError):
        return "its name holds a character that no file name may hold, check the name"
    return _REASONS.get(error.errno or 0, f"{error.strerror or error} (a fault of the disk or system, try again)")
