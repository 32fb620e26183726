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
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labctl.errors import InstrumentError, RequestError
from labctl.parameters import number
from labctl.procedure import Result, RunData
from procedures.phonon_pulses import LEVEL_TIME, Pulse, drive, lit, pulse_pair

if TYPE_CHECKING:
    from drivers.agilent_voa import KeysightN7764A
    from drivers.idq_id900 import Id900
    from labctl.bench import Bench

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Trials of one point, and of one commit of tags.
TRIALS_PER_POINT = 5_000_000
TRIALS_PER_COMMIT = 1_000_000

#: The device (publication): rates in rad/s.
KAPPA, OMEGA_M, G0 = 2 * math.pi * 700e6, 2 * math.pi * 5.2e9, 2 * math.pi * 800e3
COUPLING = 0.5
HBAR, C = 1.054571817e-34, 299_792_458.0

#: Calibrations of the bench.
TAP = 0.5  # power on the meter over power at the crystal
RISE = 12.0  # ns, of the modulators
RADIO_DBM = 20.0  # full diffraction
LATENCY = 350.0  # ns, from the trigger to the detectors
ETA = 0.07  # from a photon at the crystal to a click, both detectors together
BLUE_CHANNEL, RED_CHANNEL, READOUT_CHANNEL = 1, 2, 3

#: What must not be exceeded.
AOM_DUTY = 0.10  # part of the time in which a modulator may be driven at full power
SAMPLE_PEAK_UW, SAMPLE_MEAN_NW = 50.0, 10.0

#: A tone is set when its power is this close (dB); an attenuator misses by 0.05 dB rms.
POWER_TOLERANCE_DB, POWER_TRIES = 0.02, 40

A, B = 1, 2  # inputs of the tagger
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
#: Columns that `measure` fills.
ROW = (
    "tones", "delay (ns)", "attempt", "trials", "missed", "lost", "temperature (mK)",
    "A1", "B1", "A1 B1", "A2", "B2", "A2 B2",
)  # fmt: skip


#: How often a point is measured if a detector latches or the laser hops meanwhile.
ATTEMPTS = 3
#: Clicks per trial are steady within this part, or so many standard deviations.
STEADY, STEADY_SIGMAS = 0.1, 6.0
#: s that light needs to follow shutters and a new pattern.
SETTLING = 0.1


@dataclass(frozen=True)
class Gates:
    """When (ns after the trigger, at the detectors) photons of the pulses arrive."""

    first: tuple[float, float]
    second: tuple[float, float]  # the whole pulse; measurements use its beginning


#: What every measurement tells about trials that were spoilt.
SPOILT = (
    Result("missed_triggers", "", "triggers that did not reach the tagger; not in any count"),
    Result("lost_tags", "", "tags that the tagger lost, with trials that are not analysed"),
)


def spoilt(data: RunData) -> dict[str, Any]:
    """Results of these names."""
    return {
        "missed_triggers": int(data["missed"].sum()), "lost_tags": int(data["lost"].sum()),
    }  # fmt: skip


def portions(trials: int) -> Iterator[int]:
    """Sizes of the points that make up so many trials."""
    while trials > 0:
        yield min(trials, TRIALS_PER_POINT)
        trials -= TRIALS_PER_POINT


