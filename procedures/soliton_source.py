"""Bring a microring to a single soliton, from measurements alone, and hold it there.

The auxiliary laser is tuned into its resonance from the blue until it is half absorbed: from then
on it holds the ring's temperature, for whatever heats the ring pushes it out of its resonance. The
pump comes from the blue as well: the comb's power rises, then falls in one step when chaos ends in
solitons. Tuned back, they go one by one; each step of the comb's power is one soliton, so the
smallest step tells how many are left.

Frequencies are in MHz relative to where the pump stood at the begin, unless named otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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
SEARCH_STEP, FINE_STEP = 28.0, 14.0  # MHz, of the pump before and after the comb appears
AHEAD = 3_000.0  # MHz on the blue side at which the search begins
SEARCH = 9_000.0  # MHz that are searched
COMB_APPEARS = 0.02  # of the largest comb power that is expected
STEP_DOWN = 0.8  # of the largest power so far: chaos has ended
PAST = 340.0  # MHz to the red after that, so that solitons do not breathe
BACK_STEP, BACK_FINE = 8.0, 2.0  # MHz, until the first soliton goes, and then
BACK_RANGE = 900.0  # MHz that are searched for the last step
LOSS = 0.94  # of the power before: a soliton went
WORKING_POINT = 400.0  # MHz to the red of where the last but one soliton went
POWER_SLOPE = (
    0.018 / 56.7
)  # relative change of a soliton's power per MHz (sheet: 1.8 % per kappa/2)
HOLD_READINGS = 30
HOLD_NOISE = 5.0  # MHz that the comb's power may be off by noise alone
HOLD_LIMIT = 20.0  # MHz that one correction moves
DARK = 0.02  # of a chaotic comb's power: nothing is left


@dataclass
class Attempt:
    """One way from the cold ring to a soliton, as it was measured."""

    offset: list[float] = field(default_factory=list)  # MHz of the pump
    comb: list[float] = field(default_factory=list)  # W at the comb meter
    stage: list[int] = field(
        default_factory=list
    )  # 0 search, 1 past, 2 back, 3 to the working point
    solitons: int = 0  # left in the end
    born: int = 0  # when chaos ended, as the smallest step tells
    steps: int = 0  # steps of the comb's power on the way back
    single: float = 0.0  # W, of one soliton
    why: str = ""  # what went wrong

    def record(self, offset: float, comb: float, stage: int) -> None:
        """Add a reading."""
        self.offset.append(offset)
        self.comb.append(comb)
        self.stage.append(stage)


class SolitonSource:
    """The instruments that make the comb.

    Args:
        procedure: that needs solitons; its bench has the instruments, it is told what happens.
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
        self._clock = bench.clock
        self._procedure = procedure
        self._show = procedure.show
        self.chip: Any = bench["chip"]
        self.auxiliary: Itla = bench["auxiliary"]
        self.pump: TopticaDlcPro = bench["pump"]
        self.auxiliary_amplifier: AmonicsEdfa = bench["auxiliary_amplifier"]
        self.pump_amplifier: AmonicsEdfa = bench["pump_amplifier"]
        self.comb_meter: ThorlabsPm100 = bench["comb_meter"]
        self.auxiliary_meter: ThorlabsPm100 = bench["auxiliary_meter"]
        self._temperature = temperature
        self._pump_power, self._auxiliary_power = pump_power, auxiliary_power
        self._resonance = SPEED_OF_LIGHT / wavelength * 1e-3  # THz
        self._auxiliary_resonance = auxiliary_frequency
        self._fine = AUXILIARY_RANGE  # MHz
        self._volts = PIEZO_CENTRE
        self._averaging = 0  # readings of the comb meter, as set; 0: not yet
        self.held = 0.0  # W, comb power of the solitons that are held

    # ---------------------------------------------------------------- light on and off

    def power_up(self, auxiliary: bool) -> None:
        """Temperature, lasers far on the blue side, then boosters."""
        self.chip.settle(self._temperature)
        for meter in (self.comb_meter, self.auxiliary_meter):
            meter.auto_range = True
        self.auxiliary_meter.averaging = 1
        self._average(1)
        if auxiliary:
            self.auxiliary.frequency = round(self._auxiliary_resonance + 1.5e-3 - 11.5e-3, 4)
            self.auxiliary.emission = True
            self.auxiliary.mode = "whisper"  # the dither would shake the ring's temperature
            self._tune_auxiliary(AUXILIARY_RANGE)
            self._boost(self.auxiliary_amplifier, self._auxiliary_power)
        self._park(self._resonance + 20e-3)
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
        deadline = self._clock.now() + READY
        while abs(amplifier.output_power / milliwatt - 1.0) > 0.02:
            if self._clock.now() > deadline:
                raise InstrumentError(
                    f"{amplifier.name}: gives {amplifier.output_power:.0f} mW instead of "
                    f"{milliwatt:g} mW; check its input and its pump"
                )
            self._clock.sleep(0.1)

    # ---------------------------------------------------------------- lasers

    def _park(self, terahertz: float) -> None:
        """Tune the pump with its motor, piezo at rest."""
        self.pump.piezo_voltage = self._volts = PIEZO_CENTRE
        self.pump.tune(SPEED_OF_LIGHT / terahertz * 1e-3)

    def move_pump(self, megahertz: float) -> None:
        """Move the pump; positive is towards the red."""
        self._volts -= megahertz * 1e-3 / self.pump.piezo_gain
        self.pump.piezo_voltage = self._volts
        self._clock.sleep(SETTLE)

    @property
    def offset(self) -> float:
        """How far the piezo has moved the pump to the red, MHz."""
        return (PIEZO_CENTRE - self._volts) * self.pump.piezo_gain * 1e3

    @property
    def wavelength(self) -> float:
        """Where the pump is, nm: the motor's reading and what the piezo adds."""
        frequency = SPEED_OF_LIGHT / self.pump.wavelength * 1e-3 - self.offset * 1e-6
        return SPEED_OF_LIGHT / frequency * 1e-3

    def _tune_auxiliary(self, megahertz: float) -> None:
        self._fine = megahertz
        self.auxiliary.fine_tuning = megahertz
        self._clock.sleep(SETTLE)

    def move_auxiliary(self, megahertz: float) -> None:
        """Move the auxiliary laser; positive is towards the red."""
        self._tune_auxiliary(round(self._fine - megahertz))

    def comb(self) -> float:
        """Power at the comb meter, W."""
        self._average(1)
        return float(self.comb_meter.power)

    # ---------------------------------------------------------------- the way to a soliton

    def engage_auxiliary(self) -> float:
        """Tune the auxiliary laser in; returns by how much it has shifted the ring, MHz.

        Raises:
            InstrumentError: it was not absorbed within its range, or fell out on the red side.
        """
        self._clock.sleep(1.0)
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
            self._show("auxiliary laser passing", 100 * passing, "%")
            if passing <= HALF_ABSORBED:
                return (touched if touched is not None else self._fine) - self._fine
            if passing > 0.97 and lowest < 0.9:
                break
        raise InstrumentError(
            f"{self.auxiliary.name}: could not be held in its resonance (least transmission "
            f"{100 * lowest:.0f} %); check auxiliary_frequency, and the power of its booster"
        )

    def make(self, attempts: int, target: int = 1, *, auxiliary: bool = True) -> None:
        """Hold `target` solitons, with one attempt after the other; each that fails is noted.

        Raises:
            InstrumentError: so many attempts were not enough; with the last reason, and the bench
                time that all of them took.
        """
        begun = self._clock.now()
        for number in range(1, attempts + 1):
            attempt = self.generate(auxiliary, target)
            if attempt.solitons == target:
                return
            self._procedure.note(f"attempt {number} of {attempts}: {attempt.why}")
        seconds = self._clock.now() - begun
        raise not_reached(
            self._procedure.name(),
            target,
            f"{attempts} attempts within {seconds:.0f} s",
            attempt.why,
        )

    def generate(self, auxiliary: bool = True, target: int = 1) -> Attempt:
        """One attempt to get `target` solitons; the lasers start anew far on the blue side."""
        attempt = Attempt()
        shift = 0.0
        if auxiliary:
            self._park(self._resonance + 20e-3)
            self._tune_auxiliary(AUXILIARY_RANGE)
            shift = self.engage_auxiliary()
        self._park(self._resonance - shift * 1e-6 + AHEAD * 1e-6)
        if self._approach(attempt) and self._settle(attempt) and self._reduce(attempt, target):
            self._walk(attempt, WORKING_POINT, FINE_STEP, 3)
            self.held = self.comb()
            if self.held < (target - 0.5) * attempt.single:
                attempt.solitons, attempt.why = 0, "the soliton went on the way to hold it"
        return attempt

    # ---------------------------------------------------------------- holding

    @property
    def lost(self) -> bool:
        """Whether the comb's power is no longer that of the solitons held."""
        return not self.alive(self.comb())

    def alive(self, comb: float) -> bool:
        """Whether a power of the comb (W) is that of the solitons held."""
        return 0.7 * self.held < comb < 1.5 * self.held

    def hold(self) -> float:
        """Correct the pump by what the comb's power says; returns the power, W.

        More detuning makes a soliton stronger, by `POWER_SLOPE`; half of the error is corrected,
        if it is more than what the boosters' noise looks like.
        """
        self._average(HOLD_READINGS)
        comb = float(self.comb_meter.power)
        if self.alive(comb):
            error = (comb / self.held - 1.0) / POWER_SLOPE
            if abs(error) > HOLD_NOISE:
                self.move_pump(max(-HOLD_LIMIT, min(HOLD_LIMIT, -0.5 * error)))
        return comb

    def _average(self, readings: int) -> None:
        if readings != self._averaging:
            self.comb_meter.averaging = self._averaging = readings

    def _read(self, attempt: Attempt, stage: int) -> float:
        comb = self.comb()
        attempt.record(self.offset, comb, stage)
        self._show("comb power", 1e6 * comb, "uW")
        return comb

    def _walk(self, attempt: Attempt, megahertz: float, step: float, stage: int) -> None:
        for _ in range(round(abs(megahertz) / step)):
            self.move_pump(step if megahertz > 0 else -step)
            self._read(attempt, stage)

    def _approach(self, attempt: Attempt) -> bool:
        """To the red until chaos ends; whether anything is left then."""
        largest = 0.0
        dark = max(self._read(attempt, 0), 0.0)
        while self.offset < SEARCH:
            self.move_pump(SEARCH_STEP if largest < 10 * dark + 1e-6 else FINE_STEP)
            comb = self._read(attempt, 0)
            if largest > 10 * dark + 1e-6 and comb < STEP_DOWN * largest:
                if comb > DARK * largest:
                    return True
                attempt.why = "the comb went out when chaos ended"
                return False
            largest = max(largest, comb)
        attempt.why = f"no comb within {SEARCH / 1e3:g} GHz; check wavelength and pump power"
        return False

    def _settle(self, attempt: Attempt) -> bool:
        """On to the red, where solitons are at rest; whether they are still there."""
        before = attempt.comb[-1]
        self._walk(attempt, PAST, FINE_STEP, 1)
        if attempt.comb[-1] > 0.3 * before:
            return True
        attempt.why = "the solitons went when tuned further"
        return False

    def _reduce(self, attempt: Attempt, target: int) -> bool:
        """Back to the blue, until the smallest step seen says that `target` solitons are left."""
        before = start = attempt.comb[-1]
        drops: list[float] = []
        travelled = 0.0
        while travelled < BACK_RANGE:
            step = BACK_FINE if drops else BACK_STEP
            self.move_pump(-step)
            travelled += step
            comb = self._read(attempt, 2)
            if comb > 1.5 * start:
                attempt.why = "the ring fell back into chaos"
                return False
            if comb < LOSS * before:
                drops.append(before - comb)
                single = min(drops)
                left = round(max(comb, 0.0) / single)
                attempt.steps = len(drops)
                attempt.born = left + sum(round(drop / single) for drop in drops)
                attempt.solitons, attempt.single = left, comb / max(left, 1)
                self._show("solitons", left, "")
                if left <= target:
                    attempt.why = "" if left == target else "several solitons went together"
                    return left == target
            before = comb
        attempt.why = f"solitons did not go one by one within {BACK_RANGE:g} MHz"
        return False


def not_reached(who: str, target: int, tried: str, why: str) -> InstrumentError:
    """What procedure `who` says when what was `tried` did not give `target` solitons."""
    return InstrumentError(
        f"{who}: {target} soliton(s) not reached in {tried}; the last one: {why}; check powers, "
        "wavelength and the auxiliary laser"
    )
