"""Two lasers, their boosters and two power meters around a microring.

The auxiliary laser is tuned into its resonance from the blue until it is half absorbed: from then
on it holds the ring's temperature, for whatever heats the ring pushes it out of its resonance.

Frequencies are in MHz relative to where the pump stood at the begin, unless named otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.errors import InstrumentError

if TYPE_CHECKING:
    from drivers.amonics_edfa import AmonicsEdfa
    from drivers.itla import Itla
    from drivers.thorlabs_pm100 import ThorlabsPm100
    from drivers.toptica_dlcpro import TopticaDlcPro
    from labctl.procedure import LabProcedure

SPEED_OF_LIGHT = 299_792_458.0  # m/s

INSTRUMENTS = (
    "chip", "auxiliary", "pump", "auxiliary_amplifier", "pump_amplifier", "comb_meter",
    "auxiliary_meter",
)  # fmt: skip

PIEZO_CENTRE = 70.0  # V
SETTLE = 0.15  # s from a step of a laser to a reading: the ring is where it will be
READY = 3.0  # s within which a booster must reach its power
AUXILIARY_STEP = 100.0  # MHz
AUXILIARY_RANGE = 11_500.0  # MHz of fine tuning either side
HALF_ABSORBED = 0.5  # transmission at which the auxiliary laser holds the ring's temperature


class RingLight:
    """What shines into the ring, and what is seen of it.

    Args:
        procedure: that needs the light; its bench has the instruments, it is told what happens.
        temperature: of the chip, degC.
        pump_power, auxiliary_power: of the boosters, mW.
        wavelength: nm at which the cold resonance is expected.
        auxiliary_frequency: THz at which the auxiliary laser's cold resonance is expected.
    """

    def __init__(
        self,
        procedure: LabProcedure,
        *,
        temperature: float = 25.0,
        pump_power: float = 3500.0,
        auxiliary_power: float = 3200.0,
        wavelength: float = 1556.0025,
        auxiliary_frequency: float = 193.109,
    ) -> None:
        bench = procedure.bench
        self.clock = bench.clock
        self.procedure = procedure
        self.show = procedure.show
        self.chip: Any = bench["chip"]
        self.auxiliary: Itla = bench["auxiliary"]
        self.pump: TopticaDlcPro = bench["pump"]
        self.auxiliary_amplifier: AmonicsEdfa = bench["auxiliary_amplifier"]
        self.pump_amplifier: AmonicsEdfa = bench["pump_amplifier"]
        self.comb_meter: ThorlabsPm100 = bench["comb_meter"]
        self.auxiliary_meter: ThorlabsPm100 = bench["auxiliary_meter"]
        self._temperature = temperature
        self._pump_power, self._auxiliary_power = pump_power, auxiliary_power
        self.resonance = SPEED_OF_LIGHT / wavelength * 1e-3  # THz
        self._auxiliary_resonance = auxiliary_frequency
        self._fine = AUXILIARY_RANGE  # MHz
        self._volts = PIEZO_CENTRE
        self._averaging = 0  # readings of the comb meter, as set; 0: not yet

    # ---------------------------------------------------------------- light on and off

    def power_up(self, auxiliary: bool) -> None:
        """Temperature, lasers far on the blue side, then boosters."""
        self.chip.settle(self._temperature)
        for meter in (self.comb_meter, self.auxiliary_meter):
            meter.auto_range = True
        self.auxiliary_meter.averaging = 1
        self.average(1)
        if auxiliary:
            self.auxiliary.frequency = round(self._auxiliary_resonance + 1.5e-3 - 11.5e-3, 4)
            self.auxiliary.emission = True
            self.auxiliary.mode = "whisper"  # the dither would shake the ring's temperature
            self.tune_auxiliary(AUXILIARY_RANGE)
            self._boost(self.auxiliary_amplifier, self._auxiliary_power)
        self.park(self.resonance + 20e-3)
        self.pump.emission = True
        self._boost(self.pump_amplifier, self._pump_power)

    def power_down(self) -> None:
        """Boosters first: they must not lose their input."""
        self.pump_amplifier.emission = False
        self.auxiliary_amplifier.emission = False
        self.pump.emission = False
        self.auxiliary.emission = False

    def _boost(self, amplifier: AmonicsEdfa, milliwatt: float) -> None:
        amplifier.setpoint = milliwatt
        amplifier.emission = True
        deadline = self.clock.now() + READY
        while abs(amplifier.output_power / milliwatt - 1.0) > 0.02:
            if self.clock.now() > deadline:
                raise InstrumentError(
                    f"{amplifier.name}: gives {amplifier.output_power:.0f} mW instead of "
                    f"{milliwatt:g} mW; check its input and its pump"
                )
            self.clock.sleep(0.1)

    # ---------------------------------------------------------------- lasers

    def park(self, terahertz: float) -> None:
        """Tune the pump with its motor, piezo at rest."""
        self.pump.piezo_voltage = self._volts = PIEZO_CENTRE
        self.pump.tune(SPEED_OF_LIGHT / terahertz * 1e-3)

    def move_pump(self, megahertz: float) -> None:
        """Move the pump; positive is towards the red."""
        self._volts -= megahertz * 1e-3 / self.pump.piezo_gain
        self.pump.piezo_voltage = self._volts
        self.clock.sleep(SETTLE)

    @property
    def offset(self) -> float:
        """How far the piezo has moved the pump to the red, MHz."""
        return (PIEZO_CENTRE - self._volts) * self.pump.piezo_gain * 1e3

    @property
    def wavelength(self) -> float:
        """Where the pump is, nm: the motor's reading and what the piezo adds."""
        frequency = SPEED_OF_LIGHT / self.pump.wavelength * 1e-3 - self.offset * 1e-6
        return SPEED_OF_LIGHT / frequency * 1e-3

    def tune_auxiliary(self, megahertz: float) -> None:
        """Fine tuning of the auxiliary laser, to the blue of its channel."""
        self._fine = megahertz
        self.auxiliary.fine_tuning = megahertz
        self.clock.sleep(SETTLE)

    def move_auxiliary(self, megahertz: float) -> None:
        """Move the auxiliary laser; positive is towards the red."""
        self.tune_auxiliary(round(self._fine - megahertz))

    def comb(self) -> float:
        """Power at the comb meter, W."""
        self.average(1)
        return float(self.comb_meter.power)

    def average(self, readings: int) -> None:
        """Let the comb meter average so many readings."""
        if readings != self._averaging:
            self.comb_meter.averaging = self._averaging = readings

    def engage_auxiliary(self) -> float:
        """Tune the auxiliary laser in; returns by how much it has shifted the ring, MHz.

        Raises:
            InstrumentError: it was not absorbed within its range, or fell out on the red side.
        """
        self.clock.sleep(1.0)
        free = float(self.auxiliary_meter.power)
        if free <= 0:
            raise InstrumentError(
                f"{self.auxiliary_meter.name}: sees no light of the auxiliary laser; check its path"
            )
        touched: float | None = None
        lowest = 1.0
        while self._fine > -AUXILIARY_RANGE:
            self.move_auxiliary(AUXILIARY_STEP)
            passing = float(self.auxiliary_meter.power) / free
            lowest = min(lowest, passing)
            if touched is None and passing < 0.95:
                touched = self._fine
            self.show("auxiliary laser passing", 100 * passing, "%")
            if passing <= HALF_ABSORBED:
                return (touched if touched is not None else self._fine) - self._fine
            if passing > 0.97 and lowest < 0.9:
                break
        raise InstrumentError(
            f"{self.auxiliary.name}: could not be held in its resonance (least transmission "
            f"{100 * lowest:.0f} %); check auxiliary_frequency, and the power of its booster"
        )
