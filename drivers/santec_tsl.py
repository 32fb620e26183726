"""Santec TSL-570 tunable laser, over LAN (TCP port 5000), GPIB or USB.

Built on pymeasure's `TSL570` (0.16.0), of which it mends:

* wavelengths and frequencies went out with six digits: 193.41447 THz as 193.414, 470 MHz off;
* what the laser refused was logged, not raised;
* line ends were not set; on LAN both are a carriage return;
* units depend on a setting of the laser that somebody may have changed: here it is asked;
* fine tuning was missing, and nothing waited for the laser to arrive.

`wavelength` is in nm, `frequency` in THz, `power` in dBm, whatever units the laser is set to.
"""

from __future__ import annotations

import warnings
from typing import Any

from pymeasure.adapters import Adapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.santec.tsl570 import TSL570

from drivers._properties import within
from labctl.adapter import Framing
from labctl.errors import RequestError
from labctl.instrument import LabInstrument

ARRIVAL = 30.0  # s that a move may take
SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200)  # nm/s


def _exact(node: str, doc: str) -> Any:
    """A property in the laser's own unit, with all digits."""
    return Instrument.control(f":{node}?", f":{node} %.15g", doc, check_set_errors=True)


class SantecTsl(LabInstrument, TSL570):  # type: ignore[misc]  # pymeasure: no types
    """The laser.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        maximum_power: what may leave the laser, in dBm.
    """

    FRAMING = Framing(write=b"\r", read=b"\r", timeout=5.0)
    IDENTITY = r"(?i)santec,TSL-570"
    SETTINGS = ("wavelength", "fine", "power", "emission")

    power_setpoint = _exact("POW", "Control the power, in the laser's unit (float).")
    wavelength_setpoint = _exact("WAV", "Control the wavelength, in the laser's unit (float).")
    wavelength_start = _exact("WAV:SWE:STAR", "Control where sweeps begin (float).")
    wavelength_stop = _exact("WAV:SWE:STOP", "Control where sweeps end (float).")
    wavelength_step = _exact("WAV:SWE:STEP", "Control the step of step sweeps (float).")
    frequency_setpoint = _exact("FREQ", "Control the frequency, in the laser's unit (float).")
    frequency_start = _exact("FREQ:SWE:STAR", "Control where sweeps begin, as frequency (float).")
    frequency_stop = _exact("FREQ:SWE:STOP", "Control where sweeps end, as frequency (float).")
    frequency_step = _exact("FREQ:SWE:STEP", "Control the step of step sweeps (float).")
    fine = Instrument.control(
        ":WAV:FIN?",
        ":WAV:FIN %.2f",
        """Control the fine tuning (float from -100 to 100); setting a wavelength resets it.""",
        validator=lambda value, limits: within(value, limits, "fine tuning"),
        values=(-100.0, 100.0),
        check_set_errors=True,
    )
    emission = Instrument.control(
        ":POW:STAT?",
        ":POW:STAT %d",
        """Control whether the laser is on (bool).""",
        values={True: 1, False: 0},
        map_values=True,
        check_set_errors=True,
    )

    def __init__(
        self,
        adapter: Adapter | str,
        name: str = "laser",
        maximum_power: float = 13.0,
        **settings: Any,
    ) -> None:
        if not -15.0 <= maximum_power <= 20.0:
            raise RequestError(f"{name}: maximum_power in dBm cannot be {maximum_power!r}")
        self._maximum = maximum_power
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it does speak SCPI
            super().__init__(adapter, name, **settings)

    def _scale(self) -> tuple[float, float]:
        """The laser's units of wavelength and frequency, in nm and THz: code 0 or 1."""
        return (1e9, 1e-12) if int(self.values(":SYST:COMM:COD?", cast=int)[0]) else (1.0, 1.0)

    @property
    def range(self) -> tuple[float, float]:
        """Get the lowest and the highest wavelength in nm (float, float)."""
        scale = self._scale()[0]
        return round(self.wavelength_min * scale, 6), round(self.wavelength_max * scale, 6)

    @property
    def wavelength(self) -> float:
        """Control the wavelength in nm (float); returns when the laser has arrived."""
        return float(self.wavelength_setpoint) * self._scale()[0]

    @wavelength.setter
    def wavelength(self, nanometres: float) -> None:
        wanted = within(nanometres, self.range, f"wavelength in nm of {self.name}")
        self.wavelength_setpoint = wanted / self._scale()[0]
        self._arrive()

    @property
    def frequency(self) -> float:
        """Control the frequency in THz (float); returns when the laser has arrived."""
        return float(self.frequency_setpoint) * self._scale()[1]

    @frequency.setter
    def frequency(self, terahertz: float) -> None:
        ends = sorted(299_792.458 / end for end in self.range)
        wanted = within(terahertz, (ends[0], ends[1]), f"frequency in THz of {self.name}")
        self.frequency_setpoint = wanted / self._scale()[1]
        self._arrive()

    def _arrive(self) -> None:
        self.ask("*OPC?", timeout=ARRIVAL)

    @property
    def power(self) -> float:
        """Control the power in dBm (float); what is read is measured."""
        self._use_dbm()
        return float(self.values(":POW:ACT?")[0])

    @power.setter
    def power(self, dbm: float) -> None:
        wanted = within(dbm, (-15.0, self._maximum), f"power in dBm of {self.name}")
        self._use_dbm()
        self.power_setpoint = wanted

    def _use_dbm(self) -> None:
        if self.power_unit != "dBm":
            self.power_unit = "dBm"

    def sweep(self, start: float, stop: float, speed: int) -> None:
        """Sweep once from `start` to `stop` (nm) with `speed` nm/s; returns when it has begun."""
        low, high = self.range
        begin = within(start, (low, high), f"start in nm of a sweep of {self.name}")
        end = within(stop, (low, high), f"stop in nm of a sweep of {self.name}")
        if not begin < end or speed not in SPEEDS:
            raise RequestError(
                f"{self.name}: a sweep goes upwards, with one of {', '.join(map(str, SPEEDS))} "
                f"nm/s; got {start!r} to {stop!r} nm with {speed!r} nm/s"
            )
        scale = self._scale()[0]
        self.wavelength_start, self.wavelength_stop = begin / scale, end / scale
        self.write(f":WAV:SWE:MOD 1;:WAV:SWE:SPE {speed};:WAV:SWE 1")
        self.check_set_errors()

    @property
    def sweeping(self) -> bool:
        """Get whether a sweep runs or is being prepared (bool)."""
        return int(self.values(":WAV:SWE?", cast=int)[0]) != 0

    def make_safe(self) -> None:
        """Switch the laser off."""
        self.emission = False

    def shutdown(self) -> None:
        """What pymeasure calls at the end of a `with` block: make safe."""
        self.make_safe()
        Instrument.shutdown(self)
