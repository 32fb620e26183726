"""Figures of the phonon-pair measurements, drawn from stored data alone.

Filled symbols or bars are measured, lines are fits, dashed lines are limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.procedure import RunData
from procedures.figures import BLUE, GREEN, GREY, ORANGE, RED, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def correlations(data: RunData) -> Figure:
    """g2 against the difference of trials, for both pulses."""
    figure = new_figure(11, 4.4)
    axes = figure.subplots(1, 2)
    lags = data.derived["lags"]
    gate = data.parameters["gate"]
    for place, name, colour, title in (
        (axes[0], "pre", BLUE, "(a)  preparation pulse"),
        (axes[1], "meas", RED, f"(b)  read-out pulse, first {gate:g} ns"),
    ):
        g2, sigma = data.derived[f"g2_{name}_lags"]
        place.bar(lags, g2, width=0.6, color=colour, alpha=0.85)
        place.errorbar(lags, g2, yerr=sigma, fmt="none", ecolor="black", capsize=2, linewidth=1)
        place.axhline(1, color="black", linewidth=0.8, linestyle=":")
        bound, error, _ = data.results[f"bound_{name}"]
        ends = (g2 + sigma)[np.isfinite(g2 + sigma)]
        top = float(ends.max(initial=1.0))
        if bound is not None and np.isfinite(bound):
            place.axhline(bound, color="black", linestyle="--", linewidth=1.2)
            label = f"classical bound {bound:.2f} ± {error or 0:.2f}"
            top = max(top, bound)
        else:
            place.axhline(3, color="black", linestyle="--", linewidth=1.2)
            bound, label, top = 3.0, "thermal light 3 (bound not measured)", max(top, 3.0)
        place.text(
            lags[0] - 0.4, bound + 0.02 * top, label, va="bottom", fontsize=9,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )  # fmt: skip
        centre = len(lags) // 2
        place.set(
            xlabel="difference of trials $\\Delta N$", ylabel="$g^{(2)}(\\Delta N)$",
            xlim=(lags[0] - 0.6, lags[-1] + 0.6), ylim=(0, 1.12 * top),
        )  # fmt: skip
        place.set_xticks(lags[::2], [f"{lag:d}" for lag in lags[::2].astype(int)])
        value = f"$g^{{(2)}}(0)$ = {g2[centre]:.2f} ± {sigma[centre]:.2f}"
        if not np.isfinite(g2[centre]):
            value = "no clicks in one of the detectors"
        place.set_title(f"{title}: {value}", fontsize=11, loc="left")
    return figure


def counts(data: RunData) -> Figure:
    """Clicks against the time in a trial, in both pulses."""
    figure = new_figure(9.5, 4.2)
    axes = figure.add_subplot()
    times, rate = data.derived["count_times"], data.derived["counts"]
    width = float(times[1] - times[0])
    begin = float(times[0])
    axes.step(times, 1e6 * rate / width, where="mid", color="black", linewidth=1.2)
    axes.fill_between(times, 1e6 * rate / width, step="mid", color=GREY, alpha=0.6)
    first = data.parameters["first_fwhm"]
    start = begin + 40 - width / 2  # the histogram begins 40 ns before the preparation pulse
    later = start + 2 * first + data.parameters["delay"]
    for low, high, colour, name in (
        (start, start + 2 * first, BLUE, "preparation"),
        (later, later + data.parameters["gate"], RED, "read-out, gate"),
    ):
        axes.axvspan(low, high, color=colour, alpha=0.15, linewidth=0)
        axes.text((low + high) / 2, 0.97, name, transform=axes.get_xaxis_transform(),
                  ha="center", va="top", fontsize=9)  # fmt: skip
    axes.set(
        xlabel="time after the trigger (ns)",
        ylabel="clicks of both detectors\nper trial and ns ($10^{-6}$)",
        xlim=(times[0], times[-1]),
    )
    axes.set_ylim(0, 1.12 * axes.get_ylim()[1])
    axes.set_title(f"Counts, both tones, {data.parameters['delay']:g} ns apart", fontsize=11)
    return figure


def patterns(data: RunData) -> Figure:
    """How many trials had how many clicks in both pulses."""
    figure = new_figure(5.6, 4.4)
    axes = figure.add_subplot()
    table = np.asarray(data.derived["patterns"], dtype=float)
    shown = np.where(table > 0, table, np.nan)
    image = axes.imshow(np.log10(shown), cmap="Blues", origin="lower", vmin=0, aspect="equal")
    for i in range(3):
        for j in range(3):
            dark = table[i, j] > 0 and np.log10(table[i, j]) > 0.6 * np.log10(table.max())
            text = f"{int(table[i, j]):d}" if table[i, j] < 1e6 else f"{table[i, j]:.3e}"
            axes.text(j, i, text, ha="center", va="center", color="white" if dark else "black",
                      fontsize=10)  # fmt: skip
    axes.set_xticks(range(3))
    axes.set_yticks(range(3))
    axes.set(xlabel="detectors that clicked in the read-out pulse",
             ylabel="detectors that clicked\nin the preparation pulse")  # fmt: skip
    bar = figure.colorbar(image, ax=axes, shrink=0.85)
    bar.set_label("trials, $\\log_{10}$")
    chance = data.results["n22_uncorrelated"][0]
    axes.set_title(
        f"$n_{{22}}$ = {int(table[2, 2])}; uncorrelated pulses would give {chance:.2g}", fontsize=10
    )
    return figure


def decay(
    axes: Axes, x: np.ndarray, g2: np.ndarray, error: np.ndarray, fit: tuple[float, float, float],
    label: str,
) -> None:  # fmt: skip
    """g2 with its fit 2 + amplitude exp(-(x - origin) / time)."""
    amplitude, time, origin = fit
    axes.errorbar(x, g2, yerr=error, fmt="o", color=RED, capsize=3, markersize=5, label=label)
    dense = np.linspace(x.min(), x.max(), 200)
    axes.plot(dense, 2 + amplitude * np.exp(-(dense - origin) / time), color=RED, linewidth=1.4)
    axes.axhline(3, color="black", linestyle="--", linewidth=1)
    axes.axhline(2, color="black", linestyle=":", linewidth=1)
    for height, name in ((3, "thermal\nsidebands"), (2, "thermal\nstate")):
        axes.text(1.01, height, name, transform=axes.get_yaxis_transform(), va="center", fontsize=8)


def gates(data: RunData) -> Figure:
    """g2 of the read-out against the gate length."""
    figure = new_figure(7, 4.6)
    axes = figure.add_subplot()
    time, error, _ = data.results["decay_time"]
    amplitude = data.results["amplitude"][0]
    lengths = data.derived["gate_lengths"]
    decay(axes, lengths, data.derived["g2"], data.derived["g2_error"], (amplitude, time, 39.0),
          "gates contain the shorter ones")  # fmt: skip
    axes.set(
        xlabel="gate from the beginning of the read-out pulse (ns)",
        ylabel="$g^{(2)}_\\mathrm{meas}(0)$",
    )
    axes.legend(loc="upper right", fontsize=9)
    axes.set_title(f"decay time {time:.1f} ± {error:.1f} ns", fontsize=11)
    return figure


def delays(data: RunData) -> Figure:
    """g2 of both pulses against the delay."""
    figure = new_figure(7, 4.8)
    axes = figure.add_subplot()
    x = data.derived["delays"]
    time, error, _ = data.results["decay_time"]
    amplitude = data.results["amplitude"][0]
    axes.errorbar(x, data.derived["g2_pre"], yerr=data.derived["g2_pre_error"], fmt="s",
                  color=BLUE, capsize=3, markersize=5, label="preparation pulse")  # fmt: skip
    decay(axes, x, data.derived["g2_meas"], data.derived["g2_meas_error"],
          (amplitude, time, 30.0),
          f"read-out pulse, first {data.parameters['gate']:g} ns")  # fmt: skip
    axes.set(xlabel="delay between the pulses (ns)", ylabel="$g^{(2)}(0)$")
    axes.legend(loc="upper right", fontsize=9)
    axes.set_title(f"decay time {time:.0f} ± {error:.0f} ns", fontsize=11)
    return figure


def relaxation(data: RunData) -> Figure:
    """Phonons against the delay after a blue pulse, with both exponentials."""
    figure = new_figure(7, 4.6)
    axes = figure.add_subplot()
    x, n, error = (data.derived[name] for name in ("delays", "phonons", "phonons_error"))
    short, long = data.results["short_time"], data.results["long_time"]
    excited, heated = data.results["excited"][0], data.results["heated"][0]
    thermal = data.results["thermal"][0]
    t = np.linspace(0, x.max(), 400)
    slow = thermal + (excited + heated) * np.exp(-t / long[0])
    axes.errorbar(1e-3 * x, n, yerr=error, fmt="o", color="black", capsize=3, markersize=4,
                  label="measured")  # fmt: skip
    axes.plot(1e-3 * t, slow - heated * np.exp(-t / short[0]), color=GREEN, label="fit")
    axes.plot(1e-3 * t, slow, color=RED, linestyle="--",
              label=f"relaxation {1e-3 * long[0]:.2f} ± {1e-3 * long[1]:.2f} µs")  # fmt: skip
    axes.plot(1e-3 * t, heated * np.exp(-t / short[0]), color=BLUE, linestyle="-.",
              label=f"not yet heated {1e-3 * short[0]:.2f} ± {1e-3 * short[1]:.2f} µs")  # fmt: skip
    axes.axhline(thermal, color="black", linestyle=":", linewidth=1)
    axes.set(xlabel="delay after the blue pulse (µs)", ylabel="phonons", ylim=(0, None))
    axes.legend(fontsize=9)
    return figure


def thermometry(data: RunData) -> Figure:
    """Clicks behind red and blue pulses, with what belongs to them."""
    figure = new_figure(6, 4.4)
    axes = figure.add_subplot()
    bars: list[tuple[str, str, Any]] = [
        ("red", "red pulse", RED), ("blue", "blue pulse", BLUE),
    ]  # fmt: skip
    for place, (name, label, colour) in enumerate(bars):
        signal, sigma, _ = data.results[f"counts_{name}"]
        background = data.results[f"background_{name}"][0]
        axes.bar(place, signal, color=colour, width=0.55, yerr=sigma, capsize=4, label=label)
        axes.bar(place, background, color=ORANGE, width=0.55, hatch="//",
                 label="background" if place == 0 else None)  # fmt: skip
        axes.text(place, 1.3 * signal, f"{signal:.0f}", ha="center", fontsize=9)
    axes.set_yscale("log")
    axes.set_ylim(bottom=1, top=4 * max(data.results["counts_blue"][0], 1.0))
    axes.set_xticks([0, 1], ["red", "blue"])
    axes.set_ylabel("clicks of both detectors")
    axes.legend(fontsize=9, loc="upper left")
    value, sigma, _ = data.results["thermal_phonons"]
    axes.set_title(f"thermal phonons {value:.4f} ± {sigma:.4f}", fontsize=11)
    return figure
