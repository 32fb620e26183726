"""Diode of the simulated DLC pro: current, temperature and piezo, rows `laser1:dl` of its tree."""

from __future__ import annotations

from simulated_instruments.physics.laser import PIEZO_CENTRE, PIEZO_RANGE, CtlLaserModel
from simulated_instruments.physics.motion import Approach
from simulated_instruments.protocol.decof_tree import Tree

MAINTENANCE = 2  # user level
SIGNALS = (-3, 0, 1, 2, 4, 20, 21, 50, 51, 54, 56, 70, 71, 78, 79)
TC_LAG, TC_READY = 5.0, 0.02  # s, degC


class Diode:
    """Controllers of current and piezo, which move the light, and of the temperature."""

    def __init__(self, tree: Tree, model: CtlLaserModel) -> None:
        self._tree = tree
        self._model = model
        self._celsius = Approach(0.0, 25.0, 25.0, TC_LAG)
        self._current()
        self._temperature()
        self._piezo()

    def _current(self) -> None:
        tree, model, cc = self._tree, self._model, "laser1:dl:cc"
        limit = 1.25 * model.nominal_ma
        tree.fixed(f"{cc}:current-clip-limit", limit)
        tree.stored(
            f"{cc}:current-clip", limit, low=0.0, high=limit, level=MAINTENANCE, then=self._drive
        )
        tree.stored(f"{cc}:current-offset", 0.0, level=MAINTENANCE, then=self._drive)
        tree.stored(
            f"{cc}:current-set",
            model.current_ma,
            low=0.0,
            high=lambda: tree.values[f"{cc}:current-clip"],
            then=self._drive,
        )
        tree.stored(f"{cc}:feedforward-enabled", False, then=self._drive)
        tree.stored(f"{cc}:feedforward-factor", 0.0, then=self._drive)
        tree.shown(
            f"{cc}:current-act",
            float,
            lambda t: round(model.current_ma, 3) if model.emitting else 0.0,
        )
        tree.shown(
            f"{cc}:voltage-act",
            float,
            lambda t: round(0.9 + 2.2e-3 * model.current_ma, 3) if model.emitting else 0.0,
        )
        tree.shown(f"{cc}:pd", float, lambda t: round(0.02 * float(model.power_mw(t)), 4))
        tree.shown(f"{cc}:status", int, lambda t: int(model.emitting))
        tree.shown(f"{cc}:status-txt", str, lambda t: "on" if model.emitting else "off")
        analogue_input(tree, f"{cc}:external-input")

    def _drive(self, t: float) -> None:
        """Work out the diode current: set value, offset, feed-forward from the piezo, clip."""
        values, cc = self._tree.values, "laser1:dl:cc"
        current = values[f"{cc}:current-set"] + values[f"{cc}:current-offset"]
        if values[f"{cc}:feedforward-enabled"]:
            current += values[f"{cc}:feedforward-factor"] * (self._model.piezo_v - PIEZO_CENTRE)
        self._model.current_ma = min(max(current, 0.0), values[f"{cc}:current-clip"])

    def _temperature(self) -> None:
        tree, tc = self._tree, "laser1:dl:tc"
        tree.stored(f"{tc}:temp-set", 25.0, low=15.0, high=35.0, then=self._heat)
        tree.shown(f"{tc}:temp-act", float, lambda t: round(self._celsius.at(t), 4))
        tree.shown(f"{tc}:ready", bool, lambda t: t >= self._celsius.reaches(TC_READY))
        tree.fixed(f"{tc}:fault", False)
        tree.shown(
            f"{tc}:current-act",
            float,
            lambda t: round(0.2 + 0.1 * (self._celsius.target - self._celsius.at(t)), 4),
        )

    def _heat(self, t: float) -> None:
        target = self._tree.values["laser1:dl:tc:temp-set"]
        self._celsius = Approach(t, self._celsius.at(t), target, TC_LAG)

    def _piezo(self) -> None:
        tree, model, pc = self._tree, self._model, "laser1:dl:pc"
        lowest, highest = PIEZO_RANGE
        tree.stored(f"{pc}:enabled", True, then=self._push)
        tree.stored(
            f"{pc}:voltage-min",
            lowest,
            low=lowest,
            high=lambda: tree.values[f"{pc}:voltage-max"],
            then=self._push,
        )
        tree.stored(
            f"{pc}:voltage-max",
            highest,
            low=lambda: tree.values[f"{pc}:voltage-min"],
            high=highest,
            then=self._push,
        )
        tree.stored(
            f"{pc}:voltage-set",
            model.piezo_v,
            low=lambda: tree.values[f"{pc}:voltage-min"],
            high=lambda: tree.values[f"{pc}:voltage-max"],
            then=self._push,
        )
        tree.shown(f"{pc}:voltage-act", float, lambda t: round(model.piezo_volts(t), 4))
        tree.shown(f"{pc}:status", int, lambda t: int(tree.values[f"{pc}:enabled"]))
        tree.shown(
            f"{pc}:status-txt", str, lambda t: "on" if tree.values[f"{pc}:enabled"] else "off"
        )
        analogue_input(tree, f"{pc}:external-input")

    def _push(self, t: float) -> None:
        """Apply the piezo set point within its limits; a disabled output is at 0 V."""
        values, pc = self._tree.values, "laser1:dl:pc"
        volts = min(
            max(values[f"{pc}:voltage-set"], values[f"{pc}:voltage-min"]),
            values[f"{pc}:voltage-max"],
        )
        values[f"{pc}:voltage-set"] = volts
        self._model.set_piezo(volts if values[f"{pc}:enabled"] else 0.0, t)
        self._drive(t)


def analogue_input(tree: Tree, branch: str) -> None:
    """Add the three rows of an analogue input; no cable is connected to it."""
    tree.stored(f"{branch}:signal", -3, choices=SIGNALS)
    tree.stored(f"{branch}:factor", 0.0)
    tree.stored(f"{branch}:enabled", False)
