"""What the journal of a key store says: its blocks of bits, and which keys were taken from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from labctl.errors import RequestError, StorageError
from labctl.journal import Follower

#: Where bytes of a key are: block, start, end.
Part: TypeAlias = tuple[str, int, int]


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


@dataclass
class Given:
    """Where a key's bytes are, and for whom."""

    parts: list[Part]
    master: str
    slave: str
    fetched: bool = False


class Ledger:
    """The books of a key store, kept up to date with a journal that others write to as well."""

    def __init__(self, journal: Path) -> None:
        self.journal = journal
        self._begin()

    def _begin(self) -> None:
        self._follower = Follower(self.journal)
        self.blocks: dict[str, Block] = {}
        self.given: dict[str, Given] = {}
        self.last_fetched: list[str] = []  #: keys, which a crash may have left unerased

    def refresh(self, final: bool) -> None:
        """Take in what was added to the journal; `final` if nobody is writing to it now.

        Raises:
            StorageError: the journal is damaged.
        """
        try:
            for entry in self._follower.poll(final=final):
                self._apply(entry)
        except BaseException:
            self._begin()  # half of it may be taken in: read everything again next time
            raise
        damage = [d for d in self._follower.damage if not d.torn]
        if damage:  # a key that was handed out might be handed out again
            raise StorageError(
                f"{damage[0]}; no key is handed out of a damaged store: move "
                f"{self.journal.parent} away and begin a new one"
            )

    def _apply(self, entry: Mapping[str, Any]) -> None:
        kind = entry.get("entry")
        if kind == "block":
            self.blocks[entry["block"]] = Block(
                entry["block"], entry["link"], entry["bytes"], entry["simulated"], entry["time"],
                entry["about"],
            )  # fmt: skip
        elif kind == "given":
            for key in entry["keys"]:
                parts = [(str(block), int(start), int(end)) for block, start, end in key["parts"]]
                self.given[key["id"]] = Given(parts, entry["master"], entry["slave"])
                for block, _, end in parts:
                    self.blocks[block].given = max(self.blocks[block].given, end)
        elif kind == "fetched":
            self.last_fetched = list(entry["keys"])
            for name in entry["keys"]:
                self.given[name].fetched = True
                for block, start, end in self.given[name].parts:
                    self.blocks[block].fetched += end - start

    def between(self, nodes: Sequence[str], simulated: bool) -> list[Block]:
        """Return the blocks of two nodes, the oldest first."""
        wanted = set(nodes)
        return [
            block for block in self.blocks.values()
            if set(nodes_of(block.link)) == wanted and (simulated or not block.simulated)
        ]  # fmt: skip


def left_in(blocks: Iterable[Block]) -> int:
    """Return how many bytes of some blocks are not given yet."""
    return sum(block.size - block.given for block in blocks)


def cut(blocks: Sequence[Block], number: int, size: int) -> list[list[Part]]:
    """Cut the next `number` keys of `size` bytes out of blocks that have enough, oldest first."""
    begun = {block.id: block.given for block in blocks}
    keys = []
    for _ in range(number):
        parts: list[Part] = []
        wanted = size
        for block in blocks:
            start = begun[block.id]
            here = min(wanted, block.size - start)
            if here > 0:
                parts.append((block.id, start, start + here))
                begun[block.id] += here
                wanted -= here
            if not wanted:
                break
        keys.append(parts)
    return keys


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
