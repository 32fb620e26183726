"""Simulated transmitter board for decoy-state BB84; the protocol is docs/qkd-boards.md."""

from __future__ import annotations

import string
from typing import ClassVar

import numpy as np

from simulated_instruments._qkd_board import (
    SETTINGS_CONFLICT,
    Number,
    QkdBoard,
    ScpiError,
    Switch,
    scpi,
)
from simulated_instruments.instrument import Port
from simulated_instruments.physics.decoy_bb84 import Link
from simulated_instruments.physics.qkd_boards import TransmitterModel
from simulated_instruments.protocol.scpi_syntax import boolean
from simulated_instruments.world import World

__all__ = ["SimQkdTransmitter", "TransmitterModel"]

MOST_INDICES = 1_000_000


class SimQkdTransmitter(QkdBoard):
    """The command set, in front of the transmitter that it shares with the world."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "OWN,QKDBOARD-TX,0001,0.1"
    SETTINGS = (
        Number("TX:INPut", "channel", 1, 5, 1, integer=True),
        Number("TX:BASis:PROBability", "basis", 0.0, 1.0, 0.5),
        Switch("TX:PHASe:RANDom", "random_phase"),
    )

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: TransmitterModel = world.part(
            name, lambda: TransmitterModel(world.seed_of, name)
        )

    @scpi("RUN:STATe?")
    def _state(self) -> str:
        if any(self.model.faults.values()):
            return "FAULT"
        return "RUN" if self.model.started is not None else "IDLE"

    @scpi("TX:INTensity:MEAN")
    def _set_levels(self, mu: str, nu1: str, nu2: str) -> None:
        levels = [self.number(text, 0.0, 2.0) for text in (mu, nu1, nu2)]
        if not levels[0] > levels[1] > levels[2]:
            raise ScpiError(-222, "must descend")
        self.model.levels = (levels[0], levels[1], levels[2])

    @scpi("TX:INTensity:MEAN?")
    def _levels(self) -> str:
        return ",".join(map(self.number_text, self.model.levels))

    @scpi("TX:INTensity:RATio")
    def _set_weights(self, a: str, b: str, c: str) -> None:
        weights = [round(self.number(text, 1, 255)) for text in (a, b, c)]
        self.model.weights = (weights[0], weights[1], weights[2])

    @scpi("TX:INTensity:RATio?")
    def _weights(self) -> str:
        return ",".join(map(str, self.model.weights))

    @scpi("TX:OUTPut")
    def _set_output(self, data: str) -> None:
        on = boolean(data)
        if on and (fault := self.model.light_fault()):
            self.model.faults[fault] = True
            raise ScpiError(SETTINGS_CONFLICT, fault)
        self.model.output = on

    @scpi("TX:OUTPut?")
    def _output(self) -> bool:
        return self.model.output

    @scpi("TX:MONitor:POWer?")
    def _monitor(self) -> str:
        return f"{self.model.monitor_w:.6e}"

    @scpi("TX:ATTenuation?")
    def _attenuation(self) -> str:
        return f"{self.model.attenuation_db:.1f}"

    @scpi("TX:SETTings?", block=True)
    def _settings(self, frame: str, indices: bytes) -> bytes:
        if not isinstance(indices, bytes) or len(indices) % 4 or not indices:
            raise ScpiError(-104, "block of u32")
        if len(indices) > 4 * MOST_INDICES:
            raise ScpiError(-222, f"at most {MOST_INDICES} indices")
        model = self.model
        numbers = np.frombuffer(indices, "<u4").astype(np.int64)
        if numbers.max() >= model.frame_pulses:
            raise ScpiError(-222, "index outside the frame")
        link = Link(model.levels, model.weights, model.basis)
        found = model.settings(round(self.number(frame, 0, 2**32 - 1)), numbers, link)
        phase = 2 * found.bit + found.basis
        payload = (found.intensity | found.basis << 2 | phase << 3).astype(np.uint8).tobytes()
        digits = str(len(payload))
        return f"#{len(digits)}{digits}".encode() + payload

    # ------------------------------------------------- random numbers

    @scpi("RNG:TEST")
    def _set_test(self, data: str) -> None:
        self.forbid_running()
        self.model.test = boolean(data)
        if not self.model.test:
            self.model.given_seed = None

    @scpi("RNG:TEST?")
    def _test(self) -> bool:
        return self.model.test

    @scpi("RNG:SOURce")
    def _set_rng(self, source: str, seed: str = "") -> None:
        self.forbid_running()
        if source.upper() == "QRNG" and not seed:
            self.model.given_seed = None
        elif source.upper() == "SEED" and seed and set(seed) <= set(string.hexdigits):
            if not self.model.test:
                raise ScpiError(SETTINGS_CONFLICT, "RNG:TEST is off")
            self.model.given_seed = int(seed[:16], 16)
        else:
            raise ScpiError(-224)

    @scpi("RNG:SOURce?")
    def _rng(self) -> str:
        seed = self.model.given_seed
        return "QRNG" if seed is None else f"SEED,{seed:X}"
