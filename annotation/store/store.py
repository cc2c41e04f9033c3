"""One SQLite file that many threads and processes write to at once."""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from sqlite_utils import Database

from annotation.store.ids import new_id
from annotation.store.schema import MIGRATIONS
from freeavatar.errors import InputError
from freeavatar.files import make_folder
from freeavatar.paths import home


class UnavailableError(InputError):
    """The database cannot be used at the moment: locked, on a full disk, or not to be written. Nothing was stored."""


def default_path() -> Path:
    """Where the labels live if nobody says otherwise."""
    return home() / "labels" / "labels.db"


_PAUSE = 0.002
"""Seconds between two looks at a lock that is taken."""


class Store:
    """The database: one connection a thread, write-ahead log, every write in a transaction of its own.

    Args:
        path: the file; made with its tables if it does not exist and ``is_new_ok``.
        timeout: how long to wait for another writer, in seconds.

    Raises:
        InputError: no database, one of something else, of a newer version, locked, or not writable.
    """

    def __init__(self, path: str | Path, *, timeout: float = 30.0, is_new_ok: bool = True) -> None:
        self.path = Path(path)
        self._timeout = timeout
        self._local = threading.local()
        self._queue = threading.Lock()
        if not self.path.exists():
            if not is_new_ok:
                raise InputError("there is no database {}: give one that exists, or import images into it.", self.path)
            make_folder(self.path.parent)
        with self._explained():
            self._migrate()

    def _migrate(self) -> None:
        db = self.db
        if db.table_names():
            refuse_stranger(db, self.path)
        if MIGRATIONS.pending(db):
            db.execute("pragma journal_mode=wal")
            # Two processes may open a new file at once: the second finds nothing left to do.
            with self.write():
                MIGRATIONS.apply(db)

    @property
    def db(self) -> Database:
        """This thread's connection, for reading; write inside :meth:`write`."""
        found: Database | None = getattr(self._local, "db", None)
        if found is None:
            connection = sqlite3.connect(self.path, timeout=self._timeout, isolation_level=None)
            connection.execute(f"pragma busy_timeout={int(self._timeout * 1000)}")
            connection.execute("pragma foreign_keys=on")
            connection.execute("pragma synchronous=full")  # an acknowledged answer outlives a power cut
            found = self._local.db = Database(connection, execute_plugins=False)
        return found

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise _locked(self.path, self._timeout) from error
            if "full" in str(error):
                raise UnavailableError(
                    "the disk of {} is full: make room there, then do it again.", self.path
                ) from error
            raise UnavailableError("cannot use {} ({}): choose a file that is writable.", self.path, error) from error
        except sqlite3.DatabaseError as error:
            raise UnavailableError("{} cannot be written ({}): run `check` on it.", self.path, error) from error

    @contextmanager
    def write(self) -> Iterator[Database]:
        """The only way to write: a transaction that takes the write lock at once.

        SQLite's default transaction takes the lock at its first write and then fails instead of waiting
        where another connection wrote meanwhile. Nested blocks belong to the outer one.

        Raises:
            UnavailableError: another program holds the lock too long, the disk is full, or the file cannot be written.
        """
        db = self.db
        assert not getattr(self._local, "is_reading", False), "a snapshot is rolled back: write before or after it"
        if db.conn.in_transaction:
            yield db
            return
        with self._turn(), self._explained():
            db.conn.execute("begin immediate")
            try:
                yield db
                db.conn.execute("commit")
            except BaseException:
                if db.conn.in_transaction:
                    db.conn.execute("rollback")
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Queue up behind the other writers.

        SQLite's waiters look ever more seldom, and with many of them some never get a turn within the timeout;
        here all look equally often, and a killed process lets go. Other programs still meet SQLite's own lock.
        """
        # Threads wait here, without looking: a server has dozens of them.
        if not self._queue.acquire(timeout=self._timeout):
            raise _locked(self.path, self._timeout)
        try:
            with waiting_for(Path(f"{self.path}.lock"), self._timeout):
                yield
        finally:
            self._queue.release()

    @contextmanager
    def snapshot(self) -> Iterator[Database]:
        """Several reads of one moment, whatever others write meanwhile; inside of :meth:`write`, of what it wrote."""
        if self.db.conn.in_transaction:
            yield self.db
            return
        self.db.conn.execute("begin")
        self._local.is_reading = True
        try:
            yield self.db
        finally:
            self._local.is_reading = False
            self.db.conn.execute("rollback")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """Rows of a query as dictionaries."""
        cursor = self.db.conn.execute(sql, values)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    def value(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """The first column of a query's first row, or None."""
        row = self.db.conn.execute(sql, values).fetchone()
        return row[0] if row else None

    def get(self, key: str, default: Any = None) -> Any:
        """A setting."""
        text = self.value("select value from settings where key = ?", (key,))
        return default if text is None else json.loads(text)

    def set(self, key: str, value: Any) -> None:
        """Keep a setting."""
        with self.write() as db:
            db.execute("insert or replace into settings values (?, ?)", (key, json.dumps(value)))

    def secret(self) -> str:
        """A random text that stays with this database; completion codes are made from it."""
        if self.get("secret") is None:
            with self.write() as db:
                db.execute("insert or ignore into settings values ('secret', ?)", (json.dumps(new_id() + new_id()),))
        return self.get("secret")

    def refuse_as_output(self, out: Path) -> None:
        """Keep the database from being written over.

        Raises:
            InputError: ``out`` is the database.
        """
        if out.resolve() == self.path.resolve():
            raise InputError("{} is this database itself: give another file.", out)

    def close(self) -> None:
        """Close this thread's connection."""
        db = getattr(self._local, "db", None)
        if db is not None:
            db.close()
            del self._local.db


@contextmanager
def waiting_for(path: Path, timeout: float) -> Iterator[None]:
    """Hold a lock among processes and threads.

    Args:
        path: file that carries the lock.
        timeout: how long to wait for it, in seconds.

    Raises:
        UnavailableError: somebody else holds it longer.
    """
    try:
        lock = FileLock(path).acquire(timeout, poll_interval=_PAUSE)
    except Timeout:
        raise _locked(path.with_suffix(""), timeout) from None
    with lock:
        yield


def _locked(path: Path, timeout: float) -> UnavailableError:
    return UnavailableError(
        "{} is locked by another program for more than {:g} s: close it and try again; nothing was written.",
        path,
        timeout,
    )


def refuse_stranger(db: Database, path: Path) -> None:
    """See that a database holds labels, of a version known here; only reads.

    Raises:
        InputError: it holds something else, or is newer.
    """
    applied = {migration.name for migration in MIGRATIONS.applied(db)}
    if not applied:
        raise InputError("{} is a database of something else, not of labels: give another; nothing was changed.", path)
    unknown = applied - {migration.name for migration in MIGRATIONS._migrations}
    if unknown:
        raise InputError(
            "{} was made by a newer version of FreeAvatar ({}): update FreeAvatar, or use another database; nothing "
            "was changed.",
            path,
            ", ".join(sorted(unknown)),
        )
