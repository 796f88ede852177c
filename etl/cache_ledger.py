"""What the cache knows besides its rows, in SQL: spaces, shards, attempts on films, files seen.

SQLite in the cache's folder, or PostgreSQL where several machines write. It may be lost: rows are
found without it, and shards are claimed on disk too.
"""

import json
import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Engine,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    create_engine,
    event,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from cxrfuture_data.cache_rows import KEY_DIGITS, Space
from cxrfuture_data.schema import ContractError
from etl.database_url import show_url

LEDGER_FILE = "ledger.sqlite"
SECONDS_TO_WAIT = 120  # for another writer of the same SQLite file
KEYS_AT_ONCE = 500  # in one statement

_OPENING = threading.Lock()

METADATA = MetaData()
SPACE = Table(
    "space",
    METADATA,
    Column("space", String(32), primary_key=True),  # kind/digest, the folder's name
    Column("used_at", Float, nullable=False),  # seconds since 1970
)
SHARD = Table(
    "shard",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("space", String(32), nullable=False, index=True),
    Column("writer", String(200), nullable=False),  # host:process
    Column("is_open", Integer, nullable=False),
)
ATTEMPT = Table(
    "attempt",
    METADATA,
    Column("space", String(32), primary_key=True),
    Column("key", String(KEY_DIGITS), primary_key=True),
    Column("facts", Text, nullable=False),
)
SEEN = Table(
    "seen",
    METADATA,
    Column("folder", String(500), primary_key=True),
    Column("name", String(300), primary_key=True),
    Column("bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
)


@dataclass(frozen=True)
class FileSeen:
    """A file as it was when its bytes were hashed; ``name`` is below a folder of films."""

    name: str
    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Ledger:
    """Opened where it is used: it goes to workers as its address."""

    url: str

    def register(self, space: Space) -> None:
        """A stage uses this space now."""
        with self._begin() as connection:
            _put(connection, SPACE, [{"space": space.name, "used_at": time.time()}])

    def claim_shard(self, space: Space, writer: str) -> int:
        """A number that no other writer gets."""
        row = {"space": space.name, "writer": writer, "is_open": 1}
        with self._begin() as connection:
            return int(connection.execute(insert(SHARD).values(row)).inserted_primary_key[0])

    def close_shard(self, number: int) -> None:
        """Nobody writes it any more."""
        with self._begin() as connection:
            connection.execute(update(SHARD).where(SHARD.c.number == number).values(is_open=0))

    def record(
        self,
        space: Space,
        attempts: Mapping[str, Mapping[str, Any]],
        folder: str,
        files: Iterable[FileSeen],
    ) -> None:
        """What was found in films, by sha256, and the files that were hashed; both or none."""
        found = [
            {"space": space.name, "key": sha256[:KEY_DIGITS], "facts": json.dumps(facts)}
            for sha256, facts in attempts.items()
        ]
        seen = [{"folder": folder} | vars(file) for file in files]
        with self._begin() as connection:
            _put(connection, ATTEMPT, found)
            _put(connection, SEEN, seen)

    def attempts(self, space: Space) -> dict[str, dict[str, Any]]:
        """Key -> facts of every film that was tried in a space."""
        query = select(ATTEMPT.c.key, ATTEMPT.c.facts).where(ATTEMPT.c.space == space.name)
        with self._begin() as connection:
            return {key: json.loads(facts) for key, facts in connection.execute(query)}

    def attempt(self, space: Space, sha256: str) -> dict[str, Any] | None:
        """The facts of one film, or None if it was not tried."""
        query = select(ATTEMPT.c.facts).where(
            ATTEMPT.c.space == space.name, ATTEMPT.c.key == sha256[:KEY_DIGITS]
        )
        with self._begin() as connection:
            facts = connection.execute(query).scalar()
        return None if facts is None else json.loads(facts)

    def forget(self, space: Space, hashes: Sequence[str]) -> None:
        """Attempts whose rows are lost will be made again."""
        keys = [sha256[:KEY_DIGITS] for sha256 in hashes]
        with self._begin() as connection:
            for start in range(0, len(keys), KEYS_AT_ONCE):
                chosen = ATTEMPT.c.key.in_(keys[start : start + KEYS_AT_ONCE])
                connection.execute(ATTEMPT.delete().where(ATTEMPT.c.space == space.name, chosen))

    def files(self, folder: str) -> dict[str, FileSeen]:
        """Name -> file of all that were hashed below a folder of films."""
        columns = (SEEN.c.name, SEEN.c.bytes, SEEN.c.mtime_ns, SEEN.c.sha256)
        with self._begin() as connection:
            rows = connection.execute(select(*columns).where(SEEN.c.folder == folder))
            return {row[0]: FileSeen(*row) for row in rows}

    def spaces(self) -> dict[str, float]:
        """Space -> when a stage last used it, in seconds since 1970."""
        with self._begin() as connection:
            rows = connection.execute(select(SPACE.c.space, SPACE.c.used_at))
            return dict(rows.tuples().all())

    def open_shards(self) -> dict[int, str]:
        """Number -> writer of shards that were not closed: still written, or by one that died."""
        query = select(SHARD.c.number, SHARD.c.writer).where(SHARD.c.is_open == 1)
        with self._begin() as connection:
            return dict(connection.execute(query).tuples().all())

    def remove_space(self, space: str) -> None:
        """Forget all about a space."""
        with self._begin() as connection:
            for table in (SPACE, SHARD, ATTEMPT):
                connection.execute(table.delete().where(table.c.space == space))

    def _begin(self) -> Any:
        try:
            return _engine(self.url).begin()
        except (SQLAlchemyError, ImportError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ContractError(
                f"cache: no ledger at {show_url(self.url)} ({reason}); see cache.ledger"
            ) from None


def sqlite_url(folder: Path) -> str:
    """Of the ledger in the cache's own folder."""
    return f"sqlite:///{folder / LEDGER_FILE}"


def _engine(url: str) -> Engine:
    with _OPENING:
        return _open(url)


@lru_cache(maxsize=4)
def _open(url: str) -> Engine:
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": SECONDS_TO_WAIT})

        @event.listens_for(engine, "connect")
        def tune(connection: Any, _: Any) -> None:
            # Readers and a writer do not wait for each other; a power cut may cost the last second.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")

    else:
        engine = create_engine(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url))
    try:
        METADATA.create_all(engine)
    except DatabaseError:  # another writer made the tables meanwhile
        METADATA.create_all(engine)
    return engine


def _put(connection: Any, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; those whose key is there already take its place."""
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keys = [column.name for column in table.primary_key]
    statement = dialect.insert(table)
    changed = {
        column.name: statement.excluded[column.name]
        for column in table.columns
        if column.name not in keys
    }
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)
