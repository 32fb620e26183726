"""Transmitter board for decoy-state BB84 at 1 GHz (docs/qkd-boards.md).

Address: "tcp://HOST:5025". The protocol is this project's own, since no maker publishes one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments import Instrument

from drivers._properties import number
from drivers._qkd_board import ON_OFF, QkdBoard
from labctl.adapter import Framing
from labctl.errors import RequestError

MOST_INDICES = 1_000_000  # of one question


class QkdTransmitter(QkdBoard):
    """Pulses of three intensities and four phases. Intensities are photons per pulse."""

    FRAMING = Framing(timeout=5.0)
    IDENTITY = r"QKDBOARD-TX"
    SETTINGS = (
        "channel", "intensities", "ratio", "basis_probability", "random_phase", "output",
        "random_source", "frame_pulses",
    )  # fmt: skip

    channel = number("TX:INP", "channel of the demultiplexer", (1, 5), "%d")
    basis_probability = number("TX:BAS:PROB", "probability of basis X", (0.0, 1.0))
    random_phase = Instrument.control(
        "TX:PHAS:RAND?", "TX:PHAS:RAND %d",
        "Control whether each pulse gets a random global phase (bool).", **ON_OFF,
    )  # fmt: skip
    output = Instrument.control(
        "TX:OUTP?", "TX:OUTP %d", "Control whether light goes into the channel (bool).", **ON_OFF
    )
    monitor_power = Instrument.measurement(
        "TX:MON:POW?", "Get the power of the comb line at the input in W (float)."
    )
    attenuation = Instrument.measurement(
        "TX:ATT?", "Get what the closed loop attenuates in dB (float)."
    )
    random_source = Instrument.measurement(
        "RNG:SOUR?", 'Get where random settings come from: "QRNG", or a seed in tests (str).',
        cast=str, maxsplit=0,
    )  # fmt: skip

    @property
    def intensities(self) -> tuple[float, float, float]:
        """Control the photons per pulse of signal and two decoys, descending (three floats)."""
        mu, nu1, nu2 = self.values("TX:INT:MEAN?")
        return float(mu), float(nu1), float(nu2)

    @intensities.setter
    def intensities(self, levels: Sequence[float]) -> None:
        if len(levels) != 3 or not 2 >= levels[0] > levels[1] > levels[2] >= 0:
            raise RequestError(
                f"{self.name}: intensities must be three numbers of photons per pulse from 2 "
                f"down to 0, strictly descending, got {levels!r}"
            )
        self.write("TX:INT:MEAN " + ",".join(f"{level:.9g}" for level in levels))
        self.check_set_errors()

    @property
    def ratio(self) -> tuple[int, int, int]:
        """Control how often each intensity is sent (three whole numbers from 1 to 255)."""
        a, b, c = self.values("TX:INT:RAT?", cast=int)
        return int(a), int(b), int(c)

    @ratio.setter
    def ratio(self, weights: Sequence[int]) -> None:
        if len(weights) != 3 or not all(1 <= w <= 255 and w == int(w) for w in weights):
            raise RequestError(
                f"{self.name}: ratio must be three whole numbers from 1 to 255, got {weights!r}"
            )
        self.write("TX:INT:RAT " + ",".join(f"{w:d}" for w in weights))
        self.check_set_errors()

    def settings_of(self, frame: int, indices: NDArray[Any]) -> NDArray[np.uint8]:
        """What was sent in some pulses of a frame: intensity, basis and bit, shape (3, n).

        Intensity 0 is the signal, 1 and 2 the decoys; basis 0 is X.
        """
        found = []
        for begin in range(0, len(indices), MOST_INDICES):
            block = indices[begin : begin + MOST_INDICES].astype("<u4").tobytes()
            digits = str(len(block))
            head = f"TX:SETT? {frame:d},#{len(digits)}{digits}"
            with self.transaction():
                self.write_bytes(head.encode() + block + b"\n")
                found.append(np.frombuffer(self.adapter.read_block(), np.uint8))
        words = np.concatenate(found) if found else np.zeros(0, np.uint8)
        return np.stack([words & 3, words >> 2 & 1, words >> 4 & 1])

    def make_safe(self) -> None:
        """End the run and take the light away."""
        self.stop()
        self.output = False
