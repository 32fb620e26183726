"""Figures of the pair, nullifier, zero and transmission measurements, from stored data alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labctl.procedure import RunData
from procedures.figures import BLUE, GREEN, ORANGE, RED, new_figure, nullifier_bars
from procedures.graphs import graph_of
from procedures.zero_check import ZERO

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


def nullifiers(data: RunData) -> Figure:
    """Squeezing of every directly measured nullifier, and of the pairs beside it."""
    figure = new_figure(12.5, 5.4)
    nullifier_bars(figure.subplots(), data, graph_of(data.parameters))
    return figure


def zeros(data: RunData) -> Figure:
    """Covariances of the checked elements, in standard deviations and in shot noise."""
    one, other, values, errors, explained, pulls = data.derived["elements"].T
    figure = new_figure(12.5, 5.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
    places = np.arange(len(values))
    zero = explained < ZERO
    for chosen, colour, marker, label in (
        (~zero, ORANGE, "s", "weak correlation expected from the pumps"),
        (zero, BLUE, "o", "should be zero"),
    ):
        left.errorbar(
            places[chosen], values[chosen], yerr=errors[chosen], fmt=marker, color=colour,
            markersize=3.5, linewidth=0.9, label=label,
        )  # fmt: skip
    left.axhline(0, color="black", linewidth=1)
    left.set_yscale("symlog", linthresh=0.01, linscale=1.5)
    left.set(
        xlabel="element: xx, xp, px, pp of one pair after the other, closest to the graph first",
        ylabel="covariance (shot noise = 1)",
    )
    left.legend(fontsize=9, framealpha=1)
    left.grid(axis="y", linewidth=0.4, alpha=0.6)
    worst, _, _ = data.results["worst_zero"]
    usual, _, _ = data.results["expected_worst"]
    place = int(np.argmax(pulls))
    left.set_title(
        f"worst: {worst:.1f} standard deviations (modes {one[place]:.0f}, {other[place]:.0f}); "
        f"chance alone: {usual:.1f}",
        fontsize=11,
    )
    signed = values[zero] / errors[zero]
    edge = max(5.0, float(np.abs(signed).max()) + 0.5)
    right.hist(signed, bins=np.arange(-edge, edge + 0.5, 0.5), color=BLUE, alpha=0.6)
    fine = np.linspace(-edge, edge, 301)
    right.plot(fine, len(signed) * 0.5 * np.exp(-(fine**2) / 2) / np.sqrt(2 * np.pi),
               color="black", linewidth=1.4, label="normal distribution")  # fmt: skip
    right.set(
        xlabel="covariance over its standard deviation", ylabel="elements that should be zero",
        title=f"{len(signed)} elements, rms {data.results['rms_zero'][0]:.2f}",
    )  # fmt: skip
    right.legend(fontsize=9, framealpha=1)
    return figure
