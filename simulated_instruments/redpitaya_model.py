"""Model of the Red Pitaya with PyRPL gateware: what its registers do, without the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.redpitaya_board import Board, Inputs
from simulated_instruments.redpitaya_registers import (
    ASG,
    CLOCK,
    IN1,
    IN2,
    IQS,
    OUT1,
    PIDS,
    POINTS,
    SCOPE,
    Words,
    base,
    code,
    plain_registers,
    signed,
)


class RedPitayaModel:
    """The memory map in front of the board; the arguments are those of `Board`."""

    def __init__(
        self,
        seed_of: Callable[[str], int],
        inputs: Inputs | None = None,
        loop: PhaseLoop | None = None,
    ) -> None:
        self._masks, self._values = plain_registers()
        self.board = Board(self._values, seed_of, inputs, loop)
        self._live = self._live_registers()
        self._actions = self._written_registers()

    def advance(self, now: float) -> None:
        self.board.advance(now)

    def output(self, n: int, t: Any) -> Any:
        """Volts at OUT1 or OUT2 (n = 1, 2) at times (s)."""
        if n not in (1, 2):
            raise ValueError(f"the board has outputs 1 and 2, not {n!r}")
        return self.board.signal(OUT1 + n - 1, t)

    def read(self, address: int, count: int, now: float) -> Words:
        """Read `count` words from `address` on at `now` (s)."""
        page, offset = address & ~0xFFFF, address & 0xFFFF
        channel = (page - SCOPE) // 0x10000 - 1
        if channel in (0, 1) and offset + 4 * count <= 4 * POINTS:
            return self.board.scope.curve(channel, now)[offset // 4 : offset // 4 + count]
        words = [self._read_word(address + 4 * n, now) for n in range(count)]
        return np.array(words, dtype=np.uint32)

    def _read_word(self, address: int, now: float) -> int:
        address &= 0xFFFFFFFC
        if live := self._live.get(address):
            return live(now)
        channel = ((address & ~0xFFFF) - SCOPE) // 0x10000 - 1
        if channel in (0, 1):
            return int(self.board.scope.curve(channel, now)[(address & 0xFFFF) // 4])
        return self._values.get(address, 0)

    def write(self, address: int, words: Words, now: float) -> None:
        """Write words from `address` on at `now` (s)."""
        channel = ((address & ~0xFFFF) - ASG) // 0x10000 - 1
        if channel in (0, 1):
            self.board.generators[channel].write_table((address & 0xFFFF) // 4, words)
            self.board.generate(now)
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
        board, scope = self.board, self.board.scope
        live: dict[int, Callable[[float], int]] = {
            SCOPE: scope.state,
            SCOPE + 0x4: lambda now: scope.source,
            SCOPE + 0x18: lambda now: scope.current(now) % POINTS,
            SCOPE + 0x1C: lambda now: scope.trigger_sample % POINTS,
            SCOPE + 0x2C: lambda now: (scope.current(now) + 1) & 0xFFFFFFFF,
            SCOPE + 0x154: lambda now: code(board.signal(IN1, now)),
            SCOPE + 0x158: lambda now: code(board.signal(IN2, now)),
            SCOPE + 0x15C: lambda now: int(now * CLOCK) & 0xFFFFFFFF,
            SCOPE + 0x160: lambda now: int(now * CLOCK) >> 32,
            SCOPE + 0x164: lambda now: int(scope.trigger_time * CLOCK) & 0xFFFFFFFF,
            SCOPE + 0x168: lambda now: int(scope.trigger_time * CLOCK) >> 32,
            SCOPE + 0x16C: lambda now: int(scope.pretrigger_ok(now)),
        }

        def sampler(number: int) -> Callable[[float], int]:
            return lambda now: code(board.signal(number, now))

        def integral(pid: int) -> Callable[[float], int]:
            return lambda now: code(board.integral(pid, now), 16)

        for number in range(16):
            live[base(number) + 0x8] = board.saturation
            live[base(number) + 0xC] = lambda now: board.sync
            live[base(number) + 0x10] = sampler(number)
        for pid in PIDS:
            live[base(pid) + 0x100] = integral(pid)
        return live

    def _written_registers(self) -> dict[int, Callable[[int, float], None]]:
        """What happens when a register is written, beyond keeping the word."""
        board, scope = self.board, self.board.scope

        def scope_changed(word: int, now: float) -> None:
            scope.decimation = max(1, self._values[SCOPE + 0x14])
            scope.delay = self._values[SCOPE + 0x10]
            scope.threshold = signed(self._values[SCOPE + 0x8], 14) / 8192
            scope.hysteresis = signed(self._values[SCOPE + 0x20], 14) / 8192

        def sync(word: int, now: float) -> None:
            board.sync = word & 0xFFFF
            board.connect(now)

        def integral(pid: int) -> Callable[[int, float], None]:
            return lambda word, now: board.set_integral(pid, signed(word, 16) / 8192, now)

        def changed(word: int, now: float) -> None:
            board.connect(now)

        def waveform(word: int, now: float) -> None:
            board.generate(now)

        def triggered(word: int, now: float) -> None:
            for channel, generator in enumerate(board.generators):
                generator.set_control(word >> (16 * channel) & 0xFF, now)
            board.generate(now)

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
