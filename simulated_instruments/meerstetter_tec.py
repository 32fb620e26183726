"""Simulated temperature controller Meerstetter TEC-1091 (MeCom, firmware 5.00), one channel.

What is modelled: regulation by the Peltier element with linear ramps and a current limit, static
current, the stable flag, saving to flash and reset. Ramps have no rounded ends (proximity width
0). There are no error thresholds, fans, look-up tables or auto-tuning: their parameters do not
exist here (error +05).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.thermal import TecModel
from simulated_instruments.physics.thermistor import ohms
from simulated_instruments.protocol.mecom import MeComEndpoint, Parameter
from simulated_instruments.world import World

__all__ = ["SimMeerstetterTec", "TecModel"]

DEVICE_TYPE = 1091
FIRMWARE = b"8065-TEC SW G01     "
READY, RUN, ERROR = 1, 2, 3  # device status
EMERGENCY_STOP = 11  # error number
STATIC, LIVE, REGULATION = 0, 1, 2  # what drives the output stage
OFF, ON, LIVE_SWITCH, PIN = 0, 1, 2, 3  # how it is enabled
RESET = 1.2  # s: the announced 0.2 s and the start; the output is not interrupted meanwhile
SAVING = 0.5  # s from the last change to the flash
RESISTANCE = 2.0  # ohm, Peltier element and cable
SINK = 2.0  # K/A^2 by which the sink warms up

#: Settings in flash: id -> (type, value from the factory, smallest, largest). Limits are those
#: that a TEC-1091 reports; 3030 and 2030 are set for the small Peltier element of a chip.
SETTINGS: dict[int, tuple[type, float, float, float]] = {
    2000: (int, REGULATION, STATIC, REGULATION),
    2010: (int, OFF, OFF, PIN),
    2020: (float, 0.0, -4.0, 4.0),
    2021: (float, 5.0, 0.0, 21.0),
    2030: (float, 1.5, 0.0, 4.0),
    2031: (float, 21.0, 0.0, 21.0),
    2032: (float, 5.0, 0.0, 5.6),
    2033: (float, 25.0, 0.0, 25.0),
    2051: (int, 1, 0, 254),
    3000: (float, 25.0, -273.0, 1000.0),
    3002: (float, 0.0, 0.0, 0.0),
    3003: (float, 1.0, 1e-6, 50.0),
    3010: (float, 100.0 / 3.0, 0.0, 10000.0),  # %/K of 3030, with its default 0.5 A/K
    3011: (float, 10.0, 1e-4, 10000.0),
    3012: (float, 0.0, 0.0, 10000.0),
    3030: (float, 1.5, 0.1, 1000.0),
    4040: (float, 0.01, 0.0, 50.0),
    4041: (float, 10.0, 0.0, 86400.0),
}
VOLATILE = {50000: (int, 0.0, 0.0, 1.0), 50001: (float, 0.0, -4.0, 4.0)}


class SimMeerstetterTec(SimulatedInstrument):
    """The parameter system, in front of chip and Peltier element."""

    PORTS: ClassVar[dict[str, Port]] = {
        "serial": Port("mecom", transport="serial"),
        "tcp": Port("mecom", default=50000),
    }

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: TecModel = world.part(name, lambda: TecModel(world.seed_of, name))
        self.serial_number = world.seed_of(f"{name}.serial") % 100_000
        self.flash = {number: row[1] for number, row in SETTINGS.items()} | self._set_up()
        self._saving_off = False
        self._changed: float | None = None  # s, of a setting that is not in the flash yet
        self._back = 0.0  # s, when it has started up
        self._parameters: dict[int, Parameter] = {}
        self._commands: dict[bytes, Callable[[float], bytes]] = {
            b"?IF": lambda t: FIRMWARE,
            b"RS": self._reset,
            b"SP": self._save_now,
            b"ES": self._emergency_stop,
        }
        self._start(world.now)
        self._list_parameters()

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return MeComEndpoint(
            self.world,
            self._parameters,
            self._commands,
            lambda: int(self.values[2051]),
            lambda: self._back,
        )

    def _set_up(self) -> dict[int, float]:
        """Settings that say what a world has told the model before."""
        control = self.model.control
        found = {3000: control.target, 2030: control.limit, 3012: control.td}
        found[3010] = 100.0 * control.kp / SETTINGS[3030][1]
        if control.ki:
            found[3011] = control.kp / control.ki
        if control.ramp < math.inf:
            found[3003] = control.ramp
        if control.regulating:
            found[2010] = ON
        return found

    # ---------------------------------------------------------------- parameters

    def _list_parameters(self) -> None:
        model = self.model
        for numbers, value in {
            (100,): DEVICE_TYPE,
            (101, 1052): 300,
            (102, 1053): self.serial_number,
            (103, 1050): 500,
            (106, 1071): 0,
            (107, 1072): 0,
        }.items():
            for number in numbers:
                self._parameters[number] = Parameter(int, _always(value))
        for numbers, shown in {
            (104, 1080): self._status,
            (105, 1070): lambda t: self.error,
            (109, 1081): self._flash_status,
            (1200,): self._stable,
        }.items():
            for number in numbers:
                self._parameters[number] = Parameter(int, shown)
        for number, measured in {
            1000: model.reading,
            1001: lambda t: model.ambient(t) + SINK * model.current(t) ** 2,
            1010: lambda t: self.values[3000],
            1011: model.nominal,
            1020: model.current,
            1021: lambda t: RESISTANCE * model.current(t),
            1042: lambda t: ohms(model.reading(t)),
            1045: model.reading,
        }.items():
            self._parameters[number] = Parameter(float, measured)
        self._parameters[108] = Parameter(
            int, lambda t: float(self._saving_off), self._set_saving, 0, 1
        )
        for number, (kind, _, low, high) in {**SETTINGS, **VOLATILE}.items():
            self._parameters[number] = self._setting(number, kind, low, high)

    def _setting(self, number: int, kind: type, low: float, high: float) -> Parameter:
        def read(t: float) -> float:
            return self.values[number]

        def write(value: float, t: float) -> None:
            self._set(number, value, t)

        return Parameter(kind, read, write, low, high)

    def _set(self, number: int, value: float, t: float) -> None:
        self._settle(t)
        self.values[number] = value
        if number in SETTINGS:
            self._changed = t
        self._drive(t)

    def _drive(self, t: float) -> None:
        """Tell the model what the settings come to."""
        values = self.values
        enabled = self.error == 0 and (
            values[2010] == ON or (values[2010] == LIVE_SWITCH and values[50000] == 1)
        )
        source = int(values[2000])
        limit = values[2030]
        current = 0.0
        if enabled and source != REGULATION:
            wish = values[2020 if source == STATIC else 50001]
            current = math.copysign(min(abs(wish), limit), wish)
        gain = values[3010] / 100.0 * values[3030]
        self.model.tell(
            t,
            regulating=enabled and source == REGULATION,
            current=current,
            target=values[3000],
            ramp=values[3003],
            kp=gain,
            ki=gain / values[3011],
            td=values[3012],
            limit=limit,
        )

    def _status(self, t: float) -> float:
        if self.error:
            return ERROR
        control = self.model.control
        return RUN if control.regulating or control.current else READY

    def _stable(self, t: float) -> float:
        if not self.model.control.regulating:
            return 0
        return 2 if self.model.stable(t, self.values[4040], self.values[4041]) else 1

    # ---------------------------------------------------------------- flash and reset

    def _settle(self, t: float) -> None:
        """Write to flash what has waited long enough by `t` (s)."""
        if self._changed is not None and not self._saving_off and t >= self._changed + SAVING:
            self._to_flash()

    def _to_flash(self) -> None:
        self.flash = {number: self.values[number] for number in SETTINGS}
        self._changed = None

    def _flash_status(self, t: float) -> float:
        self._settle(t)
        if self._saving_off:
            return 2
        return 0 if self._changed is None else 1

    def _set_saving(self, off: float, t: float) -> None:
        self._settle(t)
        self._saving_off = bool(off)
        self._changed = None if off else t

    def _save_now(self, t: float) -> bytes:
        self._to_flash()
        return b""

    def _start(self, t: float) -> None:
        """Begin with what the flash holds."""
        self.error = 0
        self._saving_off = False
        self._changed = None
        self.values: dict[int, float] = {
            **self.flash,
            **{number: row[1] for number, row in VOLATILE.items()},
        }
        self._drive(t)

    def _reset(self, t: float) -> bytes:
        self._settle(t)
        self._start(t)
        self._back = t + RESET
        return b""

    def _emergency_stop(self, t: float) -> bytes:
        self.error = EMERGENCY_STOP
        self._drive(t)
        return b""


def _always(value: float) -> Callable[[float], float]:
    return lambda t: value
