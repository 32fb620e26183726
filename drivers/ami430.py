"""American Magnetics 430 magnet supply, over TCP port 7180: pymeasure's class made safe.

What differs from pymeasure's `AMI430` (0.16.0):

- numbers went out with `%g`, six digits, that is 0.3 MHz of a magnon at 10 GHz; here with twelve;
- `has_persistent_switch_enabled` was true for any answer, "0" included;
- the greeting was read once in the constructor, so that a lost connection left two stray lines;
- ramp rates and targets had no limits; nobody read the error queue; a quench was just a state;
- waiting used the computer's clock and gave up with a bare Exception.

The bench file says what the coil is: kG/A, most field (T), most rate (T/s). Fields are in T.
"""

from __future__ import annotations

import warnings
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.ami import AMI430 as PymeasureAMI430

from drivers._properties import integer, within
from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

KILOGAUSS = 10.0  # per tesla
RAMPING, HOLDING, PAUSED, ZEROING, QUENCH, AT_ZERO, HEATING, COOLING = 1, 2, 3, 6, 7, 8, 9, 10
REST = (HOLDING, PAUSED, AT_ZERO)
POLL = 1.0  # s
MARGIN = 30.0  # s that a ramp may take longer than it should


class Ami430(LabInstrument, PymeasureAMI430):  # type: ignore[misc]  # pymeasure has no types
    """One magnet. Fields in T, rates in T/s.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        coil_constant: of this magnet, kG/A; the programmer must have the same.
        maximum_field: most field in T.
        maximum_rate: most ramp rate in T/s.
    """

    FRAMING = Framing(write=b"\r\n", read=b"\r\n", banner=b"Hello.\r\n", timeout=5.0)
    IDENTITY = r"AMERICAN MAGNETICS.*430"
    SETTINGS = ("field_t", "target_t", "rate_t_per_s", "coilconst", "state")

    coilconst = Instrument.measurement("COIL?", """Get the coil constant in kG/A (float).""")
    state = Instrument.measurement("STATE?", """Get the code of the state (int).""", cast=integer)
    quench = Instrument.measurement(
        "QU?", """Get 1 after a quench, until it is reset (int).""", cast=integer
    )
    voltage_limit = Instrument.control(
        "VOLT:LIM?",
        "CONF:VOLT:LIM %.12g",
        """Control the voltage limit in V (float from 0.001 to 10).""",
        validator=lambda value, limits: within(value, limits, "voltage limit in V"),
        values=(0.001, 10.0),
        check_set_errors=True,
    )
    magnet_current = Instrument.measurement("CURR:MAG?", """Get the coil's current in A.""")
    supply_current = Instrument.measurement("CURR:SUPP?", """Get the supply's current in A.""")
    field = Instrument.measurement("FIELD:MAG?", """Get the field in kG (float).""")

    def __init__(
        self,
        adapter: Any,
        name: str = "magnet",
        coil_constant: float = 0.1,
        maximum_field: float = 0.5,
        maximum_rate: float = 0.01,
        **settings: Any,
    ) -> None:
        self._welcome = 2  # lines that the base class reads; the banner holds both
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            super().__init__(adapter, name, **settings)
        self._welcome = 0
        for what, value in (
            ("coil_constant", coil_constant),
            ("maximum_field", maximum_field),
            ("maximum_rate", maximum_rate),
        ):
            if not value > 0:
                raise RequestError(f"{name}: {what} must be positive, got {value!r}")
        self.expected_constant = coil_constant
        self.maximum_field, self.maximum_rate = maximum_field, maximum_rate

    def read(self, **kwargs: Any) -> str:
        if self._welcome:
            self._welcome -= 1
            return ""
        return str(super().read(**kwargs))

    # ------------------------------------------------- settings

    @property
    def field_t(self) -> float:
        """Get the field in T (float)."""
        return float(self.field) / KILOGAUSS

    @property
    def target_t(self) -> float:
        """Control the field in T that `ramp` goes to (float)."""
        return float(self.values("FIELD:TARG?")[0]) / KILOGAUSS

    @target_t.setter
    def target_t(self, tesla: float) -> None:
        self._within("target", tesla, -self.maximum_field, self.maximum_field, "T")
        self._set(f"CONF:FIELD:TARG {KILOGAUSS * tesla:.12g}")

    @property
    def rate_t_per_s(self) -> float:
        """Control the ramp rate in T/s (float)."""
        return float(self.values("RAMP:RATE:FIELD:1?")[0]) / KILOGAUSS

    @rate_t_per_s.setter
    def rate_t_per_s(self, rate: float) -> None:
        self.require_rate(rate)
        bound = KILOGAUSS * self.maximum_field
        self._set(f"CONF:RAMP:RATE:FIELD 1,{KILOGAUSS * rate:.12g},{bound:.12g}")

    @property
    def target_field(self) -> float:
        """Control the target in kG (float), as pymeasure's class has it."""
        return KILOGAUSS * self.target_t

    @target_field.setter
    def target_field(self, kilogauss: float) -> None:
        most = KILOGAUSS * self.maximum_field
        self._within("target", kilogauss, -most, most, "kG")
        self._set(f"CONF:FIELD:TARG {kilogauss:.12g}")

    @property
    def target_current(self) -> float:
        """Control the target in A (float)."""
        return float(self.values("CURR:TARG?")[0])

    @target_current.setter
    def target_current(self, ampere: float) -> None:
        most = KILOGAUSS * self.maximum_field / self.expected_constant
        self._within("target", ampere, -most, most, "A")
        self._set(f"CONF:CURR:TARG {ampere:.12g}")

    @property
    def ramp_rate_field(self) -> float:
        """Control the ramp rate in kG/s (float)."""
        return KILOGAUSS * self.rate_t_per_s

    @ramp_rate_field.setter
    def ramp_rate_field(self, rate: float) -> None:
        self._within("ramp rate", rate, 1e-5, KILOGAUSS * self.maximum_rate, "kG/s")
        bound = KILOGAUSS * self.maximum_field
        self._set(f"CONF:RAMP:RATE:FIELD 1,{rate:.12g},{bound:.12g}")

    @property
    def ramp_rate_current(self) -> float:
        """Control the ramp rate in A/s (float)."""
        return float(self.values("RAMP:RATE:CURR:1?")[0])

    @ramp_rate_current.setter
    def ramp_rate_current(self, rate: float) -> None:
        scale = KILOGAUSS / self.expected_constant
        self._within("ramp rate", rate, 1e-6 * scale, self.maximum_rate * scale, "A/s")
        bound = self.maximum_field * scale
        self._set(f"CONF:RAMP:RATE:CURR 1,{rate:.12g},{bound:.12g}")

    def require_rate(self, rate: float) -> None:
        """Refuse a ramp rate (T/s) that this magnet does not stand."""
        self._within("ramp rate", rate, 1e-6, self.maximum_rate, "T/s")

    def _within(self, what: str, value: float, low: float, high: float, unit: str) -> None:
        if isinstance(value, bool) or not low <= value <= high:
            raise RequestError(
                f"{self.name}: {what} {value!r} {unit} is outside this magnet's range, "
                f"{low:g} to {high:g} {unit}"
            )

    def _set(self, command: str) -> None:
        self.write(command)
        self.check_set_errors()

    # ------------------------------------------------- ramps

    def go_to(self, tesla: float, rate: float | None = None) -> float:
        """Ramp to a field in T and wait until it holds; returns the field.

        Raises:
            RequestError: out of this magnet's range; nothing has moved.
            InstrumentError: it has quenched, or does not arrive.
        """
        self._require_coil()
        self._within("target", tesla, -self.maximum_field, self.maximum_field, "T")
        if rate is not None:
            self.rate_t_per_s = rate
        speed = self.rate_t_per_s
        self.target_t = tesla
        self.require_no_quench()
        time = abs(tesla - self.field_t) / speed
        self.ramp()
        self._wait(f"ramp to {tesla:.6g} T", time)
        return self.field_t

    def _require_coil(self) -> None:
        if abs(self.coilconst - self.expected_constant) > 1e-6 * self.expected_constant:
            raise InstrumentError(
                f"{self.name}: the programmer is set to {self.coilconst:g} kG/A but the bench file "
                f"says {self.expected_constant:g}; correct one of them"
            )

    def require_no_quench(self) -> None:
        """Raise if the magnet has quenched."""
        if self.state == QUENCH or self.quench:
            raise InstrumentError(
                f"{self.name}: STATE? says quench; find out why, let the coil cool, then reset it "
                "at the front panel (QUench 0)"
            )

    def _wait(self, what: str, time: float) -> None:
        give_up = self.clock.now() + 1.2 * time + MARGIN
        self.clock.sleep(0.95 * time)
        while True:
            state = self.state
            if state == QUENCH:
                raise InstrumentError(
                    f"{self.name}: quench during the {what}, at {self.magnet_current:.4g} A; find "
                    "out why, let the coil cool, then reset it at the front panel (QUench 0)"
                )
            if state in REST:
                return
            if self.clock.now() > give_up:
                raise InstrumentError(
                    f"{self.name}: the {what} did not end in {1.2 * time + MARGIN:.0f} s, STATE? "
                    f"says {state}; check supply and voltage limit"
                )
            self.clock.sleep(POLL if time > POLL else max(0.05, time / 4))

    def has_persistent_switch_enabled(self) -> bool:
        """Whether the switch heater is on."""
        return bool(self.values("PSwitch?", cast=integer)[0])

    def wait_for_holding(
        self, should_stop: Any = lambda: False, timeout: float = 800, interval: float = 0.1
    ) -> None:
        """Wait in bench time until no ramp or switch is under way."""
        give_up = self.clock.now() + timeout
        while self.state not in REST and not should_stop():
            if self.clock.now() > give_up:
                raise InstrumentError(
                    f"{self.name}: STATE? says {self.state} after {timeout:g} s; check the supply"
                )
            self.clock.sleep(interval)

    def make_safe(self) -> None:
        """Stop a ramp where it is; the field itself does no harm, taking it down would take long.

        After a quench there is nothing left to stop.
        """
        if self.state in (RAMPING, ZEROING):
            self.pause()

    def shutdown(self, ramp_rate: float | None = None) -> None:
        """What pymeasure calls at the end of a `with` block: make safe."""
        self.make_safe()
        Instrument.shutdown(self)
