"""Rohde & Schwarz SMA, SMB, SMF, SGS and relatives: CW frequency, level and RF output, over SCPI.

pymeasure has no class for them. A value out of range is refused by the instrument, which keeps the
old one; the error queue is read after each setting.
"""

from __future__ import annotations

from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.validators import strict_discrete_set

from labctl.errors import RequestError
from labctl.instrument import LabInstrument


class RohdeSchwarzGenerator(LabInstrument):
    """One output. Frequencies in Hz, levels in dBm.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        maximum_power: most level (dBm) that what is connected stands.
    """

    IDENTITY = r"Rohde ?& ?Schwarz,S(M|G)[A-Z]\d*"
    SETTINGS = ("frequency", "power", "output", "reference")

    frequency = Instrument.control(
        "FREQ?", "FREQ %.3f", "Control the frequency in Hz (float).", check_set_errors=True
    )
    _power = Instrument.control(
        "POW?", "POW %.2f", "Control the level in dBm (float).", check_set_errors=True
    )
    output = Instrument.control(
        "OUTP?", "OUTP %d", "Control whether power leaves the generator (bool).",
        validator=strict_discrete_set, values={True: 1, False: 0}, map_values=True,
        check_set_errors=True,
    )  # fmt: skip
    reference = Instrument.measurement(
        "ROSC:SOUR?", """Get which 10 MHz reference is used: "internal" or "external".""",
        values={"internal": "INT", "external": "EXT"}, map_values=True,
    )  # fmt: skip

    def __init__(
        self, adapter: Any, name: str = "generator", maximum_power: float = 13.0, **settings: Any
    ) -> None:
        super().__init__(adapter, name, **settings)
        self.maximum_power = maximum_power

    @property
    def power(self) -> float:
        """Control the level in dBm (float)."""
        return float(self._power)

    @power.setter
    def power(self, dbm: float) -> None:
        if isinstance(dbm, bool) or not dbm <= self.maximum_power:
            raise RequestError(
                f"{self.name}: a level of {dbm!r} dBm is above what is connected stands, "
                f"{self.maximum_power:g} dBm"
            )
        self._power = dbm

    def make_safe(self) -> None:
        """Switch the output off."""
        self.output = False
