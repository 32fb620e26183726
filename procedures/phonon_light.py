"""Light of the phonon-pair measurements: what pulses need, what is too much, how it is set."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from labctl.errors import InstrumentError, RequestError
from procedures.phonon_pulses import lit

if TYPE_CHECKING:
    from labctl.bench import Bench

#: The device (publication): rates in rad/s.
KAPPA, OMEGA_M, G0 = 2 * math.pi * 700e6, 2 * math.pi * 5.2e9, 2 * math.pi * 800e3
COUPLING = 0.5
HBAR, C = 1.054571817e-34, 299_792_458.0

TAP = 0.5  # power on the meter over power at the crystal
RISE = 12.0  # ns, of the modulators
BLUE_CHANNEL, RED_CHANNEL, READOUT_CHANNEL = 1, 2, 3  # of the attenuator

#: What must not be exceeded.
AOM_DUTY = 0.10  # part of the time in which a modulator may be driven at full power
SAMPLE_PEAK_UW, SAMPLE_MEAN_NW = 50.0, 10.0

#: A tone is set when its power is this close (dB); an attenuator misses by 0.05 dB rms.
POWER_TOLERANCE_DB, POWER_TRIES = 0.02, 40


def peak_uw(area: float, fwhm: float, wavelength: float) -> float:
    """Peak power (uW) at the crystal of a pulse of this area and width (ns), at so many nm."""
    rate = 4 * G0**2 / KAPPA
    photons = area / (rate * 1e-9 * lit(fwhm, RISE))
    frequency = C / (wavelength * 1e-9)
    per_watt = COUPLING * KAPPA / (HBAR * 2 * math.pi * frequency * (OMEGA_M**2 + KAPPA**2 / 4))
    return 1e6 * photons / per_watt


def check_duty(widths: tuple[float, float], period: float) -> None:
    """Refuse pulses of these widths (ns) that a modulator does not stand every `period` (ns)."""
    duty = 2 * max(widths) / period
    if duty > AOM_DUTY:
        raise RequestError(
            f"repetition: pulses would drive a modulator for {100 * duty:.3g} % of the time, "
            f"more than the {100 * AOM_DUTY:g} % it stands at full power; ask for shorter "
            "pulses or a longer repetition"
        )


def check_sample(peaks: dict[int, float], widths: tuple[float, float], period: float) -> None:
    """Refuse tones of these peak powers (uW) that the sample does not stand every `period` (ns)."""
    first, second = peaks[BLUE_CHANNEL] + peaks[RED_CHANNEL], peaks[READOUT_CHANNEL]
    most = max(first, second)
    mean = 1e3 * (first * lit(widths[0], RISE) + second * lit(widths[1], RISE)) / period  # nW
    if most > SAMPLE_PEAK_UW or mean > SAMPLE_MEAN_NW:
        raise RequestError(
            f"power: pulses of {most:.3g} uW, {mean:.3g} nW on average, are more than the "
            f"sample stands ({SAMPLE_PEAK_UW:g} uW, {SAMPLE_MEAN_NW:g} nW); ask for smaller "
            "areas, longer pulses or a longer repetition"
        )


def set_power(bench: Bench, channel: int, wanted_uw: float) -> None:
    """Set the attenuator of one tone, so that its peak power at the crystal is as wanted.

    The modulator is held open meanwhile. An attenuator does not come to the same place twice,
    so it is sent there until the meter agrees.

    Raises:
        InstrumentError: it never does.
    """
    attenuator = getattr(bench["voas"], f"ch_{channel}")
    pulser, meter = bench["pulser"], bench["power"]
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
