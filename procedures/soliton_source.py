"""Bring a microring to solitons, from measurements alone, and hold them there.

The pump comes from the blue: the comb's power rises, then falls in one step when chaos ends in
solitons. Tuned back, they go one by one; each step of the comb's power is one soliton, so the
smallest step tells how many are left.

Frequencies are in MHz relative to where the pump stood at the begin, unless named otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from labctl.errors import InstrumentError
from procedures.soliton_light import AUXILIARY_RANGE, RingLight

if TYPE_CHECKING:
    from labctl.procedure import LabProcedure

SEARCH_STEP, FINE_STEP = 28.0, 14.0  # MHz, of the pump before and after the comb appears
SEARCH = 9_000.0  # MHz that are searched
#: MHz on the blue side of where the comb is expected at which a search begins. If one finds none,
#: the next looks further to the red, then to the blue, but not as far as half the comb's spacing.
AHEAD = (3_000.0, -5_000.0, 11_000.0, -13_000.0, 19_000.0)
STRAYED = 500.0  # MHz from where it was expected, beyond which it is expected there from now on
STEP_DOWN = 0.8  # of the largest power so far: chaos has ended
PAST = 340.0  # MHz to the red after that, so that solitons do not breathe
BACK_STEP, BACK_FINE = 8.0, 2.0  # MHz, until the first soliton goes, and then
BACK_RANGE = 900.0  # MHz that are searched for the last step
LOSS = 0.94  # of the power before: a soliton went
WORKING_POINT = 400.0  # MHz to the red of where the last but one soliton went
POWER_SLOPE = 0.018 / 56.7  # change of a soliton's power per MHz (sheet: 1.8 % per kappa/2)
HOLD_READINGS = 30
HOLD_NOISE = 5.0  # MHz that the comb's power may be off by noise alone
HOLD_LIMIT = 20.0  # MHz that one correction moves
DARK = 0.02  # of a chaotic comb's power: nothing is left


@dataclass
class Attempt:
    """One way from the cold ring to a soliton, as it was measured."""

    offset: list[float] = field(default_factory=list)  # MHz of the pump
    comb: list[float] = field(default_factory=list)  # W at the comb meter
    stage: list[int] = field(default_factory=list)  # 0 search, 1 past, 2 back, 3 to be held
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


class SolitonSource(RingLight):
    """A ring with its light, brought to solitons; see `RingLight` for what it is made of."""

    def __init__(self, procedure: LabProcedure, **light: float) -> None:
        super().__init__(procedure, **light)
        self._window = 0  # of `AHEAD`
        self._usual: float | None = None  # MHz to the blue of where it is expected: the first comb
        self.held = 0.0  # W, comb power of the solitons that are held

    # ---------------------------------------------------------------- the way to a soliton

    def make(self, attempts: int, target: int = 1, *, auxiliary: bool = True) -> None:
        """Hold `target` solitons, with one attempt after the other; each that fails is noted.

        Raises:
            InstrumentError: so many attempts were not enough; with the last reason, and the bench
                time that all of them took.
        """
        begun = self.clock.now()
        for number in range(1, attempts + 1):
            attempt = self.generate(auxiliary, target)
            if attempt.solitons == target:
                return
            self.procedure.note(f"attempt {number} of {attempts}: {attempt.why}")
        seconds = self.clock.now() - begun
        tried = f"{attempts} attempts within {seconds:.0f} s"
        raise not_reached(self.procedure.name(), target, tried, attempt.why)

    def generate(self, auxiliary: bool = True, target: int = 1) -> Attempt:
        """One attempt to get `target` solitons; the lasers start anew far on the blue side."""
        attempt = Attempt()
        shift = 0.0
        if auxiliary:
            self.park(self.resonance + 20e-3)
            self.tune_auxiliary(AUXILIARY_RANGE)
            shift = self.engage_auxiliary()
        self.park(self.resonance - shift * 1e-6 + AHEAD[self._window] * 1e-6)
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
        self.average(HOLD_READINGS)
        comb = float(self.comb_meter.power)
        if self.alive(comb):
            error = (comb / self.held - 1.0) / POWER_SLOPE
            if abs(error) > HOLD_NOISE:
                self.move_pump(max(-HOLD_LIMIT, min(HOLD_LIMIT, -0.5 * error)))
        return comb

    def _read(self, attempt: Attempt, stage: int) -> float:
        comb = self.comb()
        attempt.record(self.offset, comb, stage)
        self.show("comb power", 1e6 * comb, "uW")
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
                self._expect_here()
                if comb > DARK * largest:
                    return True
                attempt.why = "the comb went out when chaos ended"
                return False
            largest = max(largest, comb)
        self._window = (self._window + 1) % len(AHEAD)
        attempt.why = (
            f"no comb from {self.pump.wavelength:.3f} to {self.wavelength:.3f} nm; check "
            "wavelength and pump power"
        )
        return False

    def _expect_here(self) -> None:
        """Expect the comb where it is now, if it has left the place where it was at first."""
        here = AHEAD[self._window] - self.offset
        if self._usual is None:
            self._usual = here
        elif abs(here - self._usual) > STRAYED:
            self.resonance += (here - self._usual) * 1e-6
        self._window = 0

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
                self.show("solitons", left, "")
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
