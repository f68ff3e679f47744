"""What a folder of results holds and how each result came about, so that a run that was killed goes on where it ended.

One SQLite file in the folder. A result is announced before it is begun and recorded after, and the content of each file
is noted before it gets its name, all durably. A file in the folder is therefore ours if its content was noted; any
other is somebody's own and stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from beautygan_cli.batch.outcome import MEASURED, STAGES, Status
from beautygan_cli.errors import OutputError, PhotoError
from beautygan_cli.photos import remote
from beautygan_cli.photos.files import opened, printable, sha256_of

FILE_NAME = ".beautygan.sqlite"
SCHEMA = 2  # raised when the tables change; a file of a later schema is refused

_TABLES = """
CREATE TABLE IF NOT EXISTS content (
    path TEXT PRIMARY KEY, size INTEGER, changed INTEGER, inode INTEGER, sha256 TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (role TEXT, folder TEXT, name TEXT, path TEXT, PRIMARY KEY (role, path));
CREATE INDEX IF NOT EXISTS names_by_name ON names (role, folder, name);
CREATE TABLE IF NOT EXISTS results (
    output TEXT PRIMARY KEY, key TEXT, state TEXT, reason TEXT, files TEXT, details TEXT, run INTEGER
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, command TEXT, finished INTEGER);
CREATE TABLE IF NOT EXISTS written (path TEXT, sha256 TEXT, PRIMARY KEY (path, sha256));
"""

# A damaged file may let a query go on for ever, or claim values that are larger than memory.
_STEPS_BETWEEN_LOOKS = 20_000  # of SQLite's virtual machine; some milliseconds
_STEPS_A_BYTE = 10  # of the file: to read a row takes some fifteen, and it has more bytes than two
_STEPS_FOR_NOTHING = 2_000_000  # whatever the file's size
_STEPS_AFTER_STOP = 1_000_000  # what is finished then is noted in a few hundred
_LONGEST_VALUE = 1 << 24  # bytes; a command that names a hundred thousand photos takes some of them

_JOURNAL_MARK = bytes.fromhex("d9d505f920a163d7")

# SQLite's messages about a damaged file may hold bytes of it, which Python then fails to decode.
_DATABASE_ERRORS = (sqlite3.Error, UnicodeError)

# A file that an earlier run made stays known as its own while, and if, the next attempt fails.
_NOTE = """
INSERT INTO results (output, key, state, reason, files, details, run) VALUES (?, ?, ?, ?, '[]', ?, ?)
ON CONFLICT (output) DO UPDATE SET
    key = excluded.key, state = excluded.state, reason = excluded.reason, details = excluded.details, run = excluded.run
"""


_WRITTEN = "INSERT OR REPLACE INTO written VALUES (?, ?)"  # with a row number above all others
_DIGESTS = "SELECT sha256 FROM written WHERE path = ?"
_FORGET_EARLIER = "DELETE FROM written WHERE path = ? AND rowid < (SELECT max(rowid) FROM written WHERE path = ?)"


class State(StrEnum):
    """How far a result has come."""

    MAKING = "making"
    MADE = "made"
    FAILED = "failed"


@dataclass(frozen=True)
class Record:
    """What is known of one result.

    key: of all that the result follows from; state; files: (name, size, time of change)
    of each file that it consists of; details: whatever else is to be told of it, JSON; run: that made it.
    """

    key: str
    state: State
    reason: str = ""
    files: tuple[tuple[str, int, int], ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    run: int = 0

    def intact(self, folder: Path) -> bool:
        """Whether all its files, which lie in `folder`, are as they were written."""
        return bool(self.files) and all(_stamp(folder / name) == (size, changed) for name, size, changed in self.files)


class Content(NamedTuple):
    """A file as it was when it was read: its place, size, time of change (ns), inode and SHA-256."""

    path: str
    size: int
    changed: int
    inode: int
    sha256: str


class Entry(NamedTuple):
    """What became of one result; `files` as in `Record`."""

    output: Path
    key: str
    state: State
    reason: str = ""
    files: Sequence[tuple[str, int, int]] = ()
    details: Any = None


class _Bounded(sqlite3.Connection):
    """A connection on which no query takes more work than its file has to say, nor much of it once `stop` is set.

    A query that is ended so raises OperationalError, "interrupted"; so does one in which a signal's handler raises.
    """

    stop: threading.Event
    file: Path | None
    exhausted = False  # whether it was the bound that ended a query
    _steps = 0

    def bound(self, file: Path | None, stop: threading.Event) -> None:
        """Begin to hold to it. file: None in memory, where all is our own."""
        self.file, self.stop = file, stop
        self.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
        self.set_progress_handler(self._look, _STEPS_BETWEEN_LOOKS)

    def execute(self, *arguments: Any) -> sqlite3.Cursor:
        """As ever; each statement's work is counted anew."""
        self._steps = 0
        return super().execute(*arguments)

    def _look(self) -> bool:
        self._steps += _STEPS_BETWEEN_LOOKS
        if self.stop.is_set():
            return self._steps > _STEPS_AFTER_STOP
        if self.file is None or self._steps <= _STEPS_FOR_NOTHING:
            return False
        size = sum(stamp[0] for ending in ("", "-wal") if (stamp := _stamp(Path(f"{self.file}{ending}"))))
        self.exhausted = self._steps > _STEPS_FOR_NOTHING + _STEPS_A_BYTE * size
        return self.exhausted


class Manifest:
    """The open manifest of a folder of results. A context manager; usable from any thread.

    While it is open, another process that opens it gets an OutputError: a folder has one run at a time.
    """

    def __init__(self, folder: Path | None, command: str = "", stop: threading.Event | None = None) -> None:
        """Open it for a run. OutputError.

        folder: of the results, made if need be; None keeps everything in memory. command: the run's, see `_begin_run`.
        stop: once it is set, a query that goes on and on ends with KeyboardInterrupt.
        """
        self._folder = None if folder is None else folder.absolute()
        self._lock = threading.Lock()
        self._file = None if folder is None else folder / FILE_NAME
        if isinstance(folder, remote.RemotePath):
            self._file = remote.state_file(folder)
        try:
            if folder is not None and self._file is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._refuse_foreign_files()
            if self._file is not None:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.open("ab").close()  # SQLite's own mode is 0o644 whatever the umask allows
            self._database = sqlite3.connect(
                ":memory:" if self._file is None else self._file,
                timeout=0.2,
                check_same_thread=False,
                factory=_Bounded,
            )
        except FileExistsError as error:
            raise OutputError(f"{printable(folder or '')} is a file, not a folder; choose another --out.") from error
        except OSError as error:
            raise OutputError(
                f"{printable(folder or '')} can't be made: {error.strerror}; choose another --out."
            ) from error
        except ValueError as error:
            raise OutputError(f"{printable(folder or '')} is no name of a folder; choose another --out.") from error
        except _DATABASE_ERRORS as error:
            raise self._trouble(error) from error
        try:
            self._database.isolation_level = None
            self._database.bound(self._file, stop or threading.Event())
            self._prepare()
            self.run = self._begin_run(command)
        except BaseException as error:
            self.close()  # a file left open would keep the disk busy
            if isinstance(error, _DATABASE_ERRORS):
                raise self._trouble(error) from error
            raise

    def _refuse_foreign_files(self) -> None:
        """OutputError where SQLite would open a link, which may lead anywhere, or a pipe, which it would wait for."""
        for ending in ("", "-wal", "-journal", "-shm") if self._file else ():
            path = Path(f"{self._file}{ending}")
            if path.is_symlink() or (path.exists() and not path.is_file()):
                raise OutputError(f"{printable(path)} is a link or no file; remove it, or choose another --out.")
        if self._file and _names_another_file(Path(f"{self._file}-journal")):
            raise self._damaged()

    def _prepare(self) -> None:
        # The file may have come with a stranger's photos: nothing in it is run, and a broken page is no surprise.
        for setting in ("trusted_schema = OFF", "cell_size_check = ON"):
            self._database.execute(f"PRAGMA {setting}")
        # An exclusive lock keeps a second run out and is the system's to free, even after kill -9; with it, WAL needs
        # no shared memory, so it works on network drives too. FULL: what is committed survives a loss of power.
        # Somebody else's database of this name stays as it is: WAL is a mark in the file.
        self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
        self._refuse_foreign_schema()
        for setting in ("journal_mode = WAL", "synchronous = FULL"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.execute("BEGIN EXCLUSIVE")
        self._refuse_foreign_schema()
        (schema,) = self._database.execute("PRAGMA user_version").fetchone()
        if not 0 <= schema <= SCHEMA:
            raise OutputError(
                f"{printable(self._file or '')} is of another version of beautygan; choose another --out."
            )
        for statement in filter(str.strip, _TABLES.split(";")):
            self._database.execute(statement)
        self._database.execute(f"PRAGMA user_version = {SCHEMA}")
        self._database.execute("COMMIT")

    def _refuse_foreign_schema(self) -> None:
        """OutputError for anything in the file but our own tables, to the letter: a trigger or view is a program."""
        own = {statement.strip().replace(" IF NOT EXISTS", "") for statement in _TABLES.split(";")}
        for kind, name, statement in self._database.execute("SELECT type, name, sql FROM sqlite_schema"):
            made_by_itself = kind == "index" and statement is None and str(name).startswith("sqlite_autoindex_")
            if not made_by_itself and statement not in own:
                raise self._damaged()

    def _begin_run(self, command: str) -> int:
        """The run's number: that of the last one where it had the same command and did not come to its end."""
        last = self._database.execute("SELECT id, command, finished FROM runs ORDER BY id DESC LIMIT 1").fetchone()
        if last and last[1] == command and not last[2]:
            return int(last[0])
        return int(
            self._database.execute("INSERT INTO runs (command, finished) VALUES (?, 0)", (command,)).lastrowid or 0
        )

    def finish_run(self) -> None:
        """Note that the run came to its end, so that the next one with this command is a new one."""
        self._execute("UPDATE runs SET finished = 1 WHERE id = ?", self.run)

    def close(self) -> None:
        """Free the folder for other runs."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._database.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Photos

    def content(self, path: Path) -> str:
        """SHA-256 of a file, from the manifest where size, time and inode are those it was read with. PhotoError."""
        place = str(path.absolute())
        try:
            status = path.stat()
            seen = (status.st_size, status.st_mtime_ns, status.st_ino)
            known = self._one("SELECT size, changed, inode, sha256 FROM content WHERE path = ?", place)
            if known and known[:3] == seen:
                return str(known[3])
            with opened(path) as file:
                digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _digest(file)
        except OSError as error:
            raise PhotoError(f"{printable(path)} can't be read: {error.strerror}; check the file.") from error
        self._execute("INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?)", place, *seen, digest.hexdigest())
        return digest.hexdigest()

    def known_content(self, path: Path) -> str | None:
        """SHA-256 of a file as it was when it was last read, even if it is gone."""
        row = self._one("SELECT sha256 FROM content WHERE path = ?", str(path.absolute()))
        return None if row is None else str(row[0])

    # Names

    def names(self, role: str) -> list[tuple[str, str, Path]]:
        """The names given so far to photos of a role ("source" or "reference"): (folder, name, photo)."""
        rows = self._all("SELECT folder, name, path FROM names WHERE role = ?", role)
        if not all(isinstance(value, str) for row in rows for value in row):
            raise self._damaged()
        return [(folder, name, remote.as_path(path)) for folder, name, path in rows]

    def name(self, role: str, named: Iterable[tuple[str, str, Path]]) -> None:
        """Remember names, so that a photo that arrives later does not change those of the others."""
        with self._transaction() as database:
            for entry in named:
                folder, name, path = (_storable(str(value)) for value in entry)
                database.execute("DELETE FROM names WHERE role = ? AND folder = ? AND name = ?", (role, folder, name))
                database.execute("INSERT OR REPLACE INTO names VALUES (?, ?, ?, ?)", (role, folder, name, path))

    # Results

    def result(self, output: Path) -> Record | None:
        """What is known of the result at a path, None where nothing is, or what no run writes."""
        row = self._one(
            "SELECT key, state, reason, files, details, run FROM results WHERE output = ?", self._key(output)
        )
        return None if row is None else _record(*row)

    def announce(self, results: Sequence[tuple[Path, str]]) -> None:
        """Note (output, key) of results whose files are about to be written."""
        with self._transaction() as database:
            for output, key in results:
                database.execute(_NOTE, (_storable(self._key(output)), key, "making", "", "{}", self.run))

    def record(
        self, output: Path, key: str, state: State, *, reason: str = "", files: Iterable[Path] = (), details: Any = None
    ) -> None:
        """Note what became of a result; its files, if it has any, are written and stay as they are."""
        with self._transaction() as database:
            self._note(database, Entry(output, key, state, reason, stamps(files), details))

    def _note(self, database: sqlite3.Connection, entry: Entry) -> None:
        place = _storable(self._key(entry.output))
        details = json.dumps(entry.details or {})
        database.execute(_NOTE, (place, entry.key, entry.state, _storable(entry.reason), details, self.run))
        if entry.files:
            database.execute("UPDATE results SET files = ? WHERE output = ?", (json.dumps(entry.files), place))
            for name, _, _ in entry.files:
                database.execute(_FORGET_EARLIER, [_storable(self._key(entry.output.with_name(name)))] * 2)

    def lost_file(self, output: Path, status: Status) -> Path | None:
        """The first file of a result of this run that is gone, empty or not as long as it was written; None if none is.

        status: what the run told of the result. One that it made has all the files of its record, and so has one that
        it kept as its record has it; of any other that it kept, somebody's own or edited, only its place is known.
        """
        record = self.result(output)
        known = [(output.with_name(name), size) for name, size, _ in record.files] if record else []
        if status == Status.KEPT and (output, _size(output)) not in known:
            known = []
        for file, size in known:
            if _size(file) != size:
                return file
        return None if _size(output) else output

    # What was written where

    def writing(self, path: Path, sha256: str) -> None:
        """Note for good that a file of this content is about to get its name."""
        self._execute(_WRITTEN, self._key(path), sha256)

    def wrote(self, path: Path) -> bool:
        """Whether the file at a path is, to the byte, one that was written there."""
        digests = self.digests(path)
        if not digests:  # of the first version, which noted no contents: as long as it was, and as old
            record = self.result(path)
            return record is not None and record.intact(path.parent)
        try:
            return sha256_of(path) in digests
        except (OSError, ValueError):
            return False

    def digests(self, path: Path) -> frozenset[str]:
        """SHA-256 of what was written at a path: of the last file, and of one before it that may still be there."""
        return frozenset(digest for (digest,) in self._all(_DIGESTS, _storable(self._key(path))))

    # What others saw, in one go: a commit waits for the disk, and a cluster reports much at once

    def contents(self) -> list[Content]:
        """All files whose content is known."""
        return [Content(*row) for row in self._all("SELECT path, size, changed, inode, sha256 FROM content")]

    def learn(
        self, contents: Iterable[Content], entries: Iterable[Entry], written: Iterable[tuple[Path, str]] = ()
    ) -> None:
        """Take over what another manifest's `contents` gave, and note what became of results elsewhere.

        written: (path, SHA-256) of their files.
        """
        with self._transaction() as database:
            for content in contents:
                database.execute(
                    "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?, ?)", [_storable(value) for value in content]
                )
            for path, digest in written:
                database.execute(_WRITTEN, (_storable(self._key(path)), digest))
            for entry in entries:
                self._note(database, entry)

    def owns(self, path: Path) -> bool:
        """Whether a file is a result of an earlier run, as that run left it, told by size and time where they agree."""
        record = self.result(path)
        return (record is not None and record.intact(path.parent)) or self.wrote(path)

    def _key(self, output: Path) -> str:
        """An output's place in the folder, so that the folder can be moved."""
        if self._folder is None:
            return str(output)
        return os.path.relpath(output.absolute(), self._folder).replace(os.sep, "/")

    # SQLite

    def _one(self, statement: str, *values: object) -> Any:
        with self._lock:
            try:
                return self._database.execute(statement, [_storable(value) for value in values]).fetchone()
            except _DATABASE_ERRORS as error:
                raise self._trouble(error) from error

    def _all(self, statement: str, *values: object) -> list[Any]:
        with self._lock:
            try:
                return self._database.execute(statement, values).fetchall()
            except _DATABASE_ERRORS as error:
                raise self._trouble(error) from error

    def _execute(self, statement: str, *values: object) -> None:
        with self._transaction() as database:
            database.execute(statement, [_storable(value) for value in values])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                try:
                    yield self._database
                except BaseException:
                    self._database.execute("ROLLBACK")
                    raise
                self._database.execute("COMMIT")
            except _DATABASE_ERRORS as error:
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                raise self._trouble(error) from error

    def _trouble(self, error: Exception) -> OutputError:
        text, name = str(error), printable(self._file or "the manifest in memory")
        if "interrupted" in text:
            if self._database.exhausted:
                return self._damaged()
            raise KeyboardInterrupt from error
        folder = printable(self._file.parent if self._file else "")
        if "locked" in text:
            return OutputError(f"another run is writing into {folder}; wait for it, or choose another --out.")
        if "full" in text or "disk I/O" in text:
            return OutputError(
                f"{name} can't be written: the disk is full or failing; free some space and start again."
            )
        if isinstance(error, UnicodeError) or "not a database" in text or "malformed" in text:
            return self._damaged()
        return OutputError(f"{name} can't be used: {printable(text)}; choose another --out.")

    def _damaged(self) -> OutputError:
        name = printable(self._file or "the manifest in memory")
        return OutputError(f"{name} is damaged; delete it, the results beside it are then kept as they are.")


def _names_another_file(journal: Path) -> bool:
    """Whether a rollback journal belongs to several databases at once, which ours never does.

    Its end then names a file, https://www.sqlite.org/fileformat.html#the_rollback_journal, wherever that may lie, and
    SQLite removes that file when it has rolled back.
    """
    try:
        with journal.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - len(_JOURNAL_MARK)))
            return file.read() == _JOURNAL_MARK
    except FileNotFoundError:
        return False


