"""Light that reaches the users of an entanglement network, in blocks of 10 ms.

What the light is follows from everything between the lasers and the receivers, looked at when a
block begins. The states of blocks are noted as time goes on, before anybody changes a setting, so
photons may be drawn later and still be those of their time; and only while somebody counts them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.franson import same_outcome
from simulated_instruments.physics.pair_source import SUMS
from simulated_instruments.physics.pair_tags import Link, Singles, draw

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BLOCK_PS = 10_000_000_000
BLOCK_S = BLOCK_PS * 1e-12
KEPT = 400  # blocks of photons: taggers that ask later have them drawn again
NOTED = 1000  # stretches of states


@dataclass(frozen=True)
class LightState:
    """The light at some times, one row for each."""

    pairs: Floats  # (times, 3) 1/s, in the order of `pair_source.SUMS`
    linear: Floats  # (times,) photons/s in each channel
    phases: Floats  # (times, users, 2) rad, of the interferometers of both bases
    pump_phases: Floats  # (times, 3) rad, that the pumps' frequencies add to a pair
    arrive: Floats  # (times, channels, users) probability that a photon arrives

    def at(self, row: int) -> LightState:
        """One time alone, still as one row."""
        return LightState(
            *(
                part[row : row + 1]
                for part in (self.pairs, self.linear, self.phases, self.pump_phases, self.arrive)
            )
        )


@dataclass(frozen=True)
class Receivers:
    """What does not change."""

    channels: tuple[int, ...]
    users: int
    excess: tuple[float, ...]  # by channel: photons over those that the ring emits into it
    delays_ps: tuple[int, ...]  # by channel
    path_ps: int
    visibility: float
    linewidth_hz: float


class NetworkLight:
    """Photons at the detectors of all users.

    Args:
        look: what the light is at times (s).
        receivers: what does not change.
        seed_of: seeds by name.
        watched: whether anybody counts photons at the moment.
    """

    def __init__(
        self,
        look: Callable[[Floats], LightState],
        receivers: Receivers,
        seed_of: Callable[[str], int],
        watched: Callable[[], bool],
    ) -> None:
        self._look = look
        self._receivers = receivers
        self._seed = seed_of("light")
        self._watched = watched
        self._next = 0  # first block whose state is not noted
        self._noted: list[tuple[int, LightState]] = []
        self._asked = -1.0  # s, when `rate` was asked for last, and what it looked at
        self._found: tuple[Sequence[Link], Sequence[Singles]] = ((), ())
        self._drawn: OrderedDict[int, list[Ints]] = OrderedDict()
        number = {channel: place for place, channel in enumerate(receivers.channels)}
        self._partners = [
            (process, number[a], number[total - a])
            for process, total in enumerate(SUMS)
            for a in receivers.channels
            if 2 * a < total and total - a in number
        ]

    def advance(self, now: float) -> None:
        """Note the states of all blocks that begin up to `now` (s)."""
        last = int(now / BLOCK_S)
        if not self._watched():
            self._next = max(self._next, last)  # the one in which somebody may begin to count
            return
        self.note(self._next, last + 1)
        self._next = max(self._next, last + 1)

    def note(self, first: int, end: int) -> None:
        """Look at blocks `first` to `end` - 1."""
        if end > first:
            times = BLOCK_S * np.arange(first, end)
            self._noted = [*self._noted[-NOTED:], (first, self._look(times))]

    def state(self, block: int) -> LightState:
        """The light when a block begins."""
        for first, states in reversed(self._noted):
            if first <= block < first + len(states.linear):
                return states.at(block - first)
        # nobody counted when it began: it is looked at now
        return self._look(np.array([block * BLOCK_S]))

    def arrivals(self, block: int) -> list[Ints]:
        """Sorted arrival times (ps) at each detector of all users in one block."""
        if block not in self._drawn:
            if len(self._drawn) >= KEPT:
                self._drawn.popitem(last=False)
            links, singles = self.sources(self.state(block))
            self._drawn[block] = draw(
                self._seed ^ (block * 0x9E3779B97F4A7C15 & (2**63 - 1)),
                block * BLOCK_PS,
                BLOCK_PS,
                links,
                singles,
                self._receivers.users,
                linewidth_hz=self._receivers.linewidth_hz,
                path_ps=self._receivers.path_ps,
            )
        return self._drawn[block]

    def rate(self, user: int, t: float) -> float:
        """Photons/s that reach a user at time `t` (s)."""
        if self._asked != t:
            self._asked, self._found = t, self.sources(self._look(np.array([t])))
        links, singles = self._found
        arriving = sum(one.rate for one in singles if one.user == user)
        return arriving + sum(link.rate * link.users.count(user) for link in links)

    def sources(self, state: LightState) -> tuple[Sequence[Link], Sequence[Singles]]:
        """Links and single photons of a state of one row."""
        known = self._receivers
        arrive = state.arrive[0]
        emitted = np.full(len(known.channels), state.linear[0] + state.pairs[0].sum())
        # (channels, users): a photon that arrives belongs to one user, whatever else it is
        reaching = emitted[:, None] * np.array(known.excess)[:, None] * arrive
        links = []
        for process, a, b in self._partners:
            rate = float(state.pairs[0, process])
            for user in np.flatnonzero(arrive[a]).tolist():
                for other in np.flatnonzero(arrive[b]).tolist():
                    both = rate * float(arrive[a, user] * arrive[b, other])
                    reaching[a, user] -= both
                    reaching[b, other] -= both
                    if both > 0.0:
                        total = (
                            state.phases[0, user][:, None]
                            + state.phases[0, other]
                            + state.pump_phases[0, process]
                        )
                        same = same_outcome(known.visibility, total).ravel().tolist()
                        delays = (known.delays_ps[a], known.delays_ps[b])
                        links.append(Link((user, other), both, tuple(same), delays))
        alone = np.maximum(reaching, 0.0).sum(axis=0).tolist()
        return links, [Singles(user, rate) for user, rate in enumerate(alone) if rate > 0.0]
