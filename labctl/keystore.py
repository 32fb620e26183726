"""A store of secret keys: blocks of bits come in, keys go out, and no bit goes out twice.

`keys.jsonl` says which blocks there are and which keys were taken from them; it holds no secret
bits. Those are in `blocks/BLOCK.key`, readable by their owner only, and are overwritten with zeros
once both ends have their key. What is handed out is on the disk as handed out before anybody gets
it, so a crash can lose a key but never give it twice. Any number of processes may use one store.
"""

from __future__ import annotations

import contextlib
import os
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import LabError, RequestError, StorageError
from labctl.filelock import FileLock
from labctl.journal import Follower, Journal, storage_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Two ends derive the same key numbers from the same block.
_NAMESPACE = uuid.UUID("5b0c2a3e-5a0e-4c58-9d0e-7a3f7a1f6c11")
_PATIENCE = 10.0  # s to wait for another process that uses the store


class NotEnoughKeys(LabError):
    """The store holds fewer secret bits for these nodes than were asked for."""


class UnknownKey(RequestError):
    """A key was never made for these two, or was fetched before; `ids` names which."""

    def __init__(self, message: str, ids: Sequence[str]) -> None:
        super().__init__(message)
        self.ids = list(ids)


@dataclass
class Block:
    """Secret bits of one link, as delivered."""

    id: str
    link: str
    size: int  #: bytes
    simulated: bool
    time: str  #: when it was delivered, UTC
    about: Mapping[str, Any]
    given: int = 0  #: bytes, from its start
    fetched: int = 0  #: bytes that both ends have; overwritten


@dataclass(frozen=True)
class Key:
    """One key and its number."""

    id: str
    bits: bytes = field(repr=False)


@dataclass
class _Given:
    """Where a key's bytes are, and for whom."""

    parts: list[tuple[str, int, int]]  # block, start, end
    master: str
    slave: str
    fetched: bool = False


