"""Model of the Red Pitaya with PyRPL gateware: what its registers do, without the wire.

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
    POINTS,
    SCOPE,
    Floats,
    Words,
    base,
    code,
    plain_registers,
    signed,
)

Inputs = Callable[[Floats], tuple[Floats, Floats]]


class RedPitayaModel:
    """The board: registers in front of three PIDs, three IQ modules, generator and scope.

    Args:
        seed_of: gives the seed of a named noise.
        inputs: volts at IN1 and IN2 at times (s); default small noise. IN1 is not asked for
            if there is a loop.
        loop: the interferometer between OUT1 and IN1. The first PID from IN1 to OUT1 drives it.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        inputs: Inputs | None = None,
        loop: PhaseLoop | None = None,
    ) -> None:
        self.loop = loop
        self._noise = [White(seed_of(f"adc.{n}"), 2e-4, 1 / CLOCK) for n in (1, 2)]
        self._inputs = inputs or (lambda t: (self._noise[0].at(t), self._noise[1].at(t)))
        self._masks, self._values = plain_registers()
        self._generators = (Generator(), Generator())
        self._waveforms = [generator.waveform() for generator in self._generators]
        self._scope = Scope(self.signal, self._scope_inputs, self._generators)
        self._sync = 0xFFFF
        self._ramps = [Ramp() for _ in PIDS]  # integrators that are not in the loop
        self._in_loop: int | None = None  # the PID that drives the loop
        self._controller = Controller()
        self._depth = 0
        self._live = self._live_registers()
        self._actions = self._written_registers()
        if loop is not None:
            self._connect(0.0)

    # ---------------------------------------------------------------- for the world

    def advance(self, now: float) -> None:
        if self.loop is not None:
            self.loop.advance(now)
        self._scope.advance(now)

    def output(self, n: int, t: Any) -> Any:
        """Volts at OUT1 or OUT2 (n = 1, 2) at times (s)."""
        if n not in (1, 2):
            raise ValueError(f"the board has outputs 1 and 2, not {n!r}")
        return self.signal(OUT1 + n - 1, t)

    # ---------------------------------------------------------------- registers

    def read(self, address: int, count: int, now: float) -> Words:
        """Read `count` words from `address` on at `now` (s)."""
        page, offset = address & ~0xFFFF, address & 0xFFFF
        channel = (page - SCOPE) // 0x10000 - 1
        if channel in (0, 1) and offset + 4 * count <= 4 * POINTS:
            return self._scope.curve(channel, now)[offset // 4 : offset // 4 + count]
        words = [self._read_word(address + 4 * n, now) for n in range(count)]
        return np.array(words, dtype=np.uint32)

    def _read_word(self, address: int, now: float) -> int:
        address &= 0xFFFFFFFC
        if live := self._live.get(address):
            return live(now)
        channel = ((address & ~0xFFFF) - SCOPE) // 0x10000 - 1
        if channel in (0, 1):
            return int(self._scope.curve(channel, now)[(address & 0xFFFF) // 4])
        return self._values.get(address, 0)

    def write(self, address: int, words: Words, now: float) -> None:
        """Write words from `address` on at `now` (s)."""
        channel = ((address & ~0xFFFF) - ASG) // 0x10000 - 1
        if channel in (0, 1):
            self._generators[channel].write_table((address & 0xFFFF) // 4, words)
            self._generate(now)
            return
        for n, word in enumerate(words.tolist()):
            self._write_word((address + 4 * n) & 0xFFFFFFFC, word, now)

    def _write_word(self, address: int, word: int, now: float) -> None:
        mask = self._masks.get(address)
        if mask:
            self._values[address] = word & mask
        if action := self._actions.get(address):
            action(word, now)

    def _live_registers(self) -> dict[int, Callable[[float], int]]:
        """Registers whose content changes by itself."""
        scope = self._scope
        live: dict[int, Callable[[float], int]] = {
            SCOPE: scope.state,
            SCOPE + 0x4: lambda now: scope.source,
            SCOPE + 0x18: lambda now: scope.current(now) % POINTS,
            SCOPE + 0x1C: lambda now: scope.trigger_sample % POINTS,
            SCOPE + 0x2C: lambda now: (scope.current(now) + 1) & 0xFFFFFFFF,
            SCOPE + 0x154: lambda now: code(self.signal(IN1, now)),
            SCOPE + 0x158: lambda now: code(self.signal(IN2, now)),
            SCOPE + 0x15C: lambda now: int(now * CLOCK) & 0xFFFFFFFF,
            SCOPE + 0x160: lambda now: int(now * CLOCK) >> 32,
            SCOPE + 0x164: lambda now: int(scope.trigger_time * CLOCK) & 0xFFFFFFFF,
            SCOPE + 0x168: lambda now: int(scope.trigger_time * CLOCK) >> 32,
            SCOPE + 0x16C: lambda now: int(scope.pretrigger_ok(now)),
        }

        def sampler(number: int) -> Callable[[float], int]:
            return lambda now: code(self.signal(number, now))

        def integral(pid: int) -> Callable[[float], int]:
            return lambda now: code(self._integral(pid, now), 16)

        for number in range(16):
            live[base(number) + 0x8] = self._saturation
            live[base(number) + 0xC] = lambda now: self._sync
            live[base(number) + 0x10] = sampler(number)
        for pid in PIDS:
            live[base(pid) + 0x100] = integral(pid)
        return live

    def _written_registers(self) -> dict[int, Callable[[int, float], None]]:
        """What happens when a register is written, beyond keeping the word."""
        scope = self._scope

        def scope_changed(word: int, now: float) -> None:
            scope.decimation = max(1, self._values[SCOPE + 0x14])
            scope.delay = self._values[SCOPE + 0x10]
            scope.threshold = signed(self._values[SCOPE + 0x8], 14) / 8192
            scope.hysteresis = signed(self._values[SCOPE + 0x20], 14) / 8192

        def sync(word: int, now: float) -> None:
            self._sync = word & 0xFFFF
            self._connect(now)

        def integral(pid: int) -> Callable[[int, float], None]:
            return lambda word, now: self._set_integral(pid, signed(word, 16) / 8192, now)

        def changed(word: int, now: float) -> None:
            self._connect(now)

        def waveform(word: int, now: float) -> None:
            self._generate(now)

        def triggered(word: int, now: float) -> None:
            for channel, generator in enumerate(self._generators):
                generator.set_control(word >> (16 * channel) & 0xFF, now)
            self._generate(now)

        actions: dict[int, Callable[[int, float], None]] = {
            SCOPE: scope.control,
            SCOPE + 0x4: scope.set_source,
            ASG: triggered,
        }
        for offset in (0x8, 0x10, 0x14, 0x20):
            actions[SCOPE + offset] = scope_changed
        for channel in (0, 0x20):
            for offset in (0x4, 0x8, 0xC, 0x10, 0x18):
                actions[ASG + channel + offset] = waveform
        for number in range(16):
            actions[base(number)] = actions[base(number) + 0x4] = changed
            actions[base(number) + 0xC] = sync
        for pid in PIDS:
            actions[base(pid) + 0x100] = integral(pid)
            for offset in (0x104, 0x108, 0x10C, 0x124, 0x128, 0x12C):
                actions[base(pid) + offset] = changed
        for iq in IQS:
            for offset in (0x100, 0x104, 0x108, 0x114):
                actions[base(iq) + offset] = changed
        return actions

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
                if self._values[base(module) + 0x4] & (number - OUT1 + 1):
                    total = total + self._module(module, times)
            return np.minimum(np.maximum(total, -1.0), 8191 / 8192)
        if number in IQS and self._values[base(number) + 0x10C] != 1:
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
        gains = self._gains(pid)
        volts = self._ramps[pid](times)
        if gains.proportional and self._depth < 4:  # PIDs may be chained in a ring
            self._depth += 1
            source = self.signal(self._values[base(pid)], times)
            self._depth -= 1
            volts = volts + gains.proportional * (source - gains.setpoint)
        return np.minimum(np.maximum(volts, gains.low), gains.high)

    def _modulation(self, iq: int) -> Sine:
        at = base(iq)
        values = self._values
        amplitude = signed(values[at + 0x114], 18) / 2**17
        return Sine(
            amplitude if values[at + 0x100] & 1 else 0.0,
            values[at + 0x108] * CLOCK / 2**32,
            -2 * math.pi * values[at + 0x104] / 2**32,
        )

    def _scope_inputs(self) -> tuple[int, int]:
        return self._values[base(8)], self._values[base(9)]

    def _gains(self, pid: int) -> Controller:
        """What a PID does now: a paused one has the gains it pauses set to zero."""
        values, at = self._values, base(pid)
        pausing = 0 if self._sync >> pid & 1 else values[at + 0x12C] & 0b111
        return Controller(
            integral=0.0 if pausing & 1 else signed(values[at + 0x10C], 24) / PER_HZ,
            proportional=0.0 if pausing & 2 else signed(values[at + 0x108], 24) / 4096,
            setpoint=signed(values[at + 0x104], 14) / 8192,
            low=signed(values[at + 0x124], 14) / 8192,
            high=signed(values[at + 0x128], 14) / 8192,
        )

    def _saturation(self, now: float) -> int:
        word = 0
        held = self._in_loop is not None and self.loop is not None and self.loop.locked(now)
        if not held and abs(self.signal(OUT1, now)) > 8190.5 / 8192:
            word |= 1
        if abs(self.signal(OUT2, now)) > 8190.5 / 8192:
            word |= 2
        return word

    # ---------------------------------------------------------------- changes

    def _integral(self, pid: int, now: float) -> float:
        if pid == self._in_loop and self.loop is not None:
            return self.loop.integral(now)
        return float(self._ramps[pid](now))

    def _set_integral(self, pid: int, volts: float, now: float) -> None:
        if pid == self._in_loop and self.loop is not None:
            self.loop.set_integral(now, volts)
        else:
            self._ramps[pid] = replace(self._ramps[pid], volts=volts, start=now)
            self._connect(now)

    def _generate(self, now: float) -> None:
        for number, generator in enumerate(self._generators):
            at = ASG + 0x20 * number
            values = self._values
            generator.scale, generator.wrap = values[at + 0x4], values[at + 0x8]
            generator.first, generator.step = values[at + 0xC], values[at + 0x10]
            generator.cycles = values[at + 0x18]
            self._waveforms[number] = generator.waveform()
        self._connect(now)

    def _connect(self, now: float) -> None:
        """Let PIDs and loop go on with the present registers; integrators keep their values."""
        values = self._values
        chosen = None
        if self.loop is not None:
            wired = (p for p in PIDS if values[base(p)] == IN1 and values[base(p) + 0x4] & 1)
            chosen = next(wired, None)
        carried = None
        if chosen != self._in_loop:
            carried = 0.0 if chosen is None else self._integral(chosen, now)
            if self._in_loop is not None:
                self._ramps[self._in_loop] = Ramp(self._integral(self._in_loop, now), start=now)
            self._in_loop = chosen
        for pid in PIDS:
            if pid != chosen:
                self._ramps[pid] = self._ramp(pid, now)
        if self.loop is None:
            return
        controller = Controller() if chosen is None else self._gains(chosen)
        controller = replace(controller, drive=self._drive(chosen))
        if controller != self._controller:
            self._controller = controller
            self.loop.set_controller(now, controller)
        if carried is not None:
            self.loop.set_integral(now, carried)

    def _ramp(self, pid: int, now: float) -> Ramp:
        """The integrator of a PID outside the loop from now on."""
        ramp, gains = self._ramps[pid], self._gains(pid)
        slope = 0.0
        if gains.integral:
            source = float(self.signal(self._values[base(pid)], now))
            slope = 2 * math.pi * gains.integral * (source - gains.setpoint)
        if slope == ramp.slope:
            return ramp
        return replace(ramp, volts=float(ramp(now)), slope=slope, start=now)

    def _drive(self, chosen: int | None) -> Sum | None:
        """What modules outside the loop add to OUT1."""
        parts: list[Callable[[Any], Any]] = []
        for module in (*PIDS, *IQS, *ASGS):
            if module == chosen or not self._values[base(module) + 0x4] & 1:
                continue
            if module in PIDS:
                limits = self._gains(module)
                parts.append(replace(self._ramps[module], low=limits.low, high=limits.high))
            elif module in IQS:
                parts.append(self._modulation(module))
            elif waveform := self._waveforms[module - ASGS[0]]:
                parts.append(waveform)
        return Sum(tuple(parts)) if parts else None
