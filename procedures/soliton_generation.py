"""A single soliton from a cold microring, with an auxiliary laser that holds its temperature."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import InstrumentError
from labctl.live import Curve, Trace
from labctl.parameters import boolean, integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.soliton_light import INSTRUMENTS
from procedures.soliton_source import Attempt, SolitonSource, not_reached
from procedures.soliton_spectrum import find_lines, fit_envelope, sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HOLDING = 5.0  # s between two looks at a comb that is held


class SolitonGeneration(LabProcedure):
    """Boosters on, auxiliary laser in, pump from the blue, and back until few solitons are left.

    Each attempt is one point with the pump's offset and the comb's power as they were; what went
    wrong stands beside it. After a success the comb is held for a while by its power. Everything
    is decided from power readings; the true state of the ring is nowhere asked for.
    """

    INSTRUMENTS = (*INSTRUMENTS, "switch", "osa")

    target: int = integer("Target", 1, minimum=1, maximum=8, meaning="solitons to end with")
    auxiliary: bool = boolean(
        "Auxiliary laser", True, meaning="without it the ring cools when chaos ends, and goes dark"
    )
    attempts: int = integer("Attempts", 5, minimum=1, maximum=50, meaning="at most")
    hold: float = number(
        "Hold", 60.0, unit="s", minimum=0, maximum=1e6, meaning="how long to hold it afterwards"
    )
    pump_power: float = number("Pump power", 3500.0, unit="mW", minimum=100, maximum=3700)
    auxiliary_power: float = number("Auxiliary power", 3200.0, unit="mW", minimum=100, maximum=3500)
    temperature: float = number(
        "Temperature", 25.0, unit="degC", minimum=15, maximum=45, meaning="of the chip"
    )
    wavelength: float = number(
        "Wavelength", 1556.0025, unit="nm", minimum=1510, maximum=1630,
        meaning="where the cold resonance of the pump is expected",
    )  # fmt: skip
    auxiliary_frequency: float = number(
        "Auxiliary frequency", 193.109, unit="THz", minimum=191.5, maximum=196.25,
        meaning="where the cold resonance of the auxiliary laser is expected",
    )  # fmt: skip

    verify: bool = boolean(
        "Verify", True, meaning="look at the spectrum: the envelope of one soliton is smooth"
    )
    spacing: float = number("Line spacing", 49.0, unit="GHz", minimum=1, maximum=1000)

    DATA_COLUMNS = [
        "index", "kind", "number", "solitons", "born", "steps", "single (W)", "comb (W)",
        "pump offset (MHz)", "time (s)", "envelope (THz)", "residual (dB)", "why",
    ]  # fmt: skip
    TRACES = ("offset (MHz)", "comb power (W)", "stage")
    RESULTS = (
        Result("solitons", "", "left in the ring in the end, as the steps of the power tell"),
        Result("comb_power", "uW", "at the comb's meter while it was held; error: scatter in time"),
        Result("steps_seen", "", "steps of the comb's power on the way back"),
        Result("born", "", "solitons when chaos ended, as the smallest step tells"),
        Result("attempts_made", "", "until it succeeded"),
        Result("fwhm", "THz", "of the sech^2 envelope of the spectrum"),
        Result("residual", "dB", "rms deviation of the lines from it; one soliton: < 1.5"),
    )
    _done = False  # whether an attempt has succeeded
    _why = ""  # what went wrong in the last one
    _failed = 0  # attempts
    LIVE = (
        Trace("Comb power while tuning, in steps", "comb power (W)"),
        Trace("Offset of the pump", "offset (MHz)"),
        Curve("Comb power while held", "time (s)", "comb (W)", by="kind", only=("hold",)),
    )

    def startup(self) -> None:
        self.source = SolitonSource(
            self,
            temperature=self.temperature,
            pump_power=self.pump_power,
            auxiliary_power=self.auxiliary_power,
            wavelength=self.wavelength,
            auxiliary_frequency=self.auxiliary_frequency,
        )
        self.source.power_up(self.auxiliary)
        if any(self._succeeded(row) for row in self.rows):
            self.source.make(self.attempts, self.target, auxiliary=self.auxiliary)
            self.note("the run was resumed: what is held from here on was made anew")

    def _succeeded(self, row: Mapping[str, Any]) -> bool:
        return bool(row["kind"] == "attempt" and row["solitons"] == self.target)

    def _ended(self, success: bool, why: str) -> None:
        """An attempt has ended, now or before the run was resumed."""
        self._done, self._why = success, why
        self._failed += not success

    def shutdown(self) -> None:
        self.source.power_down()

    def points(self) -> Iterator[dict[str, Any]]:
        """Attempts until one succeeds, then looks at the comb that is held."""
        self._done, self._why, self._failed = False, "", 0
        before = [row for row in self.rows if row["kind"] == "attempt"]
        for attempt in range(self.attempts):
            if not self._done:
                yield {"kind": "attempt", "number": attempt + 1}
                if attempt < len(before):
                    self._ended(self._succeeded(before[attempt]), str(before[attempt]["why"]))
        if self._failed == self.attempts:
            raise not_reached(self.name(), self.target, f"{self.attempts} attempts", self._why)
        for look in range(round(self.hold / HOLDING)):
            yield {"kind": "hold", "number": look + 1}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["kind"] == "attempt":
            return self._attempt(point["number"])
        self.bench.clock.sleep(HOLDING - 1.0)
        comb = self.source.hold()
        if not self.source.alive(comb):
            raise InstrumentError(
                "soliton-generation: the comb was lost while it was held; check the drift of the "
                "pump laser and the temperature of the chip"
            )
        return self._row(comb, Attempt(solitons=self.target))

    def _attempt(self, number: int) -> dict[str, Any]:
        attempt = self.source.generate(self.auxiliary, self.target)
        seen = {"envelope (THz)": float("nan"), "residual (dB)": float("nan")}
        if attempt.solitons == self.target == 1 and self.verify:
            seen = self._look(attempt)
        self._ended(attempt.solitons == self.target, attempt.why)
        if not self._done:
            self.note(f"attempt {number}: {attempt.why}")
        row = self._row(self.source.comb(), attempt)
        return (
            row
            | seen
            | {
                "offset (MHz)": np.array(attempt.offset),
                "comb power (W)": np.array(attempt.comb),
                "stage": np.array(attempt.stage, np.uint8),
            }
        )

    def _look(self, attempt: Attempt) -> dict[str, float]:
        """The envelope of the spectrum; one that is not smooth takes the success back."""
        wavelength, level = sweep(self.bench["osa"], self.bench["switch"], "comb", 1556.0, 130.0)
        envelope = fit_envelope(find_lines(wavelength, level, self.source.wavelength, self.spacing))
        if not envelope.smooth:
            attempt.solitons = 0
            attempt.why = (
                f"the spectrum deviates by {envelope.residual:.1f} dB from the envelope of one "
                "soliton"
            )
        self.source.hold()
        return {"envelope (THz)": envelope.fwhm, "residual (dB)": envelope.residual}

    def _row(self, comb: float, attempt: Attempt) -> dict[str, Any]:
        return {
            "solitons": attempt.solitons,
            "born": attempt.born,
            "steps": attempt.steps,
            "single (W)": attempt.single,
            "comb (W)": comb,
            "pump offset (MHz)": self.source.offset,
            "time (s)": self.bench.clock.now(),
            "envelope (THz)": float("nan"),
            "residual (dB)": float("nan"),
            "why": attempt.why,
        }

    def analyse(self, data: RunData) -> dict[str, Any]:
        kinds = np.asarray(data["kind"])
        attempts, held = np.flatnonzero(kinds == "attempt"), np.flatnonzero(kinds == "hold")
        last = attempts[-1]
        comb = data["comb (W)"][held if held.size else attempts[-1:]] * 1e6
        scatter = float(np.std(comb, ddof=1)) if comb.size > 1 else None
        results: dict[str, Any] = {
            "solitons": int(data["solitons"][last]),
            "comb_power": (float(comb.mean()), scatter),
            "steps_seen": int(data["steps"][last]),
            "born": int(data["born"][last]),
            "attempts_made": len(attempts),
        }
        if np.isfinite(data["envelope (THz)"][last]):
            results["fwhm"] = float(data["envelope (THz)"][last])
            results["residual"] = float(data["residual (dB)"][last])
        return results

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import soliton_figures

        return {"generation": soliton_figures.generation(data)}
