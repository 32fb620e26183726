"""What the modules of the Red Pitaya with PyRPL gateware compute from the words in its registers.

What the gateware computes at 125 MHz is not stepped: a controller acts through the phase loop it
is connected to, and every signal is a function of time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from simulated_instruments.physics.interferometer import Controller
from simulated_instruments.physics.noise import White
from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.redpitaya_blocks import Generator, Ramp, Scope, Sine, Sum
from simulated_instruments.redpitaya_registers import (
    ASG,
    ASGS,
    CLOCK,
    IN1,
    IN2,
    IQS,
    OUT1,
    OUT2,
    PER_HZ,
    PIDS,
    Floats,
    base,
    signed,
)

Inputs = Callable[[Floats], tuple[Floats, Floats]]


class Board:
    """Three PIDs, three IQ modules, generator and scope, connected as the registers say.

    Args:
        values: the words of the registers by address, as they are at any moment.
        seed_of: gives the seed of a named noise.
        inputs: volts at IN1 and IN2 at times (s); default small noise. IN1 is not asked for
            if there is a loop.
        loop: the interferometer between OUT1 and IN1. The first PID from IN1 to OUT1 drives it.
    """

    def __init__(
        self,
        values: dict[int, int],
        seed_of: Callable[[str], int],
        inputs: Inputs | None,
        loop: PhaseLoop | None,
    ) -> None:
        self.values = values
        self.loop = loop
        self._noise = [White(seed_of(f"adc.{n}"), 2e-4, 1 / CLOCK) for n in (1, 2)]
        self._inputs = inputs or (lambda t: (self._noise[0].at(t), self._noise[1].at(t)))
        self.generators = (Generator(), Generator())
        self._waveforms = [generator.waveform() for generator in self.generators]
        self.scope = Scope(self.signal, self._scope_inputs, self.generators)
        self.sync = 0xFFFF  # one bit for each module; a PID whose bit is 0 pauses
        self._ramps = [Ramp() for _ in PIDS]  # integrators that are not in the loop
        self._in_loop: int | None = None  # the PID that drives the loop
        self._controller = Controller()
        self._depth = 0  # of PIDs that look at each other's outputs
        if loop is not None:
            self.connect(0.0)

    def advance(self, now: float) -> None:
        if self.loop is not None:
            self.loop.advance(now)
        self.scope.advance(now)

    # ---------------------------------------------------------------- signals

    def signal(self, number: int, times: Any) -> Any:
        """Volts of DSP signal `number` at times (s)."""
        if number == IN1 and self.loop is not None:
            return self.loop.error(times)
        if number in (IN1, IN2):
            pair = self._inputs(np.atleast_1d(times))
            return (
                pair[number - IN1].reshape(np.shape(times))
                if np.ndim(times)
                else float(pair[number - IN1][0])
            )
        if number in (OUT1, OUT2):
            total = 0.0 * times
            for module in (*PIDS, *IQS, *ASGS):
                if self.values[base(module) + 0x4] & (number - OUT1 + 1):
                    total = total + self._module(module, times)
            return np.minimum(np.maximum(total, -1.0), 8191 / 8192)
        if number in IQS and self.values[base(number) + 0x10C] != 1:
            return 0.0 * times  # demodulated quadratures are not simulated
        return self._module(number, times)

    def _module(self, number: int, times: Any) -> Any:
        """Volts that a module sends to an output."""
        if number == self._in_loop and self.loop is not None:
            return self.loop.output(times)
        if number in PIDS:
            return self._free_pid(number, times)
        if number in ASGS:
            waveform = self._waveforms[number - ASGS[0]]
            return waveform(times) if waveform else 0.0 * times
        if number in IQS:
            return self._modulation(number)(times)
        return 0.0 * times

    def _free_pid(self, pid: int, times: Any) -> Any:
        gains = self.gains(pid)
        volts = self._ramps[pid](times)
        if gains.proportional and self._depth < 4:  # PIDs may be chained in a ring
            self._depth += 1
            source = self.signal(self.values[base(pid)], times)
            self._depth -= 1
            volts = volts + gains.proportional * (source - gains.setpoint)
        return np.minimum(np.maximum(volts, gains.low), gains.high)

    def _modulation(self, iq: int) -> Sine:
        at = base(iq)
        values = self.values
        amplitude = signed(values[at + 0x114], 18) / 2**17
        return Sine(
            amplitude if values[at + 0x100] & 1 else 0.0,
            values[at + 0x108] * CLOCK / 2**32,
            -2 * math.pi * values[at + 0x104] / 2**32,
        )

    def _scope_inputs(self) -> tuple[int, int]:
        return self.values[base(8)], self.values[base(9)]

    def gains(self, pid: int) -> Controller:
        """What a PID does now: a paused one has the gains it pauses set to zero."""
        values, at = self.values, base(pid)
        pausing = 0 if self.sync >> pid & 1 else values[at + 0x12C] & 0b111
        return Controller(
            integral=0.0 if pausing & 1 else signed(values[at + 0x10C], 24) / PER_HZ,
            proportional=0.0 if pausing & 2 else signed(values[at + 0x108], 24) / 4096,
            setpoint=signed(values[at + 0x104], 14) / 8192,
            low=signed(values[at + 0x124], 14) / 8192,
            high=signed(values[at + 0x128], 14) / 8192,
        )

    def saturation(self, now: float) -> int:
        """Bit 0: OUT1 is at its limit, bit 1: OUT2 is."""
        word = 0
        held = self._in_loop is not None and self.loop is not None and self.loop.locked(now)
        if not held and abs(self.signal(OUT1, now)) > 8190.5 / 8192:
            word |= 1
        if abs(self.signal(OUT2, now)) > 8190.5 / 8192:
            word |= 2
        return word

    # ---------------------------------------------------------------- changes

    def integral(self, pid: int, now: float) -> float:
        """Integrator of a PID in V."""
        if pid == self._in_loop and self.loop is not None:
            return self.loop.integral(now)
        return float(self._ramps[pid](now))

    def set_integral(self, pid: int, volts: float, now: float) -> None:
        """Set the integrator of a PID, which goes on from there."""
        if pid == self._in_loop and self.loop is not None:
            self.loop.set_integral(now, volts)
        else:
            self._ramps[pid] = replace(self._ramps[pid], volts=volts, start=now)
            self.connect(now)

    def generate(self, now: float) -> None:
        """Let the generator go on with the present registers."""
        for number, generator in enumerate(self.generators):
            at = ASG + 0x20 * number
            values = self.values
            generator.scale, generator.wrap = values[at + 0x4], values[at + 0x8]
            generator.first, generator.step = values[at + 0xC], values[at + 0x10]
            generator.cycles = values[at + 0x18]
            self._waveforms[number] = generator.waveform()
        self.connect(now)

    def connect(self, now: float) -> None:
        """Let PIDs and loop go on with the present registers; integrators keep their values."""
        values = self.values
        chosen = None
        if self.loop is not None:
            wired = (p for p in PIDS if values[base(p)] == IN1 and values[base(p) + 0x4] & 1)
            chosen = next(wired, None)
        carried = None
        if chosen != self._in_loop:
            carried = 0.0 if chosen is None else self.integral(chosen, now)
            if self._in_loop is not None:
                self._ramps[self._in_loop] = Ramp(self.integral(self._in_loop, now), start=now)
            self._in_loop = chosen
        for pid in PIDS:
            if pid != chosen:
                self._ramps[pid] = self._ramp(pid, now)
        if self.loop is None:
            return
        controller = Controller() if chosen is None else self.gains(chosen)
        controller = replace(controller, drive=self._drive(chosen))
        if controller != self._controller:
            self._controller = controller
            self.loop.set_controller(now, controller)
        if carried is not None:
            self.loop.set_integral(now, carried)

    def _ramp(self, pid: int, now: float) -> Ramp:
        """The integrator of a PID outside the loop from now on."""
        ramp, gains = self._ramps[pid], self.gains(pid)
        slope = 0.0
        if gains.integral:
            source = float(self.signal(self.values[base(pid)], now))
            slope = 2 * math.pi * gains.integral * (source - gains.setpoint)
        if slope == ramp.slope:
            return ramp
        return replace(ramp, volts=float(ramp(now)), slope=slope, start=now)

    def _drive(self, chosen: int | None) -> Sum | None:
        """What modules outside the loop add to OUT1."""
        parts: list[Callable[[Any], Any]] = []
        for module in (*PIDS, *IQS, *ASGS):
            if module == chosen or not self.values[base(module) + 0x4] & 1:
                continue
            if module in PIDS:
                limits = self.gains(module)
                parts.append(replace(self._ramps[module], low=limits.low, high=limits.high))
            elif module in IQS:
                parts.append(self._modulation(module))
            elif waveform := self._waveforms[module - ASGS[0]]:
                parts.append(waveform)
        return Sum(tuple(parts)) if parts else None
