"""Figures of the pair, nullifier, zero and transmission measurements, from stored data alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labctl.procedure import RunData
from procedures.figures import BLUE, GREEN, ORANGE, RED, new_figure, nullifier_bars
from procedures.graphs import ZERO, graph_of

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


def transmission(data: RunData) -> Figure:
    """Transmission of the three lines over detuning with the mean fit, and how the dips moved."""
    rows = np.flatnonzero(np.asarray(data["kind"]) == "scan")
    lines, centres, widths, depths, levels = data.derived["dips"].T
    figure = new_figure(12.5, 5.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    names = sorted(set(lines.astype(int).tolist()))
    fine = np.linspace(-4, 4, 401) * widths.mean()
    for line, colour, marker, shift in zip(
        names, (BLUE, GREEN, RED), "osD", (0.2, 0.1, 0.0), strict=False
    ):
        label = f"line {line:+d}" if line else "line 0"
        for place in np.flatnonzero(lines == line).tolist():
            detuning = data.trace("detuning (MHz)", int(rows[place])) - centres[place]
            near = np.abs(detuning) <= fine[-1]
            power = data.trace("power (W)", int(rows[place])) / levels[place]
            left.plot(detuning[near], power[near] + shift, marker, color=colour, markersize=2,
                      alpha=0.5)  # fmt: skip
        dip = depths.mean() / (1 + (2 * fine / widths.mean()) ** 2)
        left.plot(fine, 1 - dip + shift, color="black", linewidth=1)
        text = label + (f" (raised by {shift:.1f})" if shift else "")
        left.text(fine[0], 1.015 + shift, text, fontsize=9, va="bottom")
        chosen = lines == line
        right.plot(data["time (s)"][rows][chosen], centres[chosen], marker, linestyle="-",
                   linewidth=0.8, color=colour, markersize=4, label=label)  # fmt: skip
    q, q_error, _ = data.results["loaded_q"]
    part, part_error, _ = data.results["extraction"]
    left.set_title(
        f"loaded Q {q / 1e6:.2f} ± {(q_error or 0) / 1e6:.2f} million, "
        f"extraction {100 * part:.2f} ± {100 * (part_error or 0):.2f} %",
        fontsize=11,
    )
    left.set(xlabel="laser detuning from the dip (MHz)", ylabel="transmission", ylim=(None, 1.26))
    left.grid(linewidth=0.4, alpha=0.6)
    bend, bend_error, _ = data.results["dispersion"]
    spacing, spacing_error, _ = data.results["fsr"]
    right.set_title(
        f"FSR {spacing:.6f} ± {spacing_error:.6f} GHz\n"
        f"dispersion {bend:.1f} ± {bend_error:.1f} kHz per mode",
        fontsize=11,
    )
    right.set(xlabel="time (s)", ylabel="laser frequency at the dip (MHz)")
    right.legend(fontsize=9, framealpha=1)
    right.grid(linewidth=0.4, alpha=0.6)
    return figure
