"""Keysight PNA network analysers over SCPI: pymeasure's class with what a measurement needs.

- pymeasure's class can only read what somebody has set up by hand; here `sweep` sets frequencies,
  points, bandwidth and power, and returns all S parameters of one sweep;
- its constructor writes to the instrument before anybody knows who answers; here it is silent;
- binary data were read in the computer's byte order whatever FORMat:BORDer says; text data came as
  strings;
- nobody read the error queue; waiting for a sweep depended on the connection's own timeout.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments.keysight import KeysightPNA as PymeasurePNA

from labctl.adapter import ByteAdapter
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

PARAMETERS = ("S11", "S12", "S21", "S22")
NAMES = {parameter: f"labctl_{parameter}" for parameter in PARAMETERS}


class KeysightPna(LabInstrument, PymeasurePNA):  # type: ignore[misc]  # pymeasure has no types
    """One channel of a calibrated two-port analyser. Frequencies in Hz, power in dBm.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        maximum_power: most port power (dBm) that the sample stands.
    """

    IDENTITY = r"(Keysight|Agilent) Technologies, ?(N52|N53|E83|E88|M9)"
    SETTINGS = ("bandwidth", "power", "points")

    def __init__(
        self, adapter: Any, name: str = "vna", maximum_power: float = -10.0, **settings: Any
    ) -> None:
        self._silent = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            super().__init__(adapter, name, **settings)
        self._silent = False
        self.maximum_power = maximum_power

    def write(self, command: str, **kwargs: Any) -> None:
        if not self._silent:
            super().write(command, **kwargs)

    def update_channels(self) -> None:
        """Channels are those of `sweep`; what else is set up on the instrument does not matter."""

    @property
    def bandwidth(self) -> float:
        """Get the IF bandwidth in Hz (float)."""
        return float(self.values("SENS1:BWID?")[0])

    @property
    def power(self) -> float:
        """Get the port power in dBm (float)."""
        return float(self.values("SOUR1:POW1?")[0])

    @property
    def points(self) -> int:
        """Get the number of points of a sweep (int)."""
        return int(self.values("SENS1:SWE:POIN?")[0])

    def sweep(
        self, start: float, stop: float, points: int, bandwidth: float = 1000.0,
        power: float = -10.0,
    ) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:  # fmt: skip
        """Sweep both ports once; returns frequencies (Hz) and S parameters (points, 2, 2).

        Raises:
            RequestError: more power than the sample stands, or no interval.
            InstrumentError: the instrument refuses a setting.
        """
        if not 0 < start < stop:
            raise RequestError(f"{self.name}: cannot sweep from {start:g} to {stop:g} Hz")
        if not power <= self.maximum_power:
            raise RequestError(
                f"{self.name}: a port power of {power!r} dBm is above what the sample stands, "
                f"{self.maximum_power:g} dBm"
            )
        for command in (
            "FORM REAL,64", "FORM:BORD SWAP", "TRIG:SOUR IMM", f"SENS1:BWID {bandwidth:.12g}",
            f"SENS1:SWE:POIN {points}", f"SENS1:FREQ:STAR {start:.12g}",
            f"SENS1:FREQ:STOP {stop:.12g}", f"SOUR1:POW1 {power:.12g}", "SENS1:AVER:STAT OFF",
        ):  # fmt: skip
            self.write(command)
        known = self.ask("CALC1:PAR:CAT:EXT?").strip().strip('"').split(",")
        for parameter, name in NAMES.items():
            if name not in known:
                self.write(f"CALC1:PAR:EXT '{name}','{parameter}'")
        self.write("OUTP 1")
        self.check_set_errors()
        time = 2.0 * points / bandwidth
        self.write("SENS1:SWE:MODE SING")
        self.clock.sleep(time)
        self.ask("*OPC?", timeout=10.0 + time)
        frequencies = self._block("CALC1:X?")
        data = np.empty((len(frequencies), 2, 2), dtype=complex)
        for parameter, name in NAMES.items():
            self.write(f"CALC1:PAR:SEL '{name}'")
            pairs = self._block("CALC1:DATA? SDATA")
            if len(pairs) != 2 * len(frequencies):
                raise InstrumentError(
                    f"{self.name}: 'CALC1:DATA? SDATA' was answered with {len(pairs)} numbers, not "
                    f"with {2 * len(frequencies)}; sweep again"
                )
            row, column = int(parameter[1]) - 1, int(parameter[2]) - 1
            data[:, row, column] = pairs[::2] + 1j * pairs[1::2]
        self.check_set_errors()
        return frequencies, data

    def _block(self, query: str) -> NDArray[np.float64]:
        adapter: ByteAdapter = self.adapter
        with self.transaction():
            self.write(query)
            return np.frombuffer(adapter.read_block(), dtype="<f8").astype(np.float64)

    def make_safe(self) -> None:
        """Switch the ports' power off."""
        self.write("OUTP 0")
        self.check_set_errors()
