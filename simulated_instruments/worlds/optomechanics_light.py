"""Light on its way from the laser to the crystal: three tones, two modulators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulated_instruments.physics.attenuator import AttenuatorModel
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.optomechanics import Cavity
from simulated_instruments.physics.optomechanics_pulses import Envelope, modulated
from simulated_instruments.worlds.optomechanics_settings import PS, Settings

BLUE, RED, READOUT = 0, 1, 2


@dataclass(frozen=True)
class Areas:
    """Strength of the pulses: integrals of the scattering rate, and light between them."""

    blue: float
    red: float
    readout: float
    leak: float  # energy between pulses over that of the preparation pulse
    resonance: float = 1.0  # of the scattered light with the cavity; the areas hold for 1


class TonesAndPulses:
    """What the laser, attenuators and modulators send to the crystal."""

    def __init__(
        self,
        values: dict[str, Any],
        laser: CtlLaserModel,
        attenuators: Sequence[AttenuatorModel],
        cavity: Cavity,
    ) -> None:
        self.values = values
        self.laser = laser
        self.attenuators = attenuators
        self.cavity = cavity
        self._envelopes: dict[Settings, tuple[Envelope | None, Envelope | None]] = {}

    def pulses(self, settings: Settings) -> tuple[Envelope | None, Envelope | None]:
        """Transmission of both modulators after a trigger."""
        if settings not in self._envelopes:
            if len(self._envelopes) >= 64:
                self._envelopes.clear()
            rise = self.values["aom_rise"]
            first, second = (
                None
                if settings.pattern is None
                else modulated(
                    settings.pattern.steps["ns"],
                    np.abs(settings.pattern.volts(output)) * settings.radio[output],
                    rise,
                )
                for output in (0, 1)
            )
            self._envelopes[settings] = first, second
        return self._envelopes[settings]

    def tones_w(self, t: float) -> tuple[float, float, float]:
        """Power (W) of the three tones at the crystal at time `t` (s), modulators fully open."""
        v = self.values
        laser = 1e-3 * float(self.laser.power_mw(t))
        blue, red, readout = (
            laser * 10 ** (-v[loss] / 10) * float(voa.transmission(t))
            for loss, voa in zip(
                ("blue_loss", "red_loss", "readout_loss"), self.attenuators, strict=False
            )
        )
        return blue, red, readout

    def mean_w(self, t: float, settings: Settings) -> float:
        """Mean power (W) at the crystal at time `t` (s)."""
        open_part = []
        for pulse, steady in zip(self.pulses(settings), self._steady(settings), strict=True):
            pulsed = 0.0
            if pulse is not None and settings.train is not None:
                pulsed = 1e3 * pulse.area / settings.train[1]
            open_part.append(min(1.0, steady + pulsed))
        blue, red, readout = self.tones_w(t)
        return (blue + red) * open_part[0] + readout * open_part[1]

    def _steady(self, settings: Settings) -> list[float]:
        """Transmission of both modulators between patterns."""
        leak = 10 ** (-self.values["aom_extinction"] / 10)
        return [
            max(leak, math.sin(math.pi / 2 * min(rest * radio, 1.0)) ** 2)
            for rest, radio in zip(settings.resting, settings.radio, strict=True)
        ]

    def areas(self, t: float, settings: Settings) -> Areas:
        """Strength of the pulses at time `t` (s)."""
        cavity = self.cavity
        first, second = self.pulses(settings)
        spans = [0.0 if pulse is None else 1e-9 * pulse.area for pulse in (first, second)]
        tones = self.tones_w(t)
        per_joule = cavity.rate_per_photon() * cavity.photons_per_watt()
        blue, red, readout = (
            per_joule * tone * spans[n] for tone, n in zip(tones, (0, 0, 1), strict=True)
        )
        between = 0.0
        if spans[0] > 0 and settings.train is not None and tones[BLUE] + tones[RED] > 0:
            dark = self._steady(settings)
            cw = (tones[BLUE] + tones[RED]) * dark[0] + tones[READOUT] * dark[1]
            between = cw * settings.train[1] / PS / ((tones[BLUE] + tones[RED]) * spans[0])
        detuning = float(self.laser.frequency_hz(t)) - cavity.frequency_hz
        return Areas(blue, red, readout, between, 1 / cavity.lorentzian(detuning))
