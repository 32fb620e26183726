"""Simulated tunable laser: a DLC pro controller with one CTL head (DeCoF, firmware 3).

What is modelled: wavelength motor, piezo with hysteresis and mode hops, emission logic, scan
generator on the piezo, wide scan of the wavelength, power against current. Current and diode
temperature do not tune the frequency; the recorder and the scope do not exist (error -3).
"""

from __future__ import annotations

from typing import ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.protocol.decof_lines import CommandLine, MonitorLine, timestamp
from simulated_instruments.protocol.decof_tree import Tree
from simulated_instruments.toptica_diode import MAINTENANCE, Diode, analogue_input
from simulated_instruments.toptica_scan import ScanGenerator, WideScan
from simulated_instruments.world import World

__all__ = ["CtlLaserModel", "SimTopticaDlcPro"]

STATES = {
    -2: "FLOW optimisation",
    -1: "SMILE optimisation",
    0: "idle",
    1: "approaching set wavelength",
    2: "starting scan",
    3: "scanning",
    6: "remote controlled",
}
OPTIMISATIONS = {"smile": (-1, 60.0), "flow": (-2, 300.0)}  # state, duration (s)
UPTIME = 3600  # s since the controller was switched on, when the bench opens


class SimTopticaDlcPro(SimulatedInstrument):
    """The parameter tree of the controller, in front of the laser it shares with the world."""

    PORTS: ClassVar[dict[str, Port]] = {
        "command": Port("toptica-command", default=1998),
        "monitor": Port("toptica-monitor", default=1999),
    }

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model = world.part(name, lambda: CtlLaserModel(world.seed_of, name))
        self.serial_number = f"DLC PRO_{world.seed_of(f'{name}.serial') % 100000:06d}"
        self.tree = Tree({MAINTENANCE: "CAUTION"})
        self._shift_nm = 0.0  # calibration: shown wavelength minus wavelength of the motor
        self._optimisation: tuple[int, float, float] | None = None  # state, begun (s), duration
        self._monitors = 0
        self._system()
        self._emission()
        self._wavelength()
        Diode(self.tree, self.model)
        ScanGenerator(self.tree, self.model)
        self._wide = WideScan(self.tree, self.model, lambda: self._shift_nm)
        self.tree.shown("laser1:wide-scan:state", int, self._scan_state)
        self.tree.shown("laser1:wide-scan:state-txt", str, lambda t: STATES[self._scan_state(t)])

    def connect(self, port: str = "") -> Endpoint:
        if port in ("", "command"):
            lines = ("Welcome to DLC pro", f"firmware 3.3.3, SN: {self.serial_number}", "")
            return CommandLine(self.world, self.tree, lines)
        if port == "monitor":
            part = f"{self.name}.monitor{self._monitors}"
            self._monitors += 1
            line = MonitorLine(self.world, self.tree, lambda: self.world.parts.pop(part, None))
            self.world.parts[part] = line
            return line
        raise ValueError(f"{self.name}: no port {port!r}; there are {', '.join(self.PORTS)}")

    def _system(self) -> None:
        tree = self.tree
        for name, value in {
            "serial-number": self.serial_number,
            "system-type": "DLC pro",
            "system-model": "CTL 1550",
            "fw-ver": "3.3.3",
            "system-health": 0,
            "system-health-txt": "Ok",
            "laser1:type": "CTL",
            "laser1:product-name": "CTL 1550",
            "laser1:health": 0,
            "laser1:health-txt": "Ok",
            "laser1:dl:type": "CTL",
            "laser1:dl:model": "CTL 1550",
            "laser1:dl:serial-number": f"CTL_{self.serial_number[-5:]}",
        }.items():
            tree.fixed(name, value)
        tree.shown("ul", int, lambda t: 3)  # answered by each session for itself
        tree.shown("time", str, timestamp)
        tree.shown("uptime", int, lambda t: UPTIME + int(t))
        tree.shown("uptime-txt", str, lambda t: _duration(UPTIME + int(t)))
        tree.stored("system-label", "")
        tree.stored("laser1:label", "")

    def _emission(self) -> None:
        tree, model = self.tree, self.model
        tree.shown("interlock-open", bool, lambda t: model.interlock_open)
        tree.shown("frontkey-locked", bool, lambda t: model.frontkey_locked)
        for name in ("emission", "laser1:emission", "laser1:dl:cc:emission"):
            tree.shown(name, bool, lambda t: model.emitting)
        self._switch("emission-button-enabled", "button_enabled")
        self._switch("laser1:enabled", "laser_enabled")
        self._switch("laser1:dl:cc:enabled", "current_enabled")

    def _switch(self, name: str, attribute: str) -> None:
        """A bool that lives in the model."""

        def write(value: bool, t: float) -> int:
            setattr(self.model, attribute, value)
            return 0

        self.tree.shown(name, bool, lambda t: getattr(self.model, attribute), write)

    # ---------------------------------------------------------------- wavelength

    def _wavelength(self) -> None:
        tree, model, ctl = self.tree, self.model, "laser1:ctl"
        shortest, longest = model.range_nm
        tree.fixed(f"{ctl}:model", "CTL 1550")
        tree.fixed(f"{ctl}:wavelength-min", shortest)
        tree.fixed(f"{ctl}:wavelength-max", longest)
        tree.stored(
            f"{ctl}:wavelength-set", model.target_nm, low=shortest, high=longest, then=self._tune
        )
        # The scale of the motor: it knows nothing of piezo and drift.
        tree.shown(
            f"{ctl}:wavelength-act", float, lambda t: round(model.coarse_nm(t) + self._shift_nm, 4)
        )
        tree.shown(f"{ctl}:state", int, self._state)
        tree.shown(f"{ctl}:state-txt", str, lambda t: STATES[self._state(t)])
        tree.shown("laser1:busy", bool, lambda t: self._state(t) not in (0, 6))
        tree.fixed(f"{ctl}:tuning-current-min", 120.0)
        tree.fixed(f"{ctl}:tuning-power-min", 5.0)
        tree.shown(f"{ctl}:head-temperature", float, lambda t: round(model.head_celsius(t), 3))
        tree.shown(f"{ctl}:power:power-act", float, lambda t: round(float(model.power_mw(t)), 3))
        motor = f"{ctl}:motor"
        tree.stored(f"{motor}:microsteps", True)
        tree.stored(f"{motor}:power-save-disabled", False)
        tree.shown(f"{motor}:status", int, lambda t: int(self._state(t) in (1, 2, 3)))
        tree.shown(
            f"{motor}:status-txt", str, lambda t: "moving" if self._state(t) in (1, 2, 3) else "ok"
        )
        tree.shown(f"{motor}:calibration:wavelength-offset", float, lambda t: self._shift_nm)
        tree.command(f"{motor}:calibration:shift-wavelength", self._calibrate, float)
        tree.command(f"{motor}:calibration:reset-shift", self._uncalibrate)
        tree.stored(f"{ctl}:mode-control:loop-enabled", False)
        analogue_input(self.tree, f"{ctl}:remote-control")
        tree.shown(f"{ctl}:optimization:progress", int, self._progress)
        tree.command(f"{ctl}:optimization:smile", lambda t: self._optimise("smile", t))
        tree.command(f"{ctl}:optimization:flow", lambda t: self._optimise("flow", t))
        tree.command(f"{ctl}:optimization:abort", self._stop_optimising)

    def _state(self, t: float) -> int:
        if self._optimisation is not None:
            state, begun, duration = self._optimisation
            if t < begun + duration:
                return state
        if scanning := self._scan_state(t):
            return scanning
        if self.model.moving(t):
            return 1
        return 6 if self.tree.values["laser1:ctl:remote-control:enabled"] else 0

    def _scan_state(self, t: float) -> int:
        scan = self.model.wide_scan
        if scan is None or t >= scan.ends:
            return 0
        return 2 if t < scan.begun else 3

    def _tune(self, t: float) -> None:
        self.model.tune(self.tree.values["laser1:ctl:wavelength-set"] - self._shift_nm, t)

    def _calibrate(self, t: float, shown_nm: float) -> None:
        """Declare the present wavelength to be `shown_nm`; the motor does not move."""
        self._shift_nm = shown_nm - self.model.coarse_nm(t)
        self.tree.values["laser1:ctl:wavelength-set"] = shown_nm

    def _uncalibrate(self, t: float) -> None:
        self._calibrate(t, self.model.coarse_nm(t))

    def _optimise(self, name: str, t: float) -> None:
        state, duration = OPTIMISATIONS[name]
        self._optimisation = (state, t, duration)

    def _stop_optimising(self, t: float) -> None:
        self._optimisation = None

    def _progress(self, t: float) -> int:
        if self._optimisation is None:
            return 0
        _, begun, duration = self._optimisation
        return min(100, int(100.0 * (t - begun) / duration))

    # ---------------------------------------------------------------- current, temperature, piezo


def _duration(seconds: int) -> str:
    return f"{seconds // 3600:d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
