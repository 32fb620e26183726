"""Light of the cluster-microcomb bench: chip temperature, comb, amplifier and laser, on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from labctl.parameters import number

if TYPE_CHECKING:
    from drivers.agilent_8257d import Agilent8257D
    from drivers.amonics_edfa import AmonicsEdfa
    from drivers.meerstetter_tec import MeerstetterTec
    from drivers.toptica_dlcpro import TopticaDlcPro
    from drivers.waveshaper import WaveShaper
    from labctl.bench import Bench

SPEED_OF_LIGHT = 299_792_458.0  # m/s
#: The chip counts as settled if it is this close (K) to its temperature already.
SETTLED = 0.02
#: Instruments that `CombLight` uses.
LIGHT = ("chip", "laser", "rf_source", "amplifier", "shaper")


class CombLight:
    """Parameters and steps of everything that needs the comb; combine with `LabProcedure`."""

    bench: Bench

    wavelength: float = number(
        "Wavelength", 1550.116122, unit="nm", minimum=1510, maximum=1630,
        meaning="laser wavelength at which comb line 0 meets its mode, 193.4 THz",
    )  # fmt: skip
    rf_frequency: float = number(
        "RF frequency", 25.0, unit="GHz", minimum=1, maximum=100,
        meaning="of the comb's modulators, so the spacing of its lines; the ring's free spectral "
        "range to 1e-6",
    )  # fmt: skip
    rf_power: float = number(
        "RF power", 12.0, unit="dBm", minimum=-20, maximum=25,
        meaning="at the modulators; less makes fewer, but stronger lines",
    )  # fmt: skip
    amplifier_current: float = number(
        "Amplifier current", 250.0, unit="mA", minimum=0, maximum=10_000,
        meaning="through the pump of the amplifier behind the comb",
    )  # fmt: skip
    chip_temperature: float = number(
        "Chip temperature", 25.0, unit="degC", minimum=0, maximum=100,
        meaning="of the ring; a kelvin moves its resonances by -1.45 GHz",
    )  # fmt: skip

    @property
    def line_zero(self) -> float:
        """Frequency of comb line 0 in THz."""
        return SPEED_OF_LIGHT / self.wavelength * 1e-3

    def switch_on(self, piezo: float) -> None:
        """Settle the chip, drive the modulators, tune the laser, then amplify.

        Nothing gives light before all settings are accepted. The amplifier comes last: light that
        meets a pumped fibre gets its whole small-signal gain at first.

        Args:
            piezo: voltage of the laser's piezo.
        """
        rf_source: Agilent8257D = self.bench["rf_source"]
        amplifier: AmonicsEdfa = self.bench["amplifier"]
        laser: TopticaDlcPro = self.bench["laser"]
        shaper: WaveShaper = self.bench["shaper"]
        amplifier.emission = False
        shaper.block_all()
        rf_source.frequency = 1e9 * self.rf_frequency
        rf_source.power = self.rf_power
        amplifier.setpoint = self.amplifier_current
        self.settle_chip()
        rf_source.output = True
        laser.tune(self.wavelength)
        laser.piezo_voltage = piezo
        laser.emission = True
        amplifier.emission = True

    def settle_chip(self) -> None:
        """Bring the chip to its temperature, if it is not there already."""
        chip: MeerstetterTec = self.bench["chip"]
        if not (chip.output and abs(chip.temperature - self.chip_temperature) < SETTLED):
            chip.settle(self.chip_temperature)
        chip.target = self.chip_temperature

    def switch_off(self) -> None:
        """Leave amplifier and laser dark, and the filter closed; the chip keeps its temperature."""
        self.bench["amplifier"].emission = False
        self.bench["laser"].emission = False
        self.bench["shaper"].block_all()

    def load_line(self, line: int, **band: Any) -> None:
        """Put one line of the comb into the filter's local profile; nothing is sent."""
        spacing = 1e-3 * self.rf_frequency
        self.bench["shaper"].set_band(self.line_zero + line * spacing, spacing, **band)
