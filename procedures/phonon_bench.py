"""What the phonon-pair measurements share: pulses, light, detectors, and trials on disk.

A delay generator triggers everything. Each trigger starts a pattern of two analog voltages, which
the drivers of two acousto-optic modulators follow: one for the preparation pulse with its blue and
red tones, one for the read-out pulse. The tagger times clicks against the trigger and counts
triggers, so a tag is a trial number and a time in the trial.

Trials are measured in points of a few million, each a recording of its own with its tags in the run
folder; a run that was killed measures the unfinished point again, and counts no trial twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.errors import InstrumentError, RequestError
from labctl.parameters import number
from procedures.phonon_clicks import A, B, Clicks, Gates, SoFar, g2_so_far, gate_columns
from procedures.phonon_light import (
    BLUE_CHANNEL,
    READOUT_CHANNEL,
    RED_CHANNEL,
    RISE,
    check_duty,
    check_sample,
    peak_uw,
    set_power,
)
from procedures.phonon_pulses import LEVEL_TIME, Pulse, drive, pulse_pair

if TYPE_CHECKING:
    from drivers.agilent_voa import KeysightN7764A
    from drivers.idq_id900 import Id900
    from labctl.bench import Bench


#: Trials of one point, and of one commit of tags.
TRIALS_PER_POINT = 5_000_000
TRIALS_PER_COMMIT = 1_000_000

LATENCY = 350.0  # ns, from the trigger to the detectors
ETA = 0.07  # from a photon at the crystal to a click, both detectors together
RADIO_DBM = 20.0  # full diffraction

#: Tones of the preparation pulse, and channels of the attenuator that are open.
TONES = {
    "both": "both tones", "blue": "the blue tone", "red": "the red tone", "none": "no tone",
    "blue only": "the blue tone without read-out", "red only": "the red tone without read-out",
    "blue aside": "the blue tone aside of the cavity",
    "red aside": "the red tone aside of the cavity",
}  # fmt: skip
OPEN = {
    "both": (1, 2, 3), "blue": (1, 3), "red": (2, 3), "none": (3,), "blue only": (1,),
    "red only": (2,), "blue aside": (1,), "red aside": (2,),
}  # fmt: skip
#: How often a point is measured if a detector latches or the laser hops meanwhile.
ATTEMPTS = 3
#: s that light needs to follow shutters and a new pattern.
SETTLING = 0.1


def portions(trials: int) -> Iterator[int]:
    """Sizes of the points that make up so many trials."""
    while trials > 0:
        yield min(trials, TRIALS_PER_POINT)
        trials -= TRIALS_PER_POINT


class PhononMeasurement:
    """Parameters and steps; combine with `LabProcedure`."""

    bench: Bench
    rows: Sequence[Mapping[str, Any]]

    INSTRUMENTS: ClassVar[tuple[str, ...]] = (
        "laser", "voas", "radio", "pulser", "delays", "detectors", "tagger", "thermometer", "power",
    )  # fmt: skip

    #: Of the attenuator, that a measurement uses.
    CHANNELS: ClassVar[tuple[int, ...]] = (BLUE_CHANNEL, RED_CHANNEL, READOUT_CHANNEL)

    wavelength: float = number(
        "Wavelength", 1550.589, unit="nm", minimum=1510, maximum=1630,
        meaning="of the laser: that of the cavity, tones are a mechanical frequency off",
    )  # fmt: skip
    blue_area: float = number(
        "Blue area", 0.0517, minimum=0, maximum=1,
        meaning="integral of the blue scattering rate over the preparation pulse",
    )  # fmt: skip
    ratio: float = number(
        "Ratio", 1.86, minimum=0, maximum=20,
        meaning="G_r / G_b: the red area is its square times the blue area",
    )  # fmt: skip
    conversion: float = number(
        "Conversion", 0.244, minimum=0.001, maximum=0.99,
        meaning="probability that the read-out pulse turns a phonon into a photon",
    )  # fmt: skip
    first_fwhm: float = number(
        "Preparation pulse", 36.0, unit="ns", minimum=5, maximum=100_000,
        meaning="full width at half maximum of the light",
    )  # fmt: skip
    second_fwhm: float = number(
        "Read-out pulse", 47.0, unit="ns", minimum=5, maximum=100_000,
        meaning="full width at half maximum of the light",
    )  # fmt: skip
    repetition: float = number(
        "Repetition", 2.0, unit="ms", minimum=0.0005, maximum=1000, meaning="time between trials"
    )
    bias: float = number(
        "Detector bias", 16.0, unit="uA", minimum=0, maximum=40, meaning="of both detectors"
    )
    warmest: float = number(
        "Warmest", 50.0, unit="mK", minimum=5, maximum=300_000,
        meaning="temperature of the mixing chamber above which nothing is measured",
    )  # fmt: skip

    # --- what is asked for ----------------------------------------------------------------------

    @property
    def red_area(self) -> float:
        return self.blue_area * self.ratio**2

    @property
    def readout_area(self) -> float:
        return -math.log1p(-self.conversion)

    def pulses(self, delay: float) -> tuple[Pulse, Pulse]:
        return pulse_pair(self.first_fwhm, self.second_fwhm, delay)

    def gates(self, delay: float) -> Gates:
        first, second = self.pulses(delay)
        return Gates(
            (LATENCY + first.begin, LATENCY + first.end),
            (LATENCY + second.begin, LATENCY + second.end),
        )

    def peaks_uw(self) -> dict[int, float]:
        """Peak power (uW) of each tone, by channel of the attenuator."""
        peaks = {
            BLUE_CHANNEL: peak_uw(self.blue_area, self.first_fwhm, self.wavelength),
            RED_CHANNEL: peak_uw(self.red_area, self.first_fwhm, self.wavelength),
            READOUT_CHANNEL: peak_uw(self.readout_area, self.second_fwhm, self.wavelength),
        }
        return {n: peak if n in self.CHANNELS else 0.0 for n, peak in peaks.items()}

    def check(self, delays: Sequence[float], gate: float | None = None) -> None:
        """Refuse what cannot be done or harms the sample; nothing was switched on."""
        period = 1e6 * self.repetition
        for delay in delays:
            pulses = self.pulses(delay)
            for pulse in pulses:
                drive(pulse, RISE)
            if pulses[1].end > period:
                raise RequestError(
                    f"repetition: {self.repetition:g} ms is shorter than the pattern, which takes "
                    f"{pulses[1].end * 1e-6:g} ms with a delay of {delay:g} ns; ask for a longer "
                    "one, or a shorter delay"
                )
        widths = (self.first_fwhm, self.second_fwhm)
        check_duty(widths, period)
        check_sample(self.peaks_uw(), widths, period)
        if gate is not None and not 0 < gate <= 2 * self.second_fwhm:
            raise RequestError(
                f"gate: {gate:g} ns is outside the read-out pulse, which lasts "
                f"{2 * self.second_fwhm:g} ns; ask for a gate inside it"
            )

    # --- what the framework asks for ------------------------------------------------------------

    @property
    def beginnings(self) -> dict[str, float]:
        """Lengths (ns) of the beginnings of the read-out pulse whose g2 is followed, by name."""
        return {}

    def startup(self) -> None:
        gated = [column for name in self.beginnings for column in gate_columns(name)[:3]]
        self.so_far = SoFar(("A1", "B1", "A1 B1", "A2", "B2", *gated), self.rows)
        self.open_bench()

    def shutdown(self) -> None:
        self.close_bench()

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        row = self.measure(point["tones"], point["delay (ns)"], point["asked"])
        return row | self.estimates(self.so_far.add(row))

    def estimates(self, sums: Mapping[str, int]) -> dict[str, float]:
        """What the rows so far say, with standard errors; `sums` are of those like the last."""
        return g2_so_far(sums, self.beginnings)

    # --- steps ----------------------------------------------------------------------------------

    def open_bench(self) -> None:
        """Check the temperature, switch on, set the powers of all tones; shutters stay closed."""
        bench = self.bench
        self.tagger: Id900 = bench["tagger"]
        self.voas: KeysightN7764A = bench["voas"]
        self._playing: tuple[str, float] | None = None
        self._usual: dict[tuple[str, float], float] = {}  # clicks per trial
        kelvin = bench["thermometer"].temperature_k
        if 1e3 * kelvin > self.warmest:
            raise InstrumentError(
                f"thermometer: the mixing chamber is at {1e3 * kelvin:.4g} mK, more than the "
                f"{self.warmest:g} mK asked for; wait until it is cold"
            )
        self.voas.make_safe()
        self._switch_on()
        for channel, peak in self.peaks_uw().items():
            if peak > 0:
                set_power(bench, channel, peak)
        self.bench["pulser"].trigger = "rising"
        self.bench["delays"].rate = 1e3 / self.repetition
        self.bench["delays"].trigger = "internal"

    def close_bench(self) -> None:
        """Shutters closed, nothing played, laser dark; the cryostat stays cold."""
        for name in ("voas", "pulser", "delays", "radio"):
            self.bench[name].make_safe()
        self.bench["laser"].emission = False

    def _switch_on(self) -> None:
        bench = self.bench
        bench["pulser"].make_safe()
        bench["delays"].trigger = "single"
        for line in (bench["radio"].line_1, bench["radio"].line_2):
            line.power = RADIO_DBM
            line.external = True
            line.output = True
        detectors = bench["detectors"]
        detectors.bias_currents = [self.bias] * detectors.detectors
        detectors.enabled = True
        detectors.check_latched()
        self.tune(self.wavelength)
        bench["laser"].emission = True

    def play(self, tones: str, delay: float) -> None:
        """Open the shutters of these tones and upload the pattern, unless that is so already."""
        wanted = (tones, delay)
        if wanted == self._playing:
            return
        self._playing = None
        self.voas.make_safe()
        first, second = self.pulses(delay)
        pulser = self.bench["pulser"]
        pattern = pulser.pattern(LEVEL_TIME * math.ceil(second.end / LEVEL_TIME))
        for output, pulse in ((0, first), (1, second)):
            for level in drive(pulse, RISE):
                pattern.level(output, level.start, level.width, level.volts)
        pulser.play(pattern, runs=1)
        for channel in OPEN[tones]:
            getattr(self.voas, f"ch_{channel}").output = True
        self.bench.clock.sleep(SETTLING)
        self._playing = wanted

    def measure(self, tones: str, delay: float, trials: int) -> dict[str, Any]:
        """Record this many trials; returns the columns of a row.

        Tags go to the stream that is named after the tones: detector (1 or 2), attempt, trial
        (counted from 0 in each row), time (ps after the trigger). Columns: see `ROW`.
        """
        usual = self._usual.get((tones, delay))
        for attempt in range(ATTEMPTS):
            row, seen = self._measure(tones, delay, trials, attempt)
            latched, rate = self.bench["detectors"].unlatch(), seen.unsteady(usual)
            if not latched and (rate is None or row["lost"]):
                self._usual[tones, delay] = sum(n for n, _ in seen.parts) / trials
                return row
            what = (
                f"detector {' and '.join(map(str, latched))} latched and has its bias back"
                if latched
                else f"clicks per trial changed to {rate:.3g}, so the laser is tuned again"
            )
            self.note(f"{what}; {trials} trials of {TONES[tones]} are measured again")
            if not latched:
                self.tune(self._tuned)
        raise InstrumentError(
            f"tagger: clicks of {TONES[tones]} were not steady in {ATTEMPTS} attempts "
            f"({'latched detectors' if latched else f'{rate:.3g} a trial'}); check laser, powers "
            "and bias"
        )

    def tune(self, wavelength: float) -> None:
        """Tune the laser (nm); a mode hop since the last time is undone."""
        self.bench["laser"].tune(wavelength)
        self._tuned = wavelength

    def _measure(
        self, tones: str, delay: float, trials: int, attempt: int
    ) -> tuple[dict[str, Any], Clicks]:
        self.play(tones, delay)
        period = 1e-3 * self.repetition
        gates, seen = self.gates(delay), Clicks(self.beginnings)
        self.tagger.count_triggers()
        with self.tagger.stream(
            (A, B), with_index=True, seconds=trials * period, on_overflow="report"
        ) as stream:
            left = trials
            while left > 0:
                whole = left > TRIALS_PER_COMMIT
                block = stream.collect(TRIALS_PER_COMMIT * period) if whole else stream.rest()
                left -= TRIALS_PER_COMMIT
                sizes = [len(block.tags[n]) for n in (A, B)]
                tags = {
                    "detector": np.repeat(np.array([A, B], dtype=np.uint8), sizes),
                    "attempt": np.full(sum(sizes), attempt, dtype=np.uint8),
                    # the first trigger has number 1; a click before it has none
                    "trial": np.concatenate([block.indices[n] for n in (A, B)]) - 1,
                    "time (ps)": np.concatenate([block.tags[n] for n in (A, B)]),
                }
                self.record_tags(tones, tags)
                seen.add(tags, gates, min(TRIALS_PER_COMMIT, left + TRIALS_PER_COMMIT))
        triggers = min(self.tagger.triggers(), trials)
        lost = block.overflow_count
        if lost:
            self.note(
                f"the tagger lost {lost} tags within {trials} trials of {TONES[tones]}, which are "
                "not analysed; lower the rate"
            )
        if triggers < trials:
            self.note(
                f"{trials - triggers} of {trials} triggers did not reach the tagger; rates and "
                "correlations count the others"
            )
        row = {
            "tones": tones, "delay (ns)": delay, "attempt": attempt, "trials": triggers,
            "missed": trials - triggers, "lost": lost,
            "temperature (mK)": 1e3 * self.bench["thermometer"].temperature_k, **seen.counts,
            **seen.begun,
        }  # fmt: skip
        return row, seen
