"""Figures of the pair, nullifier, zero and transmission measurements, from stored data alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labctl.procedure import RunData
from procedures.figures import BLUE, GREEN, ORANGE, RED, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def pairs(data: RunData) -> Figure:
    """Squeezing and antisqueezing of each pair against its mode number."""
    numbers = data.derived["pair_numbers"]
    figure = new_figure(9.5, 6.8)
    upper, lower = figure.subplots(2, 1, sharex=True)
    for axes, name, signs in ((upper, "antisqueezing", "-+"), (lower, "squeezing", "+-")):
        for letter, sign, colour, marker, shift in (
            ("x", signs[0], (BLUE, RED)[axes is upper], "o", -0.1),
            ("p", signs[1], (GREEN, ORANGE)[axes is upper], "s", 0.1),
        ):
            values, errors = data.derived[f"{name}_{letter}_db"].T
            axes.errorbar(
                numbers + shift, values, yerr=errors, fmt=marker, color=colour, markersize=4,
                capsize=2, linewidth=1,
                label=f"${letter}_k {sign} {letter}_{{-k}}$",
            )  # fmt: skip
        best, error, _ = data.results[f"{name}_best"]
        worst, worst_error, _ = data.results[f"{name}_worst"]
        axes.set_title(
            f"{name}: {best:.2f} ± {error:.2f} dB (pair {data.results[f'{name}_best_pair'][0]}) "
            f"to {worst:.2f} ± {worst_error:.2f} dB "
            f"(pair {data.results[f'{name}_worst_pair'][0]})",
            fontsize=11,
        )
        axes.grid(linewidth=0.4, alpha=0.6)
        axes.legend(fontsize=9, framealpha=1, loc=("lower left", "upper left")[axes is lower])
        axes.margins(y=0.12)
    upper.set_ylabel("above shot noise (dB)")
    lower.set(ylabel="below shot noise (dB)", xlabel="mode number k of the pair k, −k")
    return figure
