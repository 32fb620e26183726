"""The pumps of the entanglement network: ring temperature, laser frequencies, powers.

A wavemeter reads both lasers in turn and holds them through its regulation outputs. Attenuators
set the powers; the power meter sees a tap of both pumps together, so each is set while the other's
shutter is closed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

from labctl.errors import InstrumentError
from labctl.parameters import number

if TYPE_CHECKING:
    from drivers.agilent_voa import Agilent8156A
    from drivers.highfinesse_ws import HighFinesseWs
    from drivers.meerstetter_tec import MeerstetterTec
    from drivers.thorlabs_pm100 import ThorlabsPm100
    from drivers.toptica_dlcpro import TopticaDlcPro
    from labctl.bench import Bench

SPEED_OF_LIGHT = 299_792_458.0  # m/s
PUMPS = (1, 2)  # also their channels of the wavemeter
STEADY = (0.003, 10.0)  # degC for s, before the ring counts as settled: 3 mK are 7.5 MHz
LOOK = 0.1  # s between looks at lasers that are pulled in
HELD = 20  # looks in a row within the limit that count as held
PULL_IN = 20.0  # s that this may take
TRIES = 3  # to get a lost laser back
POWER_TRIES = 40  # moves of an attenuator: it repeats to 0.05 dB only
FIRST_ATTENUATION = 20.0  # dB, to begin with
TAP = 0.1  # part of the pump light that the power meter gets


class PumpMeasurement:
    """Parameters and steps of a measurement with both pumps; combine with `LabProcedure`."""

    bench: Bench
    note: Any
    show: Any

    PUMP_INSTRUMENTS: ClassVar[tuple[str, ...]] = (
        "tec", "laser_1", "laser_2", "wavemeter", "voa_1", "voa_2", "monitor", "behind",
    )  # fmt: skip

    temperature: float = number(
        "Temperature", 30.0, unit="degC", minimum=10, maximum=60,
        meaning="of the ring: its resonances are on the ITU grid there",
    )  # fmt: skip
    frequency_1: float = number(
        "Frequency 1", 193.4, unit="THz", minimum=186.3, maximum=198.5, meaning="pump 1, C34"
    )
    frequency_2: float = number(
        "Frequency 2", 194.6, unit="THz", minimum=186.3, maximum=198.5, meaning="pump 2, C46"
    )
    sensitivity: float = number(
        "Sensitivity", 0.5, unit="GHz/V", minimum=-100, maximum=100,
        meaning="answer of the lasers to the wavemeter's regulation outputs",
    )  # fmt: skip
    regulation: float = number(
        "Regulation", 10.0, unit="1/s", minimum=0.1, maximum=90,
        meaning="integral part of the wavemeter's regulation",
    )  # fmt: skip
    laser_limit: float = number(
        "Laser limit", 10.0, unit="MHz", minimum=1, maximum=1000,
        meaning="a laser further away is lost: the ring's resonance is 200 MHz wide",
    )  # fmt: skip
    power_tolerance: float = number(
        "Power tolerance", 0.5, unit="%", minimum=0.05, maximum=10,
        meaning="to which each pump's power is set",
    )  # fmt: skip

    def start_pumps(self) -> None:
        """Shutters closed; ring at its temperature, both lasers on and held."""
        self.tec: MeerstetterTec = self.bench["tec"]
        self.wavemeter: HighFinesseWs = self.bench["wavemeter"]
        self.lasers: list[TopticaDlcPro] = [self.bench[f"laser_{n}"] for n in PUMPS]
        self.attenuators: list[Agilent8156A] = [self.bench[f"voa_{n}"] for n in PUMPS]
        self.monitor: ThorlabsPm100 = self.bench["monitor"]
        self.behind: ThorlabsPm100 = self.bench["behind"]
        self._power = 0.0  # mW, what the attenuators are set to
        self._settings: dict[int, float] = {}  # dB
        for attenuator in self.attenuators:
            attenuator.output = False
        self.tec.stability_window, self.tec.stability_time = STEADY
        self.tec.settle(self.temperature)
        for laser, frequency in zip(self.lasers, self._frequencies, strict=True):
            laser.tune(wavelength(frequency))
            laser.emission = True
        for meter in (self.monitor, self.behind):
            meter.wavelength = wavelength(sum(self._frequencies) / 2)
            meter.averaging = 10
            meter.auto_range = True
        self.wavemeter.measuring = True
        self.wavemeter.switching = True
        self.wavemeter.channels_in_use = list(PUMPS)
        self.wavemeter.regulation = False
        for channel, frequency in zip(PUMPS, self._frequencies, strict=True):
            self.wavemeter.channels[channel].regulate(
                frequency, self.sensitivity, i=self.regulation
            )
        self.wavemeter.regulation = True
        self.bench.clock.sleep(LOOK)
        self._pull_in()

    def stop_pumps(self) -> None:
        """Shutters closed, lasers dark, outputs left alone."""
        for n in PUMPS:
            self.bench[f"voa_{n}"].output = False
            self.bench[f"laser_{n}"].emission = False
        self.bench["wavemeter"].regulation = False

    @property
    def _frequencies(self) -> tuple[float, float]:
        return self.frequency_1, self.frequency_2

    # --- frequencies ----------------------------------------------------------------------------

    def laser_errors(self) -> tuple[float, float]:
        """How far both lasers are from where they should be (MHz); inf if there is no reading."""
        first, second = (
            self._laser_error(channel, wanted)
            for channel, wanted in zip(PUMPS, self._frequencies, strict=True)
        )
        return first, second

    def _laser_error(self, channel: int, wanted: float) -> float:
        try:
            return float(self.wavemeter.channels[channel].frequency - wanted) * 1e6
        except InstrumentError:  # dark, or on several modes
            return math.inf

    def lasers_held(self) -> bool:
        """Whether both lasers are where they should be."""
        return max(map(abs, self.laser_errors())) <= self.laser_limit

    def recover_lasers(self) -> None:
        """Get lost lasers back; a laser that is a mode away is tuned anew.

        Raises:
            InstrumentError: a laser cannot be held.
        """
        for _ in range(TRIES):
            for n, error in enumerate(self.laser_errors()):
                if abs(error) > self.laser_limit:
                    how_far = f"{error:+.0f} MHz away" if math.isfinite(error) else "not seen"
                    self.note(f"laser {n + 1} is lost ({how_far}): tuned anew")
                    self.lasers[n].emission = True
                    self.lasers[n].tune(wavelength(self._frequencies[n]))
            self.wavemeter.regulation = False
            self.wavemeter.regulation = True  # what it has summed up begins anew
            try:
                self._pull_in()
            except InstrumentError:
                continue
            return
        self._pull_in()

    def _pull_in(self) -> None:
        """Wait until both lasers have been held for a while."""
        deadline = self.bench.clock.now() + PULL_IN
        held = 0
        while held < HELD:
            held = held + 1 if self.lasers_held() else 0
            if self.bench.clock.now() > deadline:
                errors = ", ".join(f"{error:+.1f}" for error in self.laser_errors())
                raise InstrumentError(
                    f"wavemeter: the lasers are {errors} MHz from their set points after "
                    f"{PULL_IN:g} s; check sensitivity, sign and range of the regulation"
                )
            self.bench.clock.sleep(LOOK)

    # --- powers ---------------------------------------------------------------------------------

    def set_power(self, total_mw: float) -> None:
        """Bring both pumps together to a power (mW) in front of the ring, half each."""
        if total_mw == self._power:
            return
        for n, attenuator in enumerate(self.attenuators):
            self.attenuators[1 - n].output = False
            attenuator.output = True
            self._set_one(n, attenuator, total_mw / 2.0)
        for attenuator in self.attenuators:
            attenuator.output = True
        self._power = total_mw

    def pump_power(self) -> float:
        """Power (mW) of both pumps in front of the ring."""
        return float(self.monitor.power * 1e3 * (1.0 - TAP) / TAP)

    def _set_one(self, n: int, attenuator: Agilent8156A, wanted_mw: float) -> None:
        setting = self._settings.get(n, FIRST_ATTENUATION)
        for _ in range(POWER_TRIES):
            attenuator.attenuation = setting
            found = self.pump_power()
            if not found > 0.0:
                raise InstrumentError(
                    f"monitor: no light of pump {n + 1} with its shutter open; check laser, "
                    "attenuator and tap"
                )
            if abs(found / wanted_mw - 1.0) <= self.power_tolerance / 100.0:
                self._settings[n] = setting
                return
            setting += 10.0 * math.log10(found / wanted_mw)
            low, high = attenuator.attenuation_range
            if not low <= setting <= high:
                raise InstrumentError(
                    f"{attenuator.name}: {wanted_mw:g} mW of pump {n + 1} need {setting:.1f} dB, "
                    f"it has {low:g} to {high:g} dB; check laser power and tap"
                )
        raise InstrumentError(
            f"{attenuator.name}: {wanted_mw:g} mW were missed {POWER_TRIES} times, last "
            f"{found:.4g} mW; allow a larger power_tolerance"
        )


def wavelength(frequency_thz: float) -> float:
    """Vacuum wavelength (nm) of a frequency (THz)."""
    return SPEED_OF_LIGHT / frequency_thz * 1e-3
