"""The soliton-qkd bench: a microring's comb, demultiplexed, carries two decoy-state BB84 links.

    pump laser -> booster ----------> ring -> comb -> demultiplexer -> CH1 ... CH5 -> transmitters
    auxiliary laser -> booster ---->  (other way round, other polarisation)
    transmitters -> multiplexer -> fibre, attenuators -> demultiplexer -> receivers

A tap of the comb without the pump line goes to a power meter, a tap of the auxiliary laser behind
the ring to another one. The spectrum analyser looks through a switch at the comb or at a channel.
Switching of the ring is that of a heated ladder (`physics.soliton`), spectra are those of the
Lugiato-Lefever equation, which the ladder's energies come from.

Source: F.-X. Wang et al., "Quantum key distribution with on-chip dissipative Kerr soliton"
("paper"); "inferred" values make its results come out and are stated nowhere.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.keysight_switch import SwitchModel
from simulated_instruments.physics.attenuator import INSERTION_DB, AttenuatorModel
from simulated_instruments.physics.decoy_bb84 import Link
from simulated_instruments.physics.edfa import EdfaModel
from simulated_instruments.physics.itla_laser import ItlaModel
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.microring_source import Lasers, MicroringSource
from simulated_instruments.physics.noise import OrnsteinUhlenbeck, Wiener
from simulated_instruments.physics.osa import OsaModel
from simulated_instruments.physics.power_meter import PowerMeterModel
from simulated_instruments.physics.qkd_boards import ReceiverModel, TransmitterModel
from simulated_instruments.physics.soliton import SOLITONS, SolitonRing
from simulated_instruments.physics.thermal import TecModel
from simulated_instruments.world import World, WorldParameter

Real = NDArray[np.float64]

#: Centres (Hz) of the demultiplexer's channels 1 to 5: ITU channels 28 to 32.
CHANNELS = tuple(190e12 + 0.1e12 * itu for itu in range(28, 33))
#: Insertion loss (dB) of multiplexer and demultiplexer together, by channel; paper: 4.7 to 5.2.
INSERTION = (4.95, 4.95, 4.70, 5.20, 5.05)
HALF_WIDTH, ORDER = 38e9, 6  # Hz from the centre to 3 dB, and steepness of the filter
NEAR, NEAR_FLOOR_DB, FAR_FLOOR_DB = 150e9, 23.0, 43.0  # Hz, dB
LINKS = ("1", "2")
GATE_WIDTH = 150.0  # ps
COHERENCE_LOST = 0.25  # error rate of a line without coherence from pulse to pulse

P = WorldParameter


class QkdLinkWorld(World):
    """Everything between the lasers and the receivers, on one clock."""

    PARAMETERS = (
        P("pump_resonance", 192.6685e12, "Hz", "cold resonance that is pumped",
          "paper: the pump is at 1556.09 nm when the ring is hot", 191e12, 196e12),
        P("auxiliary_resonance", 193.1090e12, "Hz", "cold resonance of the auxiliary laser",
          "assumed", 191.5e12, 196e12),
        P("linewidth", 113.33e6, "Hz", "loaded linewidth", "paper: Q 1.7 million", 1e6, 1e9),
        P("threshold", 175.0, "mW", "pump power at the threshold of the comb",
          "inferred: f^2 is 20 at 3.5 W", 1.0, 1e4),
        P("heating", 15.0, "", "thermal shift in half linewidths per unit of energy in the ring",
          "inferred", 0.0, 1000.0),
        P("edge_spread", 0.04, "", "relative spread of the detunings at which solitons go",
          "inferred: mode crossings", 0.0, 0.2),
        P("tuning", -1.9e9, "Hz/K", "shift of the resonances with temperature",
          "inferred: 15 pm/K", -1e10, 1e10),
        P("pump_drift", -85e6, "Hz/h", "drift of the pump's resonance against the auxiliary one's",
          "inferred: 1 to 2 half linewidths per hour", -1e11, 1e11),
        P("spacing", 49e9, "Hz", "spacing of the comb lines", "paper", 20e9, 200e9),
        P("laser_drift", 1e6, "Hz/sqrt(s)", "random walk of the pump laser", "assumed", 0.0, 1e9),
        P("comb_output", 50.0, "mW", "comb behind the ring per unit of energy in it", "assumed",
          0.0, 1e4),
        P("fibre_length", 25.0, "km", "between multiplexer and demultiplexer", "paper", 0.0, 500.0),
        P("fibre_loss", 0.2, "dB/km", "of the fibre", "paper", 0.0, 1.0),
        P("receiver_loss", 6.24, "dB", "3.0 of the time slot, the rest in components", "inferred",
          0.0, 60.0),
        P("detector_efficiency", 0.15, "", "of a single-photon detector", "paper: above 15 %",
          0.0, 1.0),
        P("dark", 1e-6, "", "dark counts per gate and detector", "inferred", 0.0, 1e-2),
        P("afterpulse", 0.015, "", "probability of an afterpulse", "inferred", 0.0, 0.5),
        P("misalignment", 0.0195, "", "error rate of the interferometers", "inferred", 0.0, 0.5),
        P("misalignment_drift_1", 0.0048, "", "its rms drift, link 1",
          "paper: scatter of the error rate of TR1", 0.0, 0.1),
        P("misalignment_drift_2", 0.0033, "", "its rms drift, link 2",
          "paper: scatter of the error rate of TR2", 0.0, 0.1),
        P("gate_share", 0.1, "", "part of the time in which a gate is open", "assumed", 0.0, 1.0),
        P("phase_drift", 0.02, "rad/sqrt(s)", "of an interferometer that nobody follows",
          "assumed", 0.0, 10.0),
    )  # fmt: skip

    def __init__(self, seed: int = 0, **values: Any) -> None:
        super().__init__(seed, **values)
        v, seed_of = self.values, self.seed_of
        self.tec = TecModel(seed_of, "chip", tuning=v["tuning"])
        self.pump = CtlLaserModel(
            seed_of, "pump", wavelength_nm=1556.0, drift_hz=v["laser_drift"], thermal_hz=5e6
        )
        self.auxiliary = ItlaModel(seed_of, "auxiliary")
        self.pump_amplifier = _booster(seed_of, "pump_amplifier", self.pump.power_mw)
        self.auxiliary_amplifier = _booster(seed_of, "auxiliary_amplifier", self.auxiliary.power_mw)
        lasers = Lasers(
            self.pump.frequency_hz,
            self.pump_amplifier.output_mw,
            self.auxiliary.frequency_hz,
            self.auxiliary_amplifier.output_mw,
        )
        self.ring = MicroringSource(
            lambda what: seed_of(f"ring.{what}"),
            lasers,
            lambda t: v["pump_resonance"] + self.tec.shift_hz(t) + v["pump_drift"] / 3600.0 * t,
            lambda t: v["auxiliary_resonance"] + self.tec.shift_hz(t),
            SolitonRing(
                lambda n: self.rng(f"ring.birth.{n}"),
                heating=v["heating"],
                edge_spread=v["edge_spread"],
            ),
            linewidth_hz=v["linewidth"],
            threshold_mw=v["threshold"],
            told=self._told,
        )
        self.switch = SwitchModel(seed_of, "switch")
        self.attenuators = [AttenuatorModel(seed_of, f"channel.{n}", 45.0) for n in (1, 2, 3, 4)]
        self._errors = [
            OrnsteinUhlenbeck(seed_of(f"misalignment.{n}"), v[f"misalignment_drift_{n}"], 5.0)
            for n in LINKS
        ]
        self._phases = [Wiener(seed_of(f"phase.{n}"), v["phase_drift"]) for n in LINKS]
        self.transmitters = [
            TransmitterModel(seed_of, f"transmitter_{n}", self.channel_w) for n in LINKS
        ]
        self.receivers = [
            ReceiverModel(
                seed_of, f"receiver_{n}", int(n), self.transmitters[i],
                lambda t, i=i: self.link(i, t), self._phases[i].at,
            )
            for i, n in enumerate(LINKS)
        ]  # fmt: skip
        self._lines: tuple[int, tuple[Real, Real]] | None = None
        self._channels: dict[int, float] = {}
        self.parts.update(
            chip=self.tec, pump=self.pump, auxiliary=self.auxiliary,
            pump_amplifier=self.pump_amplifier, auxiliary_amplifier=self.auxiliary_amplifier,
            ring=self.ring,
            comb_meter=PowerMeterModel(seed_of, "comb_meter", self.comb_tap_w, 1550.0),
            auxiliary_meter=PowerMeterModel(
                seed_of, "auxiliary_meter", self.auxiliary_tap_w, 1550.0
            ),
            switch=self.switch,
            osa=OsaModel(seed_of, "osa", light=self.light),
            **{f"channel.{n + 1}": a for n, a in enumerate(self.attenuators)},
            **{f"transmitter_{n}": t for n, t in zip(LINKS, self.transmitters, strict=True)},
            **{f"receiver_{n}": r for n, r in zip(LINKS, self.receivers, strict=True)},
        )  # fmt: skip

    def _told(self) -> object:
        """What everything that moves the ring was told."""
        boosters = (self.pump_amplifier, self.auxiliary_amplifier)
        return (
            self.pump.settings,
            self.auxiliary.settings,
            self.tec.control,
            [
                (b.channel, b.active, b.tripped, b.constant_power, b.current, b.power)
                for b in boosters
            ],
        )

    # ---------------------------------------------------------------- light

    def comb_tap_w(self, times_s: Any) -> Any:
        """Power (W) of the comb without the pump line at its power meter: a tap of 1 %."""
        return 1e-5 * self.values["comb_output"] * self.ring.comb_power(times_s)

    def auxiliary_tap_w(self, times_s: Any) -> Any:
        """Power (W) of the auxiliary laser behind the ring at its power meter: a tap of 0.1 %."""
        return 1e-6 * self.ring.auxiliary_mw(times_s)

    def comb_lines(self) -> tuple[Real, Real]:
        """Frequencies (Hz) and powers (W) of the comb's lines, without the pump, now."""
        if self._lines is None or self._lines[0] != self.ring.settled:
            orders, power = self.ring.lines()
            frequency = float(self.pump.frequency_hz(self.now)) + orders * self.values["spacing"]
            power = 1e-3 * self.values["comb_output"] * np.where(orders == 0, 0.0, power)
            self._lines = self.ring.settled, (frequency, power)
            self._channels.clear()
        return self._lines[1]

    def channel_w(self, channel: int) -> float:
        """Power (W) that leaves the demultiplexer through a channel, 1 to 5, now."""
        frequency, power = self.comb_lines()
        if channel not in self._channels:
            self._channels[channel] = float(power @ filter_transmission(frequency, channel))
        return self._channels[channel]

    def light(self, t: float) -> tuple[Real, Real]:
        """Frequencies (Hz) and powers (W) of the lines behind the switch at time `t` (s).

        Port 1 is a tap of 10 % of the comb with what the notch filter leaves of the pump (-30 dB),
        ports 2 to 6 are the channels of the demultiplexer.
        """
        frequency, power = self.comb_lines()
        passing = self.switch.transmissions(t)
        total = 0.1 * passing[0] * power
        for channel in range(1, 6):
            total = total + passing[channel] * power * filter_transmission(frequency, channel)
        pump = 1e-3 * float(self.pump_amplifier.output_mw(t)) * 1e-3 * 0.1 * passing[0]
        at_pump = float(self.pump.frequency_hz(t))
        return np.append(frequency, at_pump), np.append(total, pump)

    # ---------------------------------------------------------------- keys

    def link(self, index: int, t: float) -> Link:
        """What a receiver sees of its transmitter, link 0 or 1, at time `t` (s)."""
        v = self.values
        sender, receiver = self.transmitters[index], self.receivers[index]
        channel_loss = v["fibre_loss"] * v["fibre_length"] + INSERTION[sender.channel - 1]
        added = float(self.attenuators[index].loss_db(t)) - INSERTION_DB  # part of the insertion
        loss = channel_loss + v["receiver_loss"] + added
        late = (receiver.gate_delay - 500.0) / GATE_WIDTH
        eta = 10 ** (-loss / 10.0) * v["detector_efficiency"] * receiver.detectors / 2.0
        eta *= math.exp(-(late**2))
        return Link(
            sender.levels if sender.sending else (0.0, 0.0, 0.0),
            sender.weights,
            sender.basis,
            receiver.basis,
            eta,
            receiver.detectors * v["dark"] + self._crosstalk(index, eta),
            v["afterpulse"],
            self._misalignment(index, t),
            receiver.dead_time * 1e-9,
            receiver.detectors,
        )

    def _misalignment(self, index: int, t: float) -> float:
        """Probability that a photon goes to the wrong output."""
        if self.ring.ring.state.kind != SOLITONS:
            return COHERENCE_LOST
        error = self.values["misalignment"] + float(self._errors[index].at(t))
        if not self.receivers[index].tracking:
            swing = math.sin(float(self._phases[index].at(t)) / 2.0) ** 2
            error = error + (1.0 - 2.0 * error) * swing
        return min(max(error, 0.0), 0.5)

    def _crosstalk(self, index: int, eta: float) -> float:
        """Clicks per gate by the other link's light, whose pulses come at any time."""
        other = self.transmitters[1 - index]
        if not other.sending:
            return 0.0
        distance = abs(other.channel - self.transmitters[index].channel)
        isolation = (0.0, NEAR_FLOOR_DB, FAR_FLOOR_DB)[min(distance, 2)]
        mean = float(np.dot(other.weights, other.levels)) / sum(other.weights)
        return self.values["gate_share"] * eta * mean * 10 ** (-isolation / 10.0)


def filter_transmission(frequency_hz: Real, channel: int) -> Real:
    """Power transmission of a channel of the demultiplexer at optical frequencies (inferred)."""
    distance = np.abs(frequency_hz - CHANNELS[channel - 1])
    floor = np.where(distance < NEAR, NEAR_FLOOR_DB, FAR_FLOOR_DB)
    skirt = 3.01 * np.minimum(distance / HALF_WIDTH, 1e3) ** ORDER
    decibel = INSERTION[channel - 1] + np.minimum(skirt, floor)
    return np.asarray(10.0 ** (-decibel / 10.0))


def _booster(seed_of: Any, name: str, input_mw: Any) -> EdfaModel:
    return EdfaModel(seed_of, name, input_mw, saturation_mw=3000.0, maximum_mw=4000.0)
