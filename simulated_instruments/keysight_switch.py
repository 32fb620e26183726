"""Simulated optical switch Keysight N7734A, 1 x 13, SCPI.

Command and channel list as in the maker's programming guide of the N77 series:
`:ROUTe[n][:CHANnel[m]] A,<port>`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.world import World

__all__ = ["SimKeysightSwitch", "SwitchModel"]

PORTS = 13
LOSS_DB, PORT_SPREAD_DB, REPEATS_DB = 0.7, 0.05, 0.01
CROSSTALK_DB = -55.0
DEAD = 5e-3  # s without light while it moves


class SwitchModel:
    """One fibre that is connected with one of `ports` others."""

    def __init__(
        self, seed_of: Callable[[str], int], name: str = "switch", ports: int = PORTS
    ) -> None:
        self._seed_of, self._name = seed_of, name
        self.ports = ports
        self.port = 1
        self.arrives = 0.0  # s
        self._moves = 0
        self._fixed = self._rng("ports").standard_normal(ports) * PORT_SPREAD_DB
        self._last = 0.0
        self.now = 0.0

    def _rng(self, what: str) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(self._seed_of(f"{self._name}.{what}")))

    def move(self, port: int) -> None:
        """Connect another port; light comes back 5 ms later."""
        if port == self.port:
            return
        self._moves += 1
        self.port, self.arrives = port, self.now + DEAD
        self._last = REPEATS_DB * float(self._rng(f"move.{self._moves}").standard_normal())

    def transmissions(self, t: float) -> np.ndarray:
        """From each port to the common one, (ports,), at time `t` (s) since the last move."""
        found = np.full(self.ports, 10.0 ** ((CROSSTALK_DB - LOSS_DB) / 10.0))
        decibel = LOSS_DB + self._fixed[self.port - 1] + self._last
        found[self.port - 1] = 0.0 if t < self.arrives else 10.0 ** (-decibel / 10.0)
        return found

    def advance(self, now: float) -> None:
        """Keep the time."""
        self.now = now


class SimKeysightSwitch(ScpiInstrument):
    """The command set, in front of a `SwitchModel` that the world may have put there."""

    identity = "Keysight Technologies,N7734A,DE00000001,V2.0"
    CLIPS = False

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: SwitchModel = world.part(name, lambda: SwitchModel(world.seed_of, name))
        self.model.advance(world.now)

    def pending_until(self) -> float:
        return self.model.arrives

    def reset(self) -> None:
        self.model.move(1)

    @scpi(":ROUTe{1}[:CHANnel{1}]")
    def _route(self, letter: str, port: str) -> None:
        if letter.upper() != "A":
            raise ScpiError(-222, "input")
        self.model.move(round(self.number(port, 1, self.model.ports)))

    @scpi(":ROUTe{1}[:CHANnel{1}]?")
    def _routed(self) -> str:
        return f"A,{self.model.port}"

    @scpi(":ROUTe{1}:CONFig?")
    def _configuration(self) -> str:
        return f"A;1,{self.model.ports}"
