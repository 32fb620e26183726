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
from labctl.journal import Journal, storage_error
from labctl.keys.bits import SecretBits
from labctl.keys.ledger import Block, Ledger, cut, left_in, nodes_of

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


@dataclass(frozen=True)
class Key:
    """One key and its number."""

    id: str
    bits: bytes = field(repr=False)


class KeyStore:
    """Keys in a folder, which is made when the first block is delivered."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._mutex = threading.RLock()  # threads of this process; the file lock is for others
        self._ledger = Ledger(self.folder / "keys.jsonl")
        self._bits = SecretBits(self.folder / "blocks")

    def blocks(self) -> list[Block]:
        """Return every block, the oldest first; none of their bits."""
        with self._mutex:
            self._ledger.refresh(final=False)
            return list(self._ledger.blocks.values())

    def available(self, nodes: Sequence[str], *, simulated: bool = False) -> int:
        """Return how many bytes are left between two nodes."""
        with self._mutex:
            self._ledger.refresh(final=False)
            return left_in(self._ledger.between(nodes, simulated))

    def linked(self, nodes: Sequence[str]) -> bool:
        """Tell whether two nodes ever had secret bits in common."""
        with self._mutex:
            self._ledger.refresh(final=False)
            return bool(self._ledger.between(nodes, simulated=True))

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
            if block in self._ledger.blocks:
                return False
            self._bits.write(block, data)
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
            pool = self._ledger.between(nodes, simulated)
            left = left_in(pool)
            if left < number * size:
                raise NotEnoughKeys(
                    f"insufficient keys: {number} of {8 * size} bits were asked for, "
                    f"{8 * left} bits are left between {' and '.join(nodes)}"
                )
            entries, keys = [], []
            for parts in cut(pool, number, size):
                first_block, first_byte, _ = parts[0]
                name = str(uuid.uuid5(_NAMESPACE, f"{first_block}/{first_byte}"))
                keys.append(Key(name, self._bits.read(parts)))
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
                if (key := self._ledger.given.get(name)) is None
                or key.fetched or (key.master, key.slave) != (master, slave)
            ]  # fmt: skip
            wrong += [name for n, name in enumerate(ids) if name in ids[:n]]
            if wrong:
                raise UnknownKey("one or more keys specified are not found on KME", wrong)
            keys = [Key(name, self._bits.read(self._ledger.given[name].parts)) for name in ids]
            entry = {"entry": "fetched", "keys": list(ids), "by": slave, "time": _now()}
            journal.append(entry, durable=True)
            self._ledger.refresh(final=True)
            self._erase()
        return keys

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
            with self._mutex, Journal(self._ledger.journal) as journal:  # cuts what a crash left
                self._ledger.refresh(final=True)
                self._erase()  # what a crash between the last fetch and this left
                yield journal
        finally:
            lock.release()

    def _erase(self) -> None:
        """Overwrite the keys that were fetched last, and delete blocks that have been used up."""
        ledger = self._ledger
        for part in [part for name in ledger.last_fetched for part in ledger.given[name].parts]:
            block = ledger.blocks[part[0]]
            with contextlib.suppress(OSError):  # the key is gone from the books in any case
                self._bits.erase(part)
                if block.fetched >= block.size:
                    self._bits.delete(block.id)
        ledger.last_fetched = []


def default_store(runs_dir: Path) -> Path:
    """Return the key store: $LABCTL_KEYS, or `keystore` in the folder of runs."""
    return Path(os.environ.get("LABCTL_KEYS") or runs_dir / "keystore")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
