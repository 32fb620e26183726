"""Figures of the squeezing and covariance measurements, drawn from stored data alone.

Colours are those of Okabe and Ito, which stay apart for colour-blind eyes; the diverging map runs
from blue to red. Every marker shape or hatch repeats what a colour says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.live import GREY, PALETTE
from labctl.procedure import RunData
from procedures.graphs import Graph, graph_of
from procedures.homodyne import (
    PAIR_RESULTS,
    QUADRATURES,
    dark_power,
    fit_scan,
    scan_design,
    to_db,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, *_ = COLOURS = PALETTE
MARKERS = ("o", "s", "^")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of this size (inch), laid out without overlaps."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def covariance(data: RunData) -> Figure:
    """Heat map of the covariance matrix, unmeasured elements grey, with two zoom-ins."""
    modes = data.derived["mode_numbers"].astype(int)
    cov = data.derived["covariance"]
    measured = np.isfinite(data.derived["covariance_error"])
    sums = graph_of(data.parameters).sums
    shown = np.where(measured, cov - np.eye(len(cov)), np.nan)
    off = np.where(np.eye(len(cov), dtype=bool), np.nan, shown)
    limit = float(np.nanmax(np.abs(off)))
    count = len(modes)

    figure = new_figure(12.5, 7.6)
    grid = figure.add_gridspec(2, 2, width_ratios=(1.75, 1))
    whole = figure.add_subplot(grid[:, 0])
    image = _heat_map(whole, shown, limit)
    places = [int(place) for place in np.flatnonzero(modes % 10 == 0)]
    ticks = [*places, *(count + place for place in places)]
    names = [f"{modes[place]:d}" for place in places]
    whole.set_xticks(ticks, names * 2, fontsize=8)
    whole.set_yticks(ticks, names * 2, fontsize=8)
    whole.tick_params(length=2)
    whole.axhline(count - 0.5, color="black", linewidth=0.8)
    whole.axvline(count - 0.5, color="black", linewidth=0.8)
    whole.set_xlabel("k of $x_k$ (left half) and $p_k$ (right half)")
    whole.set_ylabel("k of $x_k$ (lower half) and $p_k$ (upper half)")
    whole.set_title("Measured covariance matrix, vacuum subtracted", fontsize=11)

    centre = int(modes[3 * count // 4])
    for row, side in enumerate((1, -1)):
        rows = [k for k in modes if abs(abs(k) - centre) <= 4 and k * side > 0]
        columns = [k for k in modes if abs(abs(k) - centre) <= 5 and k * side < 0]
        zoom = figure.add_subplot(grid[row, 1])
        _zoom(zoom, shown, modes, rows, columns, sums, limit)
        box_x = [int(np.flatnonzero(modes == k)[0]) for k in (columns[0], columns[-1])]
        box_y = [count + int(np.flatnonzero(modes == k)[0]) for k in (rows[0], rows[-1])]
        _box(whole, box_x, box_y, "ab"[row])
        zoom.set_title(f"({'ab'[row]})  $\\langle p_k\\, x_l\\rangle$", fontsize=11, loc="left")
    bar = figure.colorbar(image, ax=whole, location="bottom", shrink=0.6, aspect=40, pad=0.01)
    typical = float(np.nanmedian(data.derived["covariance_error"]))
    bar.set_label(
        f"covariance minus vacuum (shot noise = 1), typical error {typical:.4f};  "
        "grey: not measured"
    )
    return figure


def ppt(data: RunData) -> Figure:
    """PPT values of all bipartitions of six sets of twelve modes, sorted within each set."""
    values, sets = data.derived["ppt"], data.derived["ppt_sets"].astype(int)
    figure = new_figure(11, 4.8)
    axes = figure.add_subplot()
    count = values.shape[1]
    worst, error, _ = data.results["ppt_max"]
    for number, (row, members) in enumerate(zip(values, sets, strict=True)):
        start = number * count
        if number % 2:
            axes.axvspan(start, start + count, color="0.95", zorder=0)
        axes.plot(start + np.arange(count), np.sort(row), color=COLOURS[number], linewidth=2.2)
        axes.text(
            start + count / 2, 1.008, _set_name(members), ha="center", va="bottom", fontsize=9
        )
        if np.isclose(row.max(), worst):
            axes.errorbar(start + count - 1, worst, yerr=error, fmt="o", color="black",
                          markersize=4, capsize=4, zorder=5)  # fmt: skip
            axes.annotate(
                f"largest: {worst:.4f} ± {error or 0:.4f}", (start + count - 1, worst),
                xytext=(0, 9), textcoords="offset points", ha="right", fontsize=9,
            )  # fmt: skip
    axes.axhline(1, color="black", linestyle="--", linewidth=1.2)
    axes.text(0.03 * count, 0.995, "entangled below 1", va="top", fontsize=9)
    low = min(values.min(), 0.95)
    axes.set(
        xlim=(0, values.size),
        ylim=(low - 0.03 * (1 - low) - 0.01, max(1.04, 1.06 * values.max())),
        xlabel=f"bipartition, sorted within each of six sets of twelve modes ({count} each)",
        ylabel="PPT value (smallest symplectic\neigenvalue, vacuum = 1)",
    )
    axes.set_xticks(count * np.arange(7))
    bound, bound_error, _ = data.results["ppt_bottleneck"]
    total = int(data.results["modes"][0])
    if data.results["completely_inseparable"][0]:
        title = f"no bipartition of all {total} modes is separable: certified bound {bound:.4f}"
        title += f" ± {bound_error:.4f}" if bound_error else ""
    else:
        title = f"not proved that all {total} modes are inseparable"
    axes.set_title(title, fontsize=11)
    return figure


def graph(data: RunData) -> Figure:
    """The graph of connected modes, and the squeezing of every nullifier."""
    made = graph_of(data.parameters)
    modes = data.derived["mode_numbers"].astype(int)
    cov = data.derived["covariance"]
    sums = made.sums
    figure = new_figure(12.5, 7.6)
    top, bottom = figure.subplots(2, 1, height_ratios=(1, 2.1))
    place = {int(k): i for i, k in enumerate(modes)}

    strengths = {
        pair: abs(cov[len(modes) + place[pair[1]], place[pair[0]]]) for pair in made.connected
    }
    strongest = max(strengths.values())
    for (i, j), strength in strengths.items():
        colour = COLOURS[sums.index(i + j)]
        top.plot(np.abs([i, j]), np.sign([i, j]), color=colour, solid_capstyle="round",
                 linewidth=0.6 + 3.0 * strength / strongest, zorder=1)  # fmt: skip
    top.scatter(np.abs(modes), np.sign(modes), s=150, color="white", edgecolor="black", zorder=2)
    for k in modes:
        top.text(abs(k), np.sign(k), f"{k}", fontsize=6.5, ha="center", va="center", zorder=3)
    top.set(ylim=(-1.5, 1.5), xlim=(np.abs(modes).min() - 0.8, np.abs(modes).max() + 0.8))
    top.set_axis_off()
    top.set_title(
        f"{len(modes)} modes, edges as wide as the measured "
        rf"$|\langle p_k x_l\rangle|$, up to {strongest:.3f}",
        fontsize=11,
    )

    nullifier_bars(bottom, data, made)
    return figure


def nullifier_bars(axes: Axes, data: RunData, made: Graph) -> None:
    """Squeezing of every nullifier and of every connected pair, by mode number."""
    modes = data.derived["mode_numbers"].astype(int)
    sums, weight = made.sums, made.weight
    nullifier, pairs = data.derived["nullifier_db"], data.derived["two_mode_db"]
    axes.bar(modes, nullifier[:, 0], yerr=nullifier[:, 1], width=0.78, color="#D9C3DE",
               edgecolor="#6A3D7C", linewidth=0.6, ecolor="black", capsize=1.5, zorder=1,
               label=_nullifier_name(sums, weight))  # fmt: skip
    for number, total in enumerate(reversed(sums)):
        column = len(sums) - 1 - number
        axes.errorbar(
            modes + 0.18 * (number - (len(sums) - 1) / 2), pairs[:, column, 0],
            yerr=pairs[:, column, 1], fmt=MARKERS[number], markersize=3.6, linewidth=0.8,
            color=COLOURS[column], label=rf"$p_k + x_{{{_partner(total)}}}$", zorder=2,
        )  # fmt: skip
    axes.axhline(0, color="black", linewidth=1)
    axes.text(0, 0.01, "shot\nnoise", ha="center", va="bottom", fontsize=9)
    value, error, _ = data.results["nullifier"]
    best, best_error, _ = data.results["two_mode"]
    axes.set_title(
        f"best nullifier {value:.2f} ± {error:.2f} dB, best pair {best:.2f} ± {best_error:.2f} dB "
        "(selection bias subtracted)",
        fontsize=11,
    )
    axes.set(
        xlabel="mode number k", ylabel="squeezing below shot noise (dB)",
        xlim=(modes.min() - 1, modes.max() + 1),
        ylim=(None, 1.22 * float(np.nanmax(nullifier.sum(axis=1)))),
    )  # fmt: skip
    axes.set_xticks(_round_modes(modes))
    axes.legend(loc="upper center", ncols=1 + len(sums), fontsize=9, framealpha=1)
    axes.grid(axis="y", linewidth=0.4, alpha=0.6)


def squeezing(data: RunData) -> Figure:
    """Noise traces of the four quadratures against shot noise, and the scan of the LO phase."""
    kinds = np.asarray(data["kind"])
    powers = data["signal (mW)"], data["shot (mW)"]
    dark, _ = dark_power(kinds, powers, (data["signal error (mW)"], data["shot error (mW)"]))
    pair = data.parameters["pair"]
    figure = new_figure(12.5, 5.2)
    traces, scan = figure.subplots(1, 2, width_ratios=(1.7, 1))
    spectrum = dict(zip(QUADRATURES, (BLUE, GREEN, RED, ORANGE), strict=True))
    styles = dict(zip(QUADRATURES, ("-", "--", "-", "--"), strict=True))
    for name, (kind, sign) in PAIR_RESULTS.items():
        row = int(np.flatnonzero(kinds == kind)[0])
        shot = powers[1][row] - dark
        signal = _relative(data.trace("signal (dBm)", row), dark, shot)
        time = np.linspace(0, data.parameters["sweep_time"], len(signal))
        reference = _relative(data.trace("shot (dBm)", row), dark, shot)
        traces.plot(time, reference, color=GREY, linewidth=0.8, zorder=1)
        traces.plot(time, signal, color=spectrum[kind], linestyle=styles[kind], linewidth=1.3,
                    zorder=2)  # fmt: skip
        value, error, _ = data.results[name]
        letter, joint = kind[0], kind[1]
        label = f"${letter}_{{{pair}}} {joint} {letter}_{{-{pair}}}$"
        level = sign * value
        traces.annotate(
            f"{label}:  " + f"{level:+.2f}".replace("-", "−") + f" ± {error:.2f} dB",
            (time[-1] * (0.04 if letter == "x" else 0.52), level), xytext=(0, 9),
            textcoords="offset points", va="bottom", fontsize=10, color=spectrum[kind],
        )  # fmt: skip
    traces.text(time[-1] * 0.04, 0.35, "shot noise", color="0.4", fontsize=10)
    traces.set(
        xlabel="time (s)", ylabel="noise relative to shot noise (dB)", xlim=(0, time[-1]),
        title=f"modes ±{pair}, {data.parameters['analysis_frequency']:g} MHz, "
        f"RBW {data.parameters['resolution_bandwidth']:g} kHz, "
        f"VBW {data.parameters['video_bandwidth']:g} Hz, dark noise subtracted",
    )  # fmt: skip
    traces.margins(y=0.14)
    traces.grid(linewidth=0.4, alpha=0.6)

    rows = kinds == "scan"
    angle = data["angle i (rad)"][rows]
    variance, error = data.derived["noise_over_shot"][rows].T
    scan.errorbar(np.degrees(angle), to_db(variance), yerr=10 / math.log(10) * error / variance,
                  fmt="o", color="black", markersize=4, capsize=2, label="measured")  # fmt: skip
    fine = np.linspace(0, math.pi, 361)
    coefficients, _ = fit_scan(angle, variance)
    scan.plot(np.degrees(fine), to_db(np.maximum(scan_design(fine) @ coefficients, 1e-3)),
              color=BLUE, linewidth=1.2, label="fit")  # fmt: skip
    found, uncertainty, _ = data.results["squeezing_angle"]
    scan.axvline(np.degrees(found % math.pi), color=RED, linestyle="--", linewidth=1.2,
                 label=f"squeezing angle {np.degrees(found % math.pi):.2f}° ± "
                 f"{np.degrees(uncertainty or 0.0):.2f}°")  # fmt: skip
    scan.axhline(0, color=GREY, linewidth=2, zorder=0)
    scan.set(
        xlabel="common LO phase (degree)",
        ylabel="noise relative to shot noise (dB)",
        title=f"$x_{{{pair}}}+x_{{-{pair}}}$ while the LO phase is scanned",
        xlim=(-4, 184),
    )
    scan.set_xticks(range(0, 181, 30))
    scan.legend(fontsize=9, framealpha=1)
    scan.grid(linewidth=0.4, alpha=0.6)
    return figure


def _relative(trace: np.ndarray, dark: float, shot: float) -> np.ndarray:
    """A trace (dBm) with dark noise subtracted, in dB relative to the mean shot noise (mW)."""
    return np.asarray(to_db(np.maximum(10.0 ** (trace / 10.0) - dark, 1e-6 * shot) / shot))


def _heat_map(axes: Axes, values: np.ndarray, limit: float) -> Any:
    from matplotlib import colormaps

    colours = colormaps["RdBu_r"].with_extremes(bad=GREY)
    return axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=-limit, vmax=limit,
                       interpolation="nearest", origin="lower")  # fmt: skip


def _zoom(
    axes: Axes, shown: np.ndarray, modes: np.ndarray, rows: list[int], columns: list[int],
    sums: tuple[int, ...], limit: float,
) -> None:  # fmt: skip
    """<p_k x_l> of a few modes with its numbers; dashed lines run along the connected pairs."""
    count = len(modes)
    place = {int(k): i for i, k in enumerate(modes)}
    part = shown[np.ix_([count + place[k] for k in rows], [place[k] for k in columns])]
    _heat_map(axes, part, limit)
    for (i, j), value in np.ndenumerate(part):
        if np.isfinite(value):
            bright = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=6.5, color=bright)
    for total in (min(sums) - 0.5, max(sums) + 0.5):
        # k + l = total: row k - rows[0], column l - columns[0].
        x = np.array([-0.5, len(columns) - 0.5])
        axes.plot(x, total - (x + columns[0]) - rows[0], color="black", linestyle="--", linewidth=1)
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(-0.5, len(rows) - 0.5),
             xlabel="l of $x_l$", ylabel="k of $p_k$")  # fmt: skip
    axes.set_xticks(range(len(columns)), [f"{k}" for k in columns], fontsize=8)
    axes.set_yticks(range(len(rows)), [f"{k}" for k in rows], fontsize=8)


def _box(axes: Axes, x: list[int], y: list[int], name: str) -> None:
    from matplotlib.patches import Rectangle

    corner = (min(x) - 0.5, min(y) - 0.5)
    axes.add_patch(Rectangle(corner, max(x) - min(x) + 1, max(y) - min(y) + 1, fill=False,
                             edgecolor=GREEN, linewidth=1.6))  # fmt: skip
    axes.text(max(x) + 1.5, max(y) + 0.5, f"({name})", color="black", fontsize=10, va="top")


def _round_modes(modes: np.ndarray) -> list[int]:
    ends = [int(modes.min()), int(modes.max()), -int(np.abs(modes).min()), int(np.abs(modes).min())]
    return sorted({*ends, *(int(k) for k in modes if k % 10 == 0)})


def _set_name(members: np.ndarray) -> str:
    size = np.abs(members)
    return f"|k| = {size.min()} to {size.max()}"


def _partner(total: int) -> str:
    return "-k" if total == 0 else f"-k{total:+d}"


def _nullifier_name(sums: tuple[int, ...], weight: float) -> str:
    terms = " + ".join(f"x_{{{_partner(total)}}}" for total in reversed(sums))
    if len(sums) == 1:
        return rf"nullifier $p_k + {terms}$"
    return rf"nullifier $p_k + {weight:g}\,({terms})$"