def _record(key: Any, state: Any, reason: Any, files: Any, details: Any, run: Any) -> Record | None:
    """A row of `results`, None where it holds what no run writes."""
    stamps, known = _stamps(files), _details(details)
    sound = all(isinstance(value, str) for value in (key, state, reason)) and isinstance(run, int)
    if not sound or state not in list(State) or stamps is None or known is None:
        return None
    return Record(key, State(state), reason, stamps, known, run)


def _parsed(text: Any) -> Any:
    """A JSON text's value, None where it has none."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None


def _stamps(text: Any) -> tuple[tuple[str, int, int], ...] | None:
    """The files of a row of `results`, None where it holds what no run writes."""
    files = _parsed(text)
    if not isinstance(files, list) or not all(isinstance(file, list) and len(file) == 3 for file in files):
        return None
    if not all(_is_name(name) and _is_count(size) and type(changed) is int for name, size, changed in files):
        return None
    return tuple((name, size, changed) for name, size, changed in files)


def _details(text: Any) -> dict[str, Any] | None:
    """What is told of a result beside the rest, None where it holds anything but what `Outcome.details` gives."""
    known = _parsed(text)
    sound = isinstance(known, dict) and all(key in _DETAILS and _DETAILS[key](value) for key, value in known.items())
    return known if sound else None


def _is_name(value: Any) -> bool:
    """Whether a value is the name of a file in its folder, that no other folder can be reached by."""
    return isinstance(value, str) and value == Path(value).name and value not in ("", "..") and "\0" not in value


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 63


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12  # false of NaN


def _are_numbers(names: Iterable[str], *, none: bool = False) -> Callable[[Any], bool]:
    """A rule: numbers by some of the names; `none`: or None."""
    known = frozenset(names)

    def accepts(values: Any) -> bool:
        return isinstance(values, dict) and all(
            name in known and (_is_number(value) or (none and value is None)) for name, value in values.items()
        )

    return accepts


_DETAILS: Mapping[str, Callable[[Any], bool]] = {
    "partly": lambda value: isinstance(value, bool),
    "faces": _is_count,
    "size": lambda value: isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)),
    "strength": lambda value: _is_number(value) and 0 <= value <= 1,
    "seconds": _are_numbers(STAGES),
    "figures": _are_numbers(MEASURED, none=True),
}


def _storable(value: object) -> object:
    """A path's undecodable bytes, which SQLite's text does not take, escaped."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def stamps(files: Iterable[Path]) -> list[tuple[str, int, int]]:
    """(name, size, time of change) of each file, as a `Record` keeps them."""
    return [(path.name, *(_stamp(path) or (0, 0))) for path in files]


def _stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of change of a file, None where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def _size(path: Path) -> int:
    """A file's length, 0 where there is none."""
    return (_stamp(path) or (0, 0))[0]


def _digest(file: Any) -> Any:
    """What `hashlib.file_digest` does from Python 3.11 on."""
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest
