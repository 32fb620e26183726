"""Simulated signal generator Rohde & Schwarz SMB100A with option B103 (9 kHz to 3.2 GHz), SCPI.

A CW source: frequency, level, RF output, reference, phase. No sweeps, lists or modulation. What is
out of range is refused (-222) and changes nothing.
"""

from __future__ import annotations

from typing import ClassVar

from simulated_instruments.instrument import Port
from simulated_instruments.physics.rf_source import RfSourceModel
from simulated_instruments.protocol.scpi import Number, ScpiInstrument, Switch, scpi
from simulated_instruments.protocol.scpi_syntax import choice
from simulated_instruments.world import World

__all__ = ["RfSourceModel", "SimSmb100a"]

LOWEST_HZ, HIGHEST_HZ, PRESET_HZ = 9e3, 3.2e9, 1e9
LOWEST_DBM, HIGHEST_DBM, PRESET_DBM = -145.0, 18.0, -30.0


class SimSmb100a(ScpiInstrument):
    """The command set in front of an `RfSourceModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "Rohde&Schwarz,SMB100A,1406.6000k02/100007,3.1.19.15-3.20.390.24"
    options = "SMB-B103"
    ERROR_FORMAT: ClassVar[str] = '{code},"{text}"'
    CLIPS: ClassVar[bool] = False
    SETTINGS = (
        Number(
            "[:SOURce]:FREQuency[:CW]", "frequency", LOWEST_HZ, HIGHEST_HZ, PRESET_HZ, "HZ"
        ),
        Number(
            "[:SOURce]:POWer[:LEVel][:IMMediate][:AMPLitude]", "power", LOWEST_DBM, HIGHEST_DBM,
            PRESET_DBM, "DBM",
        ),
        Switch("OUTPut{1}[:STATe]", "output"),
        Switch("OUTPut:ALL[:STATe]", "output"),
    )  # fmt: skip

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: RfSourceModel = world.part(
            name,
            lambda: RfSourceModel(
                world.seed_of, name, frequency_hz=PRESET_HZ, power_dbm=PRESET_DBM
            ),
        )
        self.model.advance(world.now)
        self._phase = 0.0

    def number_text(self, value: float) -> str:
        return f"{value:.12g}"

    def pending_until(self) -> float:
        return self.model.settled_at

    def reset(self) -> None:
        self.model.preset()
        self.model.frequency, self.model.power = PRESET_HZ, PRESET_DBM

    @scpi("[:SOURce]:FREQuency:MODE")
    def _set_mode(self, data: str) -> None:
        choice(data, ("CW", "FIXed"))

    @scpi("[:SOURce]:FREQuency:MODE?")
    def _mode(self) -> str:
        return "CW"

    @scpi("[:SOURce]:PHASe")
    def _set_phase(self, data: str) -> None:
        self._phase = self.number(data, -360.0, 360.0, 0.0, "DEG")

    @scpi("[:SOURce]:PHASe?")
    def _read_phase(self) -> float:
        return self._phase

    @scpi("[:SOURce]:ROSCillator:SOURce")
    def _set_reference(self, data: str) -> None:
        self.model.reference_auto = choice(data, ("INTernal", "EXTernal")) == "EXT"

    @scpi("[:SOURce]:ROSCillator:SOURce?")
    def _reference(self) -> str:
        return "EXT" if self.model.external else "INT"
