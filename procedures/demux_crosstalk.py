"""What each channel of the demultiplexer lets through of the others' lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.live import Trace
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.soliton_light import INSTRUMENTS, SPEED_OF_LIGHT
from procedures.soliton_source import SolitonSource
from procedures.soliton_spectrum import DARK, sweep

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANNELS = 5
GRID = 0.1  # THz from one channel to the next
FIRST_ITU = 28  # of channel 1: 190 THz + 0.1 THz x 28
REFERENCE = "comb"
TAP_DB = 10.0  # of the comb's port, which is a tap


class DemuxCrosstalk(LabProcedure):
    """Spectra of the comb and of five channels, in a single-soliton state.

    Crosstalk is the power within a channel's band (the half of the grid around its centre) that
    comes out of another channel, over what comes out of its own.
    """

    INSTRUMENTS = (*INSTRUMENTS, "switch", "osa")

    centre: float = number("Centre", 1554.13, unit="nm", minimum=1400, maximum=1650)
    span: float = number("Span", 8.0, unit="nm", minimum=4, maximum=100)
    attempts: int = integer("Attempts", 5, minimum=1, maximum=50, meaning="to get a soliton")

    DATA_COLUMNS = ["index", "port", "time (s)"]
    TRACES = ("wavelength (nm)", "level (dBm)")
    LIVE = (Trace("Spectrum of the last port", "level (dBm)", x="wavelength (nm)", floor=DARK),)
    RESULTS = (
        Result("adjacent_crosstalk", "dB", "largest, from or to the next channel"),
        Result("other_crosstalk", "dB", "largest, between channels further apart"),
        Result("insertion_loss_best", "dB", "of the line in the middle of a channel"),
        Result("insertion_loss_worst", "dB", "the same, of the worst channel"),
    )

    def startup(self) -> None:
        self.source = SolitonSource(self)
        self.source.power_up(auxiliary=True)
        self.source.make(self.attempts)

    def shutdown(self) -> None:
        self.source.power_down()

    def points(self) -> Iterator[dict[str, Any]]:
        for port in (REFERENCE, *(f"CH{n}" for n in range(1, CHANNELS + 1))):
            yield {"port": port}

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        wavelength, level = sweep(
            self.bench["osa"], self.bench["switch"], point["port"], self.centre, self.span
        )
        self.source.hold()
        return {
            "time (s)": self.bench.clock.now(),
            "wavelength (nm)": wavelength,
            "level (dBm)": level,
        }

    def analyse(self, data: RunData) -> dict[str, Any]:
        power = band_powers(data)
        reference = power.pop(REFERENCE) * 10 ** (TAP_DB / 10.0)
        matrix = np.array([power[f"CH{n}"] for n in range(1, CHANNELS + 1)])  # port, band
        own = np.diag(matrix)
        crosstalk = 10.0 * np.log10(np.maximum(matrix, 1e-30) / own)  # over the band's own port
        distance = np.abs(np.subtract.outer(np.arange(CHANNELS), np.arange(CHANNELS)))
        loss = 10.0 * np.log10(reference / own)
        return {
            "adjacent_crosstalk": float(crosstalk[distance == 1].max()),
            "other_crosstalk": float(crosstalk[distance > 1].max()),
            "insertion_loss_best": float(loss.min()),
            "insertion_loss_worst": float(loss.max()),
            "crosstalk_db": crosstalk,
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import soliton_figures

        return {"crosstalk": soliton_figures.crosstalk(data)}


def band_powers(data: RunData) -> dict[str, np.ndarray]:
    """Power (mW) of the strongest line in each channel's band, by port."""
    found = {}
    for row, port in enumerate(np.asarray(data["port"]).tolist()):
        frequency = SPEED_OF_LIGHT / data.trace("wavelength (nm)", row) * 1e-3
        level = data.trace("level (dBm)", row)
        centres = 190.0 + GRID * (FIRST_ITU + np.arange(CHANNELS))
        bands = [np.abs(frequency - c) < GRID / 4 for c in centres]
        found[str(port)] = np.array([10 ** (level[band].max() / 10.0) for band in bands])
    return found
