"""Simulated microwave source Agilent E8257D, option 532 (250 kHz to 31.8 GHz), SCPI.

A CW source: frequency, power, output, reference. It has no sweeps and none of the options for
modulation, so their headers are unknown to it (-113).
"""

from __future__ import annotations

from typing import ClassVar

from simulated_instruments.instrument import Port
from simulated_instruments.physics.rf_source import (
    MAXIMUM_DBM,
    MAXIMUM_HZ,
    MINIMUM_DBM,
    MINIMUM_HZ,
    RfSourceModel,
)
from simulated_instruments.protocol.scpi import Number, ScpiInstrument, Switch, scpi
from simulated_instruments.protocol.scpi_syntax import choice
from simulated_instruments.world import World

__all__ = ["RfSourceModel", "SimAgilent8257D"]

SETTLING = 2  # bit of STATus:OPERation
POWER = 8  # bit of STATus:QUEStionable
UNLEVELED = 2  # bit of STATus:QUEStionable:POWer


class SimAgilent8257D(ScpiInstrument):
    """The command set in front of an `RfSourceModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "Agilent Technologies, E8257D, MY00000001, C.06.10"
    options = "532,1EA,UNX"
    SETTINGS = (
        Number(
            "[:SOURce]:POWer[:LEVel][:IMMediate][:AMPLitude]",
            "power",
            MINIMUM_DBM,
            MAXIMUM_DBM,
            MINIMUM_DBM,
            "DBM",
        ),
        Switch("[:SOURce]:POWer:ALC[:STATe]", "leveling"),
        Switch("OUTPut[:STATe]", "output"),
        Switch("OUTPut:MODulation[:STATe]", "modulation"),
        Switch("[:SOURce]:ROSCillator:SOURce:AUTO", "reference_auto"),
    )

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: RfSourceModel = world.part(name, lambda: RfSourceModel(world.seed_of, name))
        self.model.advance(world.now)

    def pending_until(self) -> float:
        return self.model.settled_at

    def operation_condition(self) -> int:
        return SETTLING if self.model.settled_at > self.world.now else 0

    def questionable_condition(self) -> int:
        return POWER if self.model.unleveled else 0

    def reset(self) -> None:
        self.model.preset()

    @scpi("[:SOURce]:FREQuency[:CW]", "[:SOURce]:FREQuency:FIXed")
    def _set_frequency(self, data: str) -> None:
        self.model.frequency = self.number(data, MINIMUM_HZ, MAXIMUM_HZ, MAXIMUM_HZ, "HZ")

    @scpi("[:SOURce]:FREQuency[:CW]?", "[:SOURce]:FREQuency:FIXed?")
    def _frequency(self, which: str = "") -> str:
        value = self.model.frequency
        if which:
            words = ("MINimum", "MAXimum", "DEFault")
            limits = {"MIN": MINIMUM_HZ, "MAX": MAXIMUM_HZ, "DEF": MAXIMUM_HZ}
            value = limits[choice(which, words)]
        return f"{value:+.14E}"  # all digits down to 1 mHz

    @scpi("[:SOURce]:FREQuency:MODE")
    def _set_mode(self, data: str) -> None:
        choice(data, ("CW", "FIXed"))

    @scpi("[:SOURce]:FREQuency:MODE?")
    def _mode(self) -> str:
        return "CW"

    @scpi("[:SOURce]:ROSCillator:SOURce?")
    def _reference(self) -> str:
        return "EXT" if self.model.external else "INT"

    @scpi("STATus:QUEStionable:POWer:CONDition?")
    def _power_condition(self) -> int:
        return UNLEVELED if self.model.unleveled else 0
