"""What pulses do to the crystal's motion and light, and how often detectors click then."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from simulated_instruments.physics.optomechanics import (
    Cavity,
    Heating,
    Prepared,
    Readout,
    pattern_probabilities,
    prepared,
)
from simulated_instruments.physics.optomechanics_pulses import Envelope
from simulated_instruments.physics.optomechanics_trials import Chances, pair_law
from simulated_instruments.worlds.optomechanics_light import Areas

H, K = 6.62607015e-34, 1.380649e-23


class Crystal:
    """What pulses of given areas do to light and motion, and what the detectors make of that."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = v = values
        turn = 2 * math.pi
        self.cavity = Cavity(
            v["wavelength"] * 1e-9,
            turn * v["kappa"],
            turn * v["kappa"] * v["coupling"],
            turn * v["omega_m"],
            turn * v["g0"],
        )
        self.heating = Heating(
            excess=v["gate_excess"],
            gate_time=v["gate_time"],
            delay_time=v["delay_time"],
            lifetime=v["lifetime"],
            bath_time=v["bath_time"],
            red_only=v["red_heating"],
            pumped=v["pump_heating"],
        )

    def phonons(self, kelvin: float, leak: float) -> float:
        """Thermal phonons before a trial."""
        v = self.values
        boltzmann = H * v["omega_m"] / (K * max(kelvin, 1e-3))
        return float(
            v["thermal_phonons"] + 1 / math.expm1(min(boltzmann, 500.0)) + v["leak_heating"] * leak
        )

    def chances(
        self,
        areas: Areas,
        first: Envelope | None,
        second: Envelope | None,
        kelvin: float,
        efficiencies: tuple[float, float],
    ) -> Chances:
        """Probabilities and times of clicks in a trial."""
        v = self.values
        n_th = self.phonons(kelvin, areas.leak)
        blue, red = areas.blue * areas.resonance, areas.red * areas.resonance
        state = prepared(blue, red, n_th)
        delay = begin = 0.0
        if first is not None and second is not None:
            begin = second.centre - second.gaussian_fwhm
            delay = begin - first.centre - first.gaussian_fwhm
        elif second is not None:
            begin = second.centre - second.gaussian_fwhm
            state = Prepared((1.0, 1.0), state.motion, (0.0, 0.0))
        found = Readout(
            state, n_th, delay, areas.readout * areas.resonance, self.heating, blue, red
        )
        gate = 2 * second.gaussian_fwhm if second is not None else 1.0
        leaks = (
            v["blue_leak"] * areas.blue + v["red_leak"] * areas.red,
            v["readout_leak"] * areas.readout,
        )
        mu = np.array([v["collection"] / 2 * e for e in efficiencies * 2])
        background = mu * np.repeat(leaks, 2)
        law = np.empty(0)
        if second is not None:
            law = pair_law(second, found.excess(second.times - begin))
        return Chances(
            pattern_probabilities(found.covariance(gate), mu, background),
            first,
            second,
            law,
            v["latency"],
        )
