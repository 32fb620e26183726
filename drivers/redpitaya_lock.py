"""Phase lock on a Red Pitaya with the PyRPL gateware, spoken to by registers over TCP."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from drivers.pyrpl_fringe import fit_fringe, scan_fringe
from drivers.pyrpl_registers import DSP, HK, IN1, OUT1, PER_VOLT, Registers
from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

_ERROR, _OUTPUT = DSP + IN1 * 0x10000 + 0x10, DSP + OUT1 * 0x10000 + 0x10  # samplers
_MODULES_WITH_OUTPUT = (0, 1, 2, 5, 6, 7, 8, 9)  # PIDs, IQs, generators

_SAMPLER_PER_VOLT = 8191
_PER_GAIN = 4096
_PER_HZ = 2.0**32 * 2 * math.pi * 8e-9  # integrator register per Hz

_PAUSE_BOTH = 3  # a paused PID has its P and I gain at 0 and keeps its integrator
_READINGS = 10  # of the error signal make one lock test
_PROBE = 0.25  # step of the setpoint, in fringe amplitudes, that a working lock follows


@dataclass(frozen=True)
class LockReport:
    """What a scan of the interference fringe found, and the gain that follows."""

    amplitude: float  # V, half of maximum minus minimum
    offset: float  # V, middle of the fringe
    v_pi: float  # V at the modulator for half a fringe
    noise: float  # V rms beside the fringe
    i: float  # Hz, unity-gain frequency of the integrator for the wanted bandwidth


@dataclass(frozen=True)
class LockState:
    """Ten readings of the error signal: phase deviation, and whether that counts as locked."""

    mean: float  # rad
    rms: float  # rad
    saturated: bool
    ok: bool


def _register(offset: int, bits: int, scale: float, what: str, doc: str) -> Any:
    """A property that one signed register of the PID holds; `what` names it with its unit."""

    def read(self: RedPitayaLock) -> float:
        return self.registers.read_signed(self._pid + offset, bits) / scale

    def write(self: RedPitayaLock, value: float) -> None:
        self.registers.write_signed(self._pid + offset, value, scale, bits, what)

    return property(read, write, doc=doc)


class RedPitayaLock(LabInstrument):
    """Integrator lock of an interferometer: fringe at IN1, phase modulator at OUT1.

    The lock test looks at ten readings of the error signal. With the readings' own scatter of
    0.05 rad their mean scatters by 0.017 rad, so its limit is 0.08 rad; the limit of the rms is
    0.12 rad. A working lock fails such a test about once in 10^5 times, a free phase (0.15 rad of
    acoustic noise and drift) passes only while it happens to be at the right place.

    Args:
        adapter: connection to the register server.
        name: the name in the bench file.
        bandwidth: unity-gain frequency of the whole loop in Hz; the scan of the fringe turns it
            into a gain. Too little leaves acoustic noise, too much makes the loop oscillate.
        polarity: sign of the gain; -1 holds the rising slope of the fringe.
        scan: voltage amplitude in V of the ramp that scans the fringe.
        scan_frequency: of the ramp in Hz.
        pid: which of the three PID modules to use.
        settle: seconds that the loop is given after it was closed.
        mean_limit: of the lock test in rad.
        rms_limit: of the lock test in rad.
    """

    FRAMING: ClassVar[Framing] = Framing(write=b"", read=b"", timeout=1.0)
    IDENTITY: ClassVar[str] = r"^Red Pitaya .*PyRPL"
    SETTINGS: ClassVar[tuple[str, ...]] = (
        "setpoint", "p", "i", "output_minimum", "output_maximum", "frozen", "bandwidth",
        "fringe_amplitude", "v_pi",
    )  # fmt: skip

    def __init__(
        self,
        adapter: Any,
        name: str = "lock",
        *,
        bandwidth: float = 1000.0,
        polarity: int = -1,
        scan: float = 1.0,
        scan_frequency: float = 100.0,
        pid: int = 0,
        settle: float = 0.02,
        mean_limit: float = 0.08,
        rms_limit: float = 0.12,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        #: Raw access to the board, for what this driver does not cover.
        self.registers = Registers(self.adapter, name)
        if pid not in (0, 1, 2):
            raise RequestError(f"{name}: setting 'pid' must be 0, 1 or 2, got {pid!r}")
        if polarity not in (-1, 1):
            raise RequestError(f"{name}: setting 'polarity' must be -1 or 1, got {polarity!r}")
        if not 0 < scan <= 1:
            raise RequestError(f"{name}: setting 'scan' must be in (0, 1] V, got {scan!r}")
        if not bandwidth > 0:
            raise RequestError(f"{name}: setting 'bandwidth' must be positive, got {bandwidth!r}")
        self.bandwidth = bandwidth
        self.polarity = polarity
        self.scan = scan
        self.scan_frequency = scan_frequency
        self.settle = settle
        self.mean_limit = mean_limit
        self.rms_limit = rms_limit
        self.report: LockReport | None = None
        self._number = pid
        self._pid = DSP + pid * 0x10000
        self._target = 0.0  # rad, angle at which the fringe is held
        self._setpoint = math.nan  # V, as last written or read

    # ---------------------------------------------------------------- controller

    @property
    def setpoint(self) -> float:
        """Control the voltage at IN1 that the lock holds (float from -1 to 1 V)."""
        self._setpoint = self.registers.read_signed(self._pid + 0x104, 14) / PER_VOLT
        return self._setpoint

    @setpoint.setter
    def setpoint(self, volts: float) -> None:
        self.registers.write_signed(self._pid + 0x104, volts, PER_VOLT, 14, "setpoint (V)")
        self._setpoint = round(volts * PER_VOLT) / PER_VOLT

    p = _register(
        0x108, 24, _PER_GAIN, "p (V/V)", "Control the proportional gain in V/V, with sign."
    )
    i = _register(
        0x10C, 24, _PER_HZ, "i (Hz)",
        "Control the unity-gain frequency of the integrator in Hz, with sign.",
    )  # fmt: skip
    integrator = _register(
        0x100, 16, PER_VOLT, "integrator (V)",
        "Control the integrator's value in V (float from -4 to 4 V).",
    )  # fmt: skip
    output_minimum = _register(
        0x124, 14, PER_VOLT, "output_minimum (V)", "Control the smallest output in V."
    )
    output_maximum = _register(
        0x128, 14, PER_VOLT, "output_maximum (V)", "Control the largest output in V."
    )

    @property
    def error(self) -> float:
        """Get the voltage at IN1 at this moment in V."""
        return self.registers.read_signed(_ERROR) / _SAMPLER_PER_VOLT

    @property
    def output(self) -> float:
        """Get the voltage at OUT1 at this moment in V."""
        return self.registers.read_signed(_OUTPUT) / _SAMPLER_PER_VOLT

    @property
    def frozen(self) -> bool:
        """Get whether the controller is paused."""
        return not int(self.registers.read(self._pid + 0xC)[0]) >> self._number & 1

    @property
    def fringe_amplitude(self) -> float | None:
        """Get the amplitude of the fringe in V that the last scan found."""
        return self.report.amplitude if self.report else None

    @property
    def v_pi(self) -> float | None:
        """Get the voltage for half a fringe in V that the last scan found."""
        return self.report.v_pi if self.report else None

    # ---------------------------------------------------------------- lock

    def acquire(self, bandwidth: float | None = None) -> LockReport:
        """Open the loop, scan the fringe and derive the gain for `bandwidth` (Hz).

        Raises:
            InstrumentError: no fringe is seen.
        """
        if bandwidth is not None:
            if not bandwidth > 0:
                raise RequestError(f"{self.name}: bandwidth must be positive, got {bandwidth!r}")
            self.bandwidth = bandwidth
        self.unlock()
        volts, signal = scan_fringe(self.registers, self.clock, self.scan, self.scan_frequency)
        offset, amplitude, v_pi, noise = fit_fringe(volts, signal)
        if amplitude < max(4 * noise, 20 / PER_VOLT):
            raise InstrumentError(
                f"{self.name}: no fringe at IN1 while OUT1 moved by +-{self.scan:g} V (amplitude "
                f"{amplitude:.4f} V, noise {noise:.4f} V); check that light reaches the detector"
            )
        gain = self.bandwidth * v_pi / (math.pi * amplitude)
        self.report = LockReport(amplitude, offset, v_pi, noise, self.polarity * gain)
        return self.report

    def lock(self, target_rad: float = 0.0) -> LockState:
        """Close the loop at an angle of the fringe (rad, 0: its middle); scans it if needed.

        Raises:
            InstrumentError: the loop does not hold after three attempts.
        """
        if not abs(target_rad) <= 1.2:
            raise RequestError(
                f"{self.name}: target_rad must be from -1.2 to 1.2 (no slope beyond), "
                f"got {target_rad!r}"
            )
        report = self.report or self.acquire()
        self._target = target_rad
        self.registers.write(self._pid + 0x12C, _PAUSE_BOTH)
        self.freeze()
        self.setpoint = report.offset + report.amplitude * math.sin(target_rad)
        self.p = 0.0
        self.i = report.i / math.cos(target_rad)
        self.registers.write(self._pid, IN1)
        self.registers.write(self._pid + 0x4, 1)
        return self.relock()

    def locked(self) -> LockState:
        """Test the lock with ten readings of the error signal and the state of the output.

        Without light the signal stays at the middle of the fringe, which looks like a lock at
        angle 0: `follows` tells them apart, and `lock` and `relock` use it.
        """
        if self.report is None:
            return LockState(math.nan, math.nan, saturated=False, ok=False)
        setpoint = self.setpoint if math.isnan(self._setpoint) else self._setpoint
        read, readings = self.registers.read_signed, []
        for _ in range(_READINGS):
            readings.append(read(_ERROR) / _SAMPLER_PER_VOLT - setpoint)
        slope = self.report.amplitude * math.cos(self._target)  # V/rad
        mean = sum(readings) / (_READINGS * slope)
        rms = math.sqrt(sum(e * e for e in readings) / _READINGS) / slope
        flags, sync, _ = self.registers.read(self._pid + 0x8, 3).tolist()
        saturated = bool(flags & 1)
        running = bool(sync >> self._number & 1)
        ok = running and not saturated and abs(mean) < self.mean_limit and rms < self.rms_limit
        return LockState(mean, rms, saturated, ok)

    def follows(self) -> bool:
        """Whether the error signal follows a step of the setpoint, which is then taken back."""
        if self.report is None:
            return False
        setpoint = self.setpoint
        step = -math.copysign(_PROBE * self.report.amplitude, self._target)
        try:
            self.setpoint = setpoint + step
            self.clock.sleep(self.settle)
            moved = sum(self.error - setpoint for _ in range(_READINGS)) / _READINGS
        finally:
            self.setpoint = setpoint
            self.clock.sleep(self.settle)
        return 0.5 < moved / step < 1.5

    def freeze(self) -> None:
        """Pause the controller: its output stays where it is, for example while a pump is off."""
        self._run(False)

    def thaw(self) -> None:
        """Let the controller go on from where it was frozen."""
        self._run(True)
        self.clock.sleep(self.settle)

    def _run(self, running: bool) -> None:
        with self.transaction():
            sync = int(self.registers.read(self._pid + 0xC)[0])
            bit = 1 << self._number
            self.registers.write(self._pid + 0xC, sync | bit if running else sync & ~bit)

    def relock(self, attempts: int = 3) -> LockState:
        """Close the loop anew from the middle of the modulator's range, and test it.

        Raises:
            InstrumentError: the loop does not hold after `attempts`.
        """
        if self.report is None:
            raise RequestError(f"{self.name}: relock needs a fringe; run acquire or lock first")
        for _ in range(attempts):
            self.freeze()
            self.integrator = 0.0
            self.thaw()
            follows = self.follows()
            state = self.locked()
            if state.ok and follows:
                return state
        raise InstrumentError(
            f"{self.name}: no lock after {attempts} attempts (mean {state.mean:.3f} rad, rms "
            f"{state.rms:.3f} rad, {'' if state.saturated else 'not '}saturated); check the light "
            "on the detector and the bandwidth, then acquire the fringe again"
        )

    def unlock(self) -> None:
        """Open the loop and bring the output to 0."""
        self.registers.write(self._pid + 0x12C, _PAUSE_BOTH)
        self.freeze()
        self.integrator = 0.0
        self.registers.write(self._pid + 0x4, 0)

    # ---------------------------------------------------------------- who and how

    def identify(self) -> str:
        """Who answers: board, serial number of its chip and gateware, from fixed registers."""
        device, low, high = self.registers.read(HK, 3).tolist()
        stages = int(self.registers.read(self._pid + 0x220)[0])
        board = {0: "prototype0", 1: "release1"}.get(device, f"device {device:#x}")
        gateware = f"PyRPL gateware, {stages} filter stages" if stages else "unknown gateware"
        return f"Red Pitaya {board}, serial {high << 32 | low:014x}, {gateware}"

    def make_safe(self) -> None:
        """Pause the controller and take every module off the outputs, which then are at 0 V."""
        self.freeze()
        for number in _MODULES_WITH_OUTPUT:
            self.registers.write(DSP + number * 0x10000 + 0x4, 0)
