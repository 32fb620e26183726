"""What each channel of the demultiplexer lets through of the others' lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError
from labctl.live import Trace
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.soliton_light import INSTRUMENTS, SPEED_OF_LIGHT
from procedures.soliton_source import SolitonSource
from procedures.soliton_spectrum import DARK, sweep
from procedures.soliton_watch import CombWatch, drift

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANNELS = 5
GRID = 0.1  # THz from one channel to the next
FIRST_ITU = 28  # of channel 1: 190 THz + 0.1 THz x 28
REFERENCE = "comb"
PORTS = (REFERENCE, *(f"CH{n}" for n in range(1, CHANNELS + 1)))
TAP_DB = 10.0  # of the comb's port, which is a tap


class DemuxCrosstalk(CombWatch, LabProcedure):
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
        Result("adjacent_crosstalk_drift", "dB/h", "change of the first, if there is a duration"),
        Result("insertion_loss_drift", "dB/h", "mean change of all channels"),
    )

    def startup(self) -> None:
        self.source = SolitonSource(self)
        self.source.power_up(auxiliary=True)
        self.source.make(self.attempts)

    def shutdown(self) -> None:
        self.source.power_down()

    def points(self) -> Iterator[dict[str, Any]]:
        """The ports by turns, once if there is no duration."""
        for _ in range(self.looks(1)):
            yield from ({"port": port} for port in PORTS)

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["port"] == REFERENCE:
            self.wait_for_look()
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
        """Crosstalk and loss, means of all turns; how they change, if there are several."""
        turns = len(data) // len(PORTS)
        if not turns:
            raise RequestError(f"this run lacks some of the {len(PORTS)} ports; resume it first")
        found = [one_turn(data, turn * len(PORTS)) for turn in range(turns)]
        crosstalk, loss = (np.mean(tables, axis=0) for tables in zip(*found, strict=True))
        distance = np.abs(np.subtract.outer(np.arange(CHANNELS), np.arange(CHANNELS)))
        drifts: dict[str, Any] = {}
        if data.parameters.get("duration"):
            seconds = data["time (s)"][: turns * len(PORTS) : len(PORTS)]
            for name, values in (
                ("adjacent_crosstalk", [one[distance == 1].max() for one, _ in found]),
                ("insertion_loss", [one.mean() for _, one in found]),
            ):
                if (change := drift(seconds, np.array(values))) is not None:
                    drifts[f"{name}_drift"] = change
        return drifts | {
            "adjacent_crosstalk": float(crosstalk[distance == 1].max()),
            "other_crosstalk": float(crosstalk[distance > 1].max()),
            "insertion_loss_best": float(loss.min()),
            "insertion_loss_worst": float(loss.max()),
            "crosstalk_db": crosstalk,
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import soliton_figures

        return {"crosstalk": soliton_figures.crosstalk(data)}


def one_turn(data: RunData, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Crosstalk (dB) by port and band, and loss (dB) of each channel, of the turn from a row on."""
    power = band_powers(data, first)
    reference = power.pop(REFERENCE) * 10 ** (TAP_DB / 10.0)
    matrix = np.array([power[f"CH{n}"] for n in range(1, CHANNELS + 1)])  # port, band
    own = np.diag(matrix)
    return 10.0 * np.log10(np.maximum(matrix, 1e-30) / own), 10.0 * np.log10(reference / own)


def band_powers(data: RunData, first: int) -> dict[str, np.ndarray]:
    """Power (mW) of the strongest line in each channel's band, by port, of the turn from a row."""
    found = {}
    ports = np.asarray(data["port"])[first : first + len(PORTS)]
    for row, port in enumerate(ports.tolist(), first):
        frequency = SPEED_OF_LIGHT / data.trace("wavelength (nm)", row) * 1e-3
        level = data.trace("level (dBm)", row)
        centres = 190.0 + GRID * (FIRST_ITU + np.arange(CHANNELS))
        bands = [np.abs(frequency - c) < GRID / 4 for c in centres]
        found[str(port)] = np.array([10 ** (level[band].max() / 10.0) for band in bands])
    return found