class KeyStore:
    """Keys in a folder, which is made when the first block is delivered."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._journal = self.folder / "keys.jsonl"
        self._mutex = threading.RLock()  # threads of this process; the file lock is for others
        self._begin()

    def _begin(self) -> None:
        self._follower = Follower(self._journal)
        self._blocks: dict[str, Block] = {}
        self._given: dict[str, _Given] = {}
        self._to_erase: list[str] = []  # keys of the last fetch, if nobody knows they are erased

    def blocks(self) -> list[Block]:
        """Return every block, the oldest first; none of their bits."""
        with self._mutex:
            self._refresh(final=False)
            return list(self._blocks.values())

    def available(self, nodes: Sequence[str], *, simulated: bool = False) -> int:
        """Return how many bytes are left between two nodes."""
        with self._mutex:
            self._refresh(final=False)
            return sum(block.size - block.given for block in self._between(nodes, simulated))

    def linked(self, nodes: Sequence[str]) -> bool:
        """Tell whether two nodes ever had secret bits in common."""
        with self._mutex:
            self._refresh(final=False)
            return bool(self._between(nodes, simulated=True))

    def deliver(
        self,
        block: str,
        link: str,
        bits: NDArray[Any],
        *,
        simulated: bool = False,
        about: Mapping[str, Any] | None = None,
    ) -> bool:
        """Put secret bits into the store; False if this block is there already.

        Args:
            block: a UUID; the same one is never stored twice.
            link: "NODE-NODE" or "NODE-NODE:WHAT".
            bits: zeros and ones; up to 7 at the end are dropped to fill whole bytes.
            simulated: whether they come from simulated instruments and are no secret at all.
            about: where they come from, for people.

        Raises:
            RequestError: `link` or `bits` is not as it must be.
            StorageError: the store cannot be written.
        """
        import numpy as np

        nodes_of(link)
        given = np.asarray(bits)
        if given.ndim != 1 or not np.isin(given, (0, 1)).all():
            raise RequestError(f"key for link {link!r}: must be a one-dimensional array of 0 and 1")
        data = np.packbits(given[: len(given) // 8 * 8].astype(np.uint8)).tobytes()
        with self._alone() as journal:
            if block in self._blocks:
                return False
            self._write_block(block, data)
            entry = {
                "entry": "block", "block": block, "link": link, "bytes": len(data),
                "simulated": simulated, "time": _now(), "about": dict(about or {}),
            }  # fmt: skip
            journal.append(entry, durable=True)
        return True

    def give(
        self,
        nodes: Sequence[str],
        number: int,
        size: int,
        *,
        master: str,
        slave: str,
        simulated: bool = False,
    ) -> list[Key]:
        """Take keys out for `master`; `slave` may fetch each of them once.

        Args:
            nodes: the two nodes that share the bits.
            number: how many keys.
            size: bytes of each.
            master: who asks.
            slave: who may fetch the same keys.
            simulated: whether bits of simulated instruments will do.

        Raises:
            NotEnoughKeys: fewer bits are left; none is taken then.
            StorageError: the store is damaged or cannot be written.
        """
        with self._alone() as journal:
            pool = self._between(nodes, simulated)
            left = sum(block.size - block.given for block in pool)
            if left < number * size:
                raise NotEnoughKeys(
                    f"insufficient keys: {number} of {8 * size} bits were asked for, "
                    f"{8 * left} bits are left between {' and '.join(nodes)}"
                )
            taken = {block.id: block.given for block in pool}
            entries, keys = [], []
            for _ in range(number):
                parts = _take(pool, taken, size)
                first_block, first_byte, _ = parts[0]
                name = str(uuid.uuid5(_NAMESPACE, f"{first_block}/{first_byte}"))
                keys.append(Key(name, self._read(parts)))
                entries.append({"id": name, "parts": parts})
            entry = {
                "entry": "given", "keys": entries, "master": master, "slave": slave, "time": _now(),
            }  # fmt: skip
            journal.append(entry, durable=True)
        return keys

    def fetch(self, ids: Sequence[str], *, master: str, slave: str) -> list[Key]:
        """Hand keys that `master` has to `slave`, and erase them.

        Raises:
            UnknownKey: one of them is not there for these two, or not any more; none is handed out.
            StorageError: the store is damaged or cannot be written.
        """
        with self._alone() as journal:
            wrong = [
                name for name in ids
                if (key := self._given.get(name)) is None
                or key.fetched or (key.master, key.slave) != (master, slave)
            ]  # fmt: skip
            wrong += [name for n, name in enumerate(ids) if name in ids[:n]]
            if wrong:
                raise UnknownKey("one or more keys specified are not found on KME", wrong)
            keys = [Key(name, self._read(self._given[name].parts)) for name in ids]
            entry = {"entry": "fetched", "keys": list(ids), "by": slave, "time": _now()}
            journal.append(entry, durable=True)
            self._refresh(final=True)
            self._erase()
        return keys

    # -- state --------------------------------------------------------------------------------

    def _refresh(self, final: bool) -> None:
        """Take in what was added to the journal, by whomever."""
        try:
            for entry in self._follower.poll(final=final):
                self._apply(entry)
        except BaseException:
            self._begin()  # half of it may be taken in: read everything again next time
            raise
        damage = [d for d in self._follower.damage if not d.torn]
        if damage:  # a key that was handed out might be handed out again
            raise StorageError(
                f"{damage[0]}; no key is handed out of a damaged store: move {self.folder} away and"
                " begin a new one"
            )

    def _apply(self, entry: Mapping[str, Any]) -> None:
        kind = entry.get("entry")
        if kind == "block":
            self._blocks[entry["block"]] = Block(
                entry["block"], entry["link"], entry["bytes"], entry["simulated"], entry["time"],
                entry["about"],
            )  # fmt: skip
        elif kind == "given":
            for key in entry["keys"]:
                parts = [(str(block), int(start), int(end)) for block, start, end in key["parts"]]
                self._given[key["id"]] = _Given(parts, entry["master"], entry["slave"])
                for block, _, end in parts:
                    self._blocks[block].given = max(self._blocks[block].given, end)
        elif kind == "fetched":
            self._to_erase = list(entry["keys"])
            for name in entry["keys"]:
                self._given[name].fetched = True
                for block, start, end in self._given[name].parts:
                    self._blocks[block].fetched += end - start

    def _between(self, nodes: Sequence[str], simulated: bool) -> list[Block]:
        """Blocks of two nodes, the oldest first."""
        wanted = set(nodes)
        return [
            block for block in self._blocks.values()
            if set(nodes_of(block.link)) == wanted and (simulated or not block.simulated)
        ]  # fmt: skip

    @contextlib.contextmanager
    def _alone(self) -> Iterator[Journal]:
        """Hold the store against every other process, with its newest state."""
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(self.folder / "store.lock")
            held = lock.acquire(patience=_PATIENCE)
        except OSError as exc:
            raise storage_error(self.folder, exc) from exc
        if not held:
            raise StorageError(f"{self.folder}: another process uses this key store; try again")
        try:
            with self._mutex, Journal(self._journal) as journal:  # cuts what a crash left
                self._refresh(final=True)
                self._erase()  # what a crash between the last fetch and this left
                yield journal
        finally:
            lock.release()

    # -- secret bits --------------------------------------------------------------------------

    def _path(self, block: str) -> Path:
        return self.folder / "blocks" / f"{block}.key"

    def _write_block(self, block: str, data: bytes) -> None:
        path = self._path(block)
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
            descriptor = os.open(part, flags, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as exc:
            raise storage_error(path, exc) from exc

    def _read(self, parts: Sequence[tuple[str, int, int]]) -> bytes:
        found = b""
        for block, start, end in parts:
            try:
                with self._path(block).open("rb") as file:
                    file.seek(start)
                    piece = file.read(end - start)
            except OSError as exc:
                raise StorageError(f"{self._path(block)}: cannot be read: {exc.strerror}") from exc
            if len(piece) != end - start:
                raise StorageError(f"{self._path(block)}: is too short; bits are missing")
            found += piece
        if not any(found):  # erased: the journal must be older than the block, out of a backup
            raise StorageError(
                f"{self._path(parts[0][0])}: bytes {parts[0][1]} to {parts[0][2]} were erased, so "
                "that key was handed out; the journal is older than the blocks"
            )
        return found

    def _erase(self) -> None:
        """Overwrite fetched keys with zeros, and delete blocks that have been used up."""
        parts = [part for name in self._to_erase for part in self._given[name].parts]
        for block, start, end in parts:
            path, known = self._path(block), self._blocks[block]
            with contextlib.suppress(OSError):  # the key is gone from the books in any case
                with path.open("r+b") as file:
                    file.seek(start)
                    file.write(bytes(end - start))
                    file.flush()
                    os.fsync(file.fileno())
                if known.fetched >= known.size:
                    path.unlink()
        self._to_erase = []


def nodes_of(link: str) -> tuple[str, str]:
    """Return the two nodes of a link: "C-D:50-30" gives C and D.

    Raises:
        RequestError: this is no name of a link.
    """
    first, dash, second = link.partition(":")[0].partition("-")
    if not (first and dash and second) or "-" in second or first == second:
        raise RequestError(
            f"link {link!r}: must be NODE-NODE or NODE-NODE:WHAT with two different nodes"
        )
    return first, second


def default_store(runs_dir: Path) -> Path:
    """Return the key store: $LABCTL_KEYS, or `keystore` in the folder of runs."""
    return Path(os.environ.get("LABCTL_KEYS") or runs_dir / "keystore")


def _take(pool: Sequence[Block], taken: dict[str, int], size: int) -> list[tuple[str, int, int]]:
    """Cut the next `size` bytes out of blocks, the oldest first; there are enough."""
    parts = []
    for block in pool:
        here = min(size, block.size - taken[block.id])
        if here > 0:
            start = taken[block.id]
            parts.append((block.id, start, start + here))
            taken[block.id] += here
            size -= here
        if not size:
            break
    return parts


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