class Clicks:
    """Counts of a row while its tags come: clicks in both pulses, and trials with two."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(("A1", "B1", "A1 B1", "A2", "B2", "A2 B2"), 0)
        self.parts: list[tuple[int, int]] = []  # clicks and trials of each commit

    def unsteady(self, usual: float | None) -> float | None:
        """Clicks per trial of a commit that differ from the `usual` ones; None if none do.

        Without usual ones the median of the commits takes their place.
        """
        rates = [clicks / trials for clicks, trials in self.parts]
        expected = float(np.median(rates)) if usual is None else usual
        for rate, (_, trials) in zip(rates, self.parts, strict=True):
            scatter = STEADY_SIGMAS * math.sqrt(expected / trials)
            if abs(rate - expected) > max(scatter, STEADY * expected):
                return rate
        return None

    def add(self, tags: Mapping[str, Ints], gates: Gates, trials: int) -> None:
        before = sum(self.counts.values())
        for pulse, gate in ((1, gates.first), (2, gates.second)):
            a, b = (gated(tags, detector, gate)[0] for detector in (A, B))
            self.counts[f"A{pulse}"] += a.size
            self.counts[f"B{pulse}"] += b.size
            both = np.intersect1d(a, b, assume_unique=True).size
            self.counts[f"A{pulse} B{pulse}"] += both
        self.parts.append((sum(self.counts.values()) - before, trials))


def gated(tags: Mapping[str, Any], detector: int, gate: tuple[float, float]) -> tuple[Ints, Ints]:
    """Trial and time (ps) of the first click of a detector in each trial that lies in `gate` (ns).

    Clicks whose trigger was missed, or came before the recording, are in no gate.
    """
    low, high = 1e3 * gate[0], 1e3 * gate[1]
    time, trial = tags["time (ps)"], tags["trial"]
    inside = (tags["detector"] == detector) & (time >= low) & (time < high) & (trial >= 0)
    trial, time = trial[inside], time[inside]
    first = np.concatenate(([True], trial[1:] != trial[:-1]))[: trial.size]
    return trial[first], time[first]


class PhononMeasurement:
    """Parameters and steps; combine with `LabProcedure`."""

    bench: Bench

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

    def peak_uw(self, area: float, fwhm: float) -> float:
        """Peak power (uW) at the crystal of a pulse of this area."""
        rate = 4 * G0**2 / KAPPA
        photons = area / (rate * 1e-9 * lit(fwhm, RISE))
        frequency = C / (self.wavelength * 1e-9)
        per_watt = COUPLING * KAPPA / (HBAR * 2 * math.pi * frequency * (OMEGA_M**2 + KAPPA**2 / 4))
        return 1e6 * photons / per_watt

    def peaks_uw(self) -> dict[int, float]:
        """Peak power (uW) of each tone, by channel of the attenuator."""
        peaks = {
            BLUE_CHANNEL: self.peak_uw(self.blue_area, self.first_fwhm),
            RED_CHANNEL: self.peak_uw(self.red_area, self.first_fwhm),
            READOUT_CHANNEL: self.peak_uw(self.readout_area, self.second_fwhm),
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
        duty = 2 * max(self.first_fwhm, self.second_fwhm) / period
        if duty > AOM_DUTY:
            raise RequestError(
                f"repetition: pulses would drive a modulator for {100 * duty:.3g} % of the time, "
                f"more than the {100 * AOM_DUTY:g} % it stands at full power; ask for shorter "
                "pulses or a longer repetition"
            )
        peaks = self.peaks_uw()
        most = max(peaks[BLUE_CHANNEL] + peaks[RED_CHANNEL], peaks[READOUT_CHANNEL])
        mean = (
            1e3
            * (
                (peaks[BLUE_CHANNEL] + peaks[RED_CHANNEL]) * lit(self.first_fwhm, RISE)
                + peaks[READOUT_CHANNEL] * lit(self.second_fwhm, RISE)
            )
            / period
        )  # nW
        if most > SAMPLE_PEAK_UW or mean > SAMPLE_MEAN_NW:
            raise RequestError(
                f"power: pulses of {most:.3g} uW, {mean:.3g} nW on average, are more than the "
                f"sample stands ({SAMPLE_PEAK_UW:g} uW, {SAMPLE_MEAN_NW:g} nW); ask for smaller "
                "areas, longer pulses or a longer repetition"
            )
        if gate is not None and not 0 < gate <= 2 * self.second_fwhm:
            raise RequestError(
                f"gate: {gate:g} ns is outside the read-out pulse, which lasts "
                f"{2 * self.second_fwhm:g} ns; ask for a gate inside it"
            )

    # --- what the framework asks for ------------------------------------------------------------

    def startup(self) -> None:
        self.open_bench()

    def shutdown(self) -> None:
        self.close_bench()

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        return self.measure(point["tones"], point["delay (ns)"], point["asked"])

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
                self.set_power(channel, peak)
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

    def set_power(self, channel: int, wanted_uw: float) -> None:
        """Set the attenuator of one tone, so that its peak power at the crystal is as wanted.

        The modulator is held open meanwhile. An attenuator does not come to the same place twice,
        so it is sent there until the meter agrees.

        Raises:
            InstrumentError: it never does.
        """
        attenuator = getattr(self.voas, f"ch_{channel}")
        pulser, meter = self.bench["pulser"], self.bench["power"]
        low, high = attenuator.attenuation_range
        try:
            pulser.constant(**{"a1" if channel == READOUT_CHANNEL else "a0": 1.0})
            attenuator.output = True
            wanted = 0.0
            readings: list[float] = []
            setting = attenuator.attenuation
            for _ in range(POWER_TRIES):
                power = 1e6 * meter.power / TAP
                if power <= 0:
                    raise InstrumentError(
                        f"power: the meter sees no light of tone {channel} at {setting:.2f} dB; "
                        "check the laser, the attenuator and the modulator"
                    )
                missing = 10 * math.log10(power / wanted_uw)
                if abs(missing) < POWER_TOLERANCE_DB:
                    return
                # where the setting would be right, averaged over what the attenuator misses by
                readings = [*readings, setting + missing] if abs(missing) < 1 else []
                wanted = float(np.mean(readings)) if readings else setting + missing
                if not low <= wanted <= high:
                    raise InstrumentError(
                        f"voas: tone {channel} needs {wanted:.2f} dB for {wanted_uw:.3g} uW at the "
                        f"crystal, outside {low:g} to {high:g} dB; change the laser power"
                    )
                setting = wanted
                attenuator.attenuation = setting
            raise InstrumentError(
                f"voas: channel {channel} does not come closer than {missing:+.3f} dB to "
                f"{wanted_uw:.3g} uW in {POWER_TRIES} moves; check its repeatability"
            )
        finally:
            attenuator.output = False
            pulser.stop()

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
        gates, seen = self.gates(delay), Clicks()
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
        }  # fmt: skip
        return row, seen
