"""Transmitter and receiver of a decoy-state BB84 link, as parts of a world.

A receiver sees one transmitter through `Link`, which the world makes anew for each block or frame
from what both were told and from what lies between them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

import numpy as np

from simulated_instruments.physics.decoy_bb84 import (
    CLOCK,
    Clicks,
    Counts,
    Link,
    PulseTrain,
    Settings,
    draw_counts,
    settings_of,
)

LEAST_W, MOST_W = 0.1e-6, 1e-3  # at the input, for a transmitter to put light out
KEPT_SECONDS = 10.0  # for which settings of a frame can be asked for
KEPT_FRAMES = 256  # that a receiver keeps for a client that is late
PHOTON_J = 1.29e-19  # at 1540 nm


class TransmitterModel:
    """One transmitter; intensities in photons per pulse, powers in W.

    Args:
        seed_of: seeds by name.
        name: the instrument's name.
        line_w: power of the comb line in a channel (1 to 5) at the input, now.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "transmitter",
        line_w: Callable[[int], float] = lambda channel: 1e-5,
    ) -> None:
        self._seed_of, self._name = seed_of, name
        self._line_w = line_w
        self.now = 0.0
        self.external_clock = False
        self.test = False
        self._starts = 0
        self._hardware_seed = 0
        self.restore()

    def restore(self) -> None:
        """Bring settings to their defaults, dark and idle."""
        self.channel = 1
        self.levels = (0.5, 0.16, 0.008)
        self.weights = (29, 2, 1)
        self.basis = 0.5
        self.random_phase = True
        self.output = False
        self.frame_pulses = 10_000_000
        self.started: float | None = None
        self.given_seed: int | None = None
        self.faults: dict[str, bool] = {}  # name: whether it still holds

    @property
    def monitor_w(self) -> float:
        """Power (W) of the line at the input."""
        return float(self._line_w(self.channel))

    @property
    def attenuation_db(self) -> float:
        """What the closed loop sets between the monitor and the channel, 0 to 80 dB."""
        photons = self.monitor_w / CLOCK / PHOTON_J
        if not self.output or photons <= 0:
            return 80.0
        mean = float(np.dot(self.weights, self.levels)) / sum(self.weights)
        return min(max(10.0 * math.log10(photons / max(mean, 1e-6)), 0.0), 80.0)

    @property
    def seed(self) -> int:
        """Of the settings of this start."""
        if self.test and self.given_seed is not None:
            return self.given_seed
        return self._hardware_seed

    @property
    def sending(self) -> bool:
        """Whether pulses leave the board."""
        return self.output and self.started is not None

    def start(self) -> None:
        """Begin to count pulses and frames."""
        self.started = self.now
        self._starts += 1
        self._hardware_seed = self._seed_of(f"{self._name}.settings.{self._starts}")

    def stop(self) -> None:
        """End."""
        self.started = None

    def light_fault(self) -> str:
        """What is wrong with the light at the input, or ""."""
        power = self.monitor_w
        return "LOWLIGHT" if power < LEAST_W else "OVERLIGHT" if power > MOST_W else ""

    def frame_now(self) -> float:
        """Frames since the start, with fraction."""
        started = self.now if self.started is None else self.started
        return (self.now - started) * CLOCK / self.frame_pulses

    def settings(self, frame: int, indices: np.ndarray, link: Link) -> Settings:
        """Settings of pulses of a frame.

        Raises:
            ValueError: the frame has not ended yet, or is forgotten.
        """
        age = self.frame_now() - frame
        if self.started is None or age < 1.0 - 1e-6:  # the clock is a float
            raise ValueError(f"frame {frame} has not been sent")
        if age * self.frame_pulses > KEPT_SECONDS * CLOCK + self.frame_pulses:
            raise ValueError(f"frame {frame} is forgotten")
        numbers = np.uint64(frame * self.frame_pulses) + indices.astype(np.uint64)
        return settings_of(self.seed, numbers, link)

    def advance(self, now: float) -> None:
        """Without light there is nothing to send: the output is switched off, with a fault."""
        self.now = now
        fault = self.light_fault() if self.output else ""
        for name in self.faults:
            self.faults[name] = name == fault
        if fault:
            self.faults[fault] = True
            self.output = False


