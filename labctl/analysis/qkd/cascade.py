"""Error correction by comparing parities: Cascade.

G. Brassard and L. Salvail, EUROCRYPT '93: four passes over shuffled bits, blocks of 0.73/QBER bits
in the first and twice as many in each further one; an error that a later pass finds makes blocks
of earlier passes odd, which are searched again.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from heapq import heappop, heappush
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.arguments import scalar, shown
from labctl.analysis.qkd.checks import Bits
from labctl.analysis.qkd.checks import bits as checked_bits

PASSES = 4
FIRST_BLOCK = 0.73  #: bits of the first blocks, times the error rate
FRAME = 20_000  #: bits corrected together; more does not disclose less


def cascade(alice: ArrayLike, bob: ArrayLike, qber: float, seed: int) -> tuple[Bits, int]:
    """Correct `bob` towards `alice` from parities alone.

    Args:
        alice, bob: sifted bits of the same length.
        qber: error rate to expect, 0 to 0.5; it sets the length of the blocks only.
        seed: of the public shuffles.

    Returns:
        Bob's corrected bits and the number of parity bits of Alice's that were disclosed. What is
        left wrong is for a hash to find out, which `distil` does.
    """
    ours, theirs = checked_bits(alice, "alice"), checked_bits(bob, "bob")
    if len(ours) != len(theirs):
        raise ValueError(f"bob: must be as long as alice ({len(ours)} bits), got {len(theirs)}")
    rate = scalar(qber, "qber", 0.0, 0.5)
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed: must be a whole number from 0, got {shown(seed)}")
    rng = np.random.default_rng(seed)
    corrected, leaked = theirs.copy(), 0
    frames = max(1, round(len(ours) / FRAME))
    edges = np.linspace(0, len(ours), frames + 1).astype(int)
    for start, end in pairwise(edges):
        if start < end:
            frame = _Frame(ours[start:end], theirs[start:end], rate, rng)
            frame.run()
            corrected[frame.flipped + start] ^= 1
            leaked += frame.leaked
    return corrected, leaked


class _Frame:
    """One frame: both sides' running parities in each pass, and what is still odd."""

    def __init__(self, alice: Bits, bob: Bits, rate: float, rng: np.random.Generator) -> None:
        n = len(alice)
        first = min(max(int(np.ceil(FIRST_BLOCK / rate)), 2), n) if rate > 0 else n
        self.leaked = 0
        self._passes: list[_Pass] = []
        self._odd: list[tuple[int, int, int, int]] = []  # length, pass, start, end
        self._errors: list[int] = []
        self._plan = [
            (min(first << i, n), rng.permutation(n) if i else np.arange(n)) for i in range(PASSES)
        ]
        self._alice, self._bob = alice, bob

    @property
    def flipped(self) -> NDArray[np.int64]:
        """Positions at which Bob's bit was found wrong."""
        return np.array(self._errors, dtype=np.int64)

    def run(self) -> None:
        """All passes."""
        for number, (block, order) in enumerate(self._plan):
            bob = self._bob.copy()
            bob[self.flipped] ^= 1
            here = _Pass(self._alice[order], bob[order], order, block)
            self._passes.append(here)
            self.leaked += len(here.starts)
            for start, end in here.odd_blocks():
                heappush(self._odd, (end - start, number, start, end))
            self._search()

    def _search(self) -> None:
        """Find one error in each odd block, shortest first, until all blocks are even."""
        while self._odd:
            _, number, start, end = heappop(self._odd)
            here = self._passes[number]
            if not here.odd(start, end):
                continue  # an error found meanwhile has made it even
            position, told = here.search(start, end)
            self.leaked += told
            self._errors.append(position)
            for other, there in enumerate(self._passes):
                low, high = there.flip(position)
                if there.odd(low, high):
                    heappush(self._odd, (high - low, other, low, high))


class _Pass:
    """Both sides' parities in one order of the bits; Alice's that were disclosed are remembered."""

    def __init__(self, alice: Bits, bob: Bits, order: NDArray[np.int64], block: int) -> None:
        n = len(alice)
        self.block = block
        self.starts = np.arange(0, n, block)
        self._length = n
        self._order = order
        place = np.empty(n, np.int64)
        place[order] = np.arange(n)
        self._place = place.tolist()
        # Running parities; their difference is all that a comparison of parities can tell.
        self._unequal = _running(alice) ^ _running(bob)
        self._parity: list[int] = self._unequal.tolist()
        self._flips: list[int] = []
        self._known: set[tuple[int, int]] = set()

    def odd_blocks(self) -> list[tuple[int, int]]:
        """The blocks whose parities differ at the start of the pass."""
        ends = np.minimum(self.starts + self.block, self._length)
        odd = self._unequal[ends] != self._unequal[self.starts]
        return list(zip(self.starts[odd].tolist(), ends[odd].tolist(), strict=True))

    def odd(self, start: int, end: int) -> bool:
        """Whether the parities of these places differ now."""
        flips = self._flips
        mended = bisect_left(flips, end) - bisect_left(flips, start)
        return bool((self._parity[start] ^ self._parity[end] ^ mended) & 1)

    def search(self, start: int, end: int) -> tuple[int, int]:
        """Halve an odd range down to one wrong bit.

        Returns:
            Its position among the unshuffled bits, and how many parities Alice had to tell that
            she had not told before.
        """
        told = 0
        while end - start > 1:
            middle = (start + end) // 2
            if (start, middle) not in self._known:
                self._known.add((start, middle))
                told += 1
            start, end = (start, middle) if self.odd(start, middle) else (middle, end)
        return int(self._order[start]), told

    def flip(self, position: int) -> tuple[int, int]:
        """Note that Bob changed a bit; return the block that it lies in."""
        place = self._place[position]
        insort(self._flips, place)
        start = place - place % self.block
        return start, min(start + self.block, self._length)


def _running(bits: Bits) -> NDArray[np.uint8]:
    """Parity of the first 0, 1, ..., n bits."""
    return np.concatenate([[0], np.bitwise_xor.accumulate(bits)]).astype(np.uint8)