class ReceiverModel:
    """One receiver.

    Args:
        seed_of: seeds by name.
        name: the instrument's name.
        detectors: how many there are.
        transmitter: whose pulses it counts; None: nobody's.
        link: what lies between, as it is at a time (s).
        phase: rad that the interferometer has drifted, at a time (s).
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "receiver",
        detectors: int = 1,
        transmitter: TransmitterModel | None = None,
        link: Callable[[float], Link] | None = None,
        phase: Callable[[float], float] = lambda t: 0.0,
    ) -> None:
        self._seed_of, self._name = seed_of, name
        self.detectors = detectors
        self.transmitter = transmitter
        self.phase = phase
        self._link = link or (lambda t: Link((0.0, 0.0, 0.0), detectors=detectors))
        self.now = 0.0
        self.external_clock = True
        self._starts = 0
        self.restore()

    def restore(self) -> None:
        """Bring settings to their defaults, idle."""
        self.basis = 0.5
        self.gate_delay = 500.0  # ps
        self.dead_time = 100.0  # ns
        self.tracking = True
        self.events = False
        self.frame_pulses = 10_000_000
        self.started: float | None = None
        self.armed = False
        self.faults: dict[str, bool] = {}
        self.blocks: list[Counts] = []
        self._train: PulseTrain | None = None
        self._frame = 0  # the next one
        self.frames: deque[tuple[int, float, Clicks]] = deque()  # number, end (s), detections
        self.lost: tuple[int, int] = (0, 0)  # first frame that was lost, how many

    def start(self) -> None:
        """Arm; counting begins with the next frame of a transmitter that runs."""
        self.armed, self.started = True, None
        self.blocks, self.lost = [], (0, 0)
        self.frames.clear()
        self._starts += 1
        self._synchronise()

    def stop(self) -> None:
        """End."""
        self.armed, self.started = False, None

    def _synchronise(self) -> None:
        sender = self.transmitter
        if sender is None or sender.started is None or sender.frame_pulses != self.frame_pulses:
            self.faults["NOSYNC"] = True
            return
        if "NOSYNC" in self.faults:
            self.faults["NOSYNC"] = False
        length = self.frame_pulses / CLOCK
        self._frame = math.ceil((self.now - sender.started) / length - 1e-9)
        self.started = sender.started + self._frame * length
        self._train = PulseTrain(
            sender.seed, lambda n: _generator(self._seed_of(f"{self._name}.{self._starts}.{n}"))
        )

    def advance(self, now: float) -> None:
        """Draw the blocks, or the detections, of what has ended by `now` (s)."""
        self.now = now
        if not self.armed:
            return
        sender = self.transmitter
        if self.started is not None and (sender is None or sender.started is None):
            self.started, self.faults["NOSYNC"] = None, True
        if self.started is None:
            self._synchronise()
            return
        if self.events:
            self._frames(now)
        else:
            self._blocks(now)

    def _blocks(self, now: float) -> None:
        assert self.started is not None
        while self.started + len(self.blocks) + 1.0 <= now + 1e-9:
            number = len(self.blocks)
            rng = _generator(self._seed_of(f"{self._name}.{self._starts}.block.{number}"))
            self.blocks.append(draw_counts(self._link(self.started + number + 0.5), CLOCK, rng))

    def _frames(self, now: float) -> None:
        sender, train = self.transmitter, self._train
        assert sender is not None
        assert train is not None
        assert sender.started is not None
        length = self.frame_pulses / CLOCK
        while (end := sender.started + (self._frame + 1) * length) <= now + 1e-9:
            first = self._frame * self.frame_pulses
            clicks = train.next(self._link(end - length / 2), first, self.frame_pulses)
            self.frames.append((self._frame, end, clicks))
            self._frame += 1
            if len(self.frames) > KEPT_FRAMES:
                number, _, _ = self.frames.popleft()
                self.lost = (self.lost[0] if self.lost[1] else number, self.lost[1] + 1)

    def next_frame_ends(self) -> float:
        """When the next frame will be complete (s)."""
        sender = self.transmitter
        if self.started is None or sender is None or sender.started is None or not self.events:
            return math.inf
        return sender.started + (self._frame + 1) * self.frame_pulses / CLOCK

    def rates(self) -> list[int]:
        """Clicks in the last whole second, by detector."""
        if not self.blocks:
            return [0] * self.detectors
        total = int(self.blocks[-1].clicks.sum())
        number = len(self.blocks) - 1
        rng = _generator(self._seed_of(f"{self._name}.{self._starts}.split.{number}"))
        first = total if self.detectors == 1 else int(rng.binomial(total, 0.5))
        return [first, total - first][: self.detectors]


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
