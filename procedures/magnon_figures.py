"""Figures of the magnomechanics procedures, drawn from stored data alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import covariance as inside_covariance
from labctl.analysis.magnomechanics import drive_power, duan
from labctl.procedure import RunData
from procedures.figures import BLUE, GREEN, GREY, ORANGE, RED, new_figure
from procedures.magnon_setup import FITTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from labctl.analysis.magnomechanics import Device

QUADRATURES = ("$X_1$", "$Y_1$", "$X_2$", "$Y_2$")
DUAN_BOUND = 2.0
PUBLISHED_MK = 140.0
MEASURED_PIXELS = 241  # along each axis of a measured map


def _signed(value: float, error: float | None) -> str:
    text = f"{value:.4f}" if not error or error < 3e-3 else f"{value:.3f}"
    if error is None:
        return text
    return f"{text} ± {error:.4f}" if error < 3e-3 else f"{text} ± {error:.3f}"


def covariance(data: RunData) -> Figure:
    """The measured output covariance with its numbers, the theory, and their difference."""
    measured, theory = data.derived["covariance"], data.derived["covariance_theory"]
    errors = data.derived["covariance_error"]
    figure = new_figure(12.8, 5.4)
    limit = float(np.abs(np.concatenate([measured, theory])).max())
    first, second, third = figure.subplots(1, 3, width_ratios=(1, 1, 1.05))
    for axes, matrix, title in (
        (first, measured, "measured output modes (vacuum 1/2)"),
        (second, theory, "theory for the device as swept"),
    ):
        image = axes.imshow(matrix, cmap="RdBu_r", vmin=-limit, vmax=limit)
        for (i, j), value in np.ndenumerate(matrix):
            text = f"{value:+.3f}".replace("-", "−")
            if axes is first:
                text += f"\n±{errors[i, j]:.3f}"
            bright = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(j, i, text, ha="center", va="center", fontsize=9, color=bright)
        axes.set_xticks(range(4), QUADRATURES)
        axes.set_yticks(range(4), QUADRATURES)
        axes.set_title(title, fontsize=11)
    figure.colorbar(image, ax=[first, second], location="bottom", shrink=0.5, pad=0.03).set_label(
        "covariance"
    )
    upper = np.triu_indices(4)
    names = [f"{QUADRATURES[i]}{QUADRATURES[j]}" for i, j in zip(*upper, strict=True)]
    places = np.arange(len(names))
    third.errorbar(
        (measured - theory)[upper], places, xerr=errors[upper], fmt="o", color=BLUE, capsize=3
    )
    third.axvline(0, color="black", linewidth=1)
    third.set_yticks(places, names)
    third.invert_yaxis()
    third.set_xlabel("measured minus theory, with standard errors")
    third.grid(axis="x", linewidth=0.4, alpha=0.6)
    results = {name: (value, error) for name, (value, error, _) in data.results.items()}
    physical = "physical" if results["physical"][0] else "NOT physical"
    third.set_title(f"{physical}, $\\chi^2$ = {results['chi_square'][0]:.1f}", fontsize=11)
    figure.suptitle(
        f"outputs: $E_N$ = {_signed(*results['log_negativity'])} "
        f"(theory {results['log_negativity_theory'][0]:.3f}), "
        f"Duan sum {_signed(*results['duan_sum'])}, best phases {_signed(*results['duan_best'])};"
        f"   inside, inferred: $E_N$ = {_signed(*results['intracavity_log_negativity'])}",
        fontsize=11.5,
    )
    return figure


def side_by_side(data: RunData, x_name: str, y_name: str) -> Figure:
    """Theory and measured E_N inside the cavities over the same axes and colours."""
    table, theory = data.derived["measured"], data.derived["theory"]
    figure = new_figure(13.2, 5.6)
    shown = np.maximum(theory, 0.0)
    top = float(max(np.nanmax(shown), table[:, 2].max()))
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    image = _theory_map(left, data, np.where(np.isnan(theory), np.nan, shown), 0.0, top, "viridis")
    unstable = "; hatched: unstable" if np.isnan(theory).any() else ""
    left.set_title(
        f"theory: maximum {data.results['maximum_theory'][0]:.4f}{unstable}", fontsize=11
    )
    _measured_map(right, data, np.maximum(table[:, 2], 0.0), 0.0, top, "viridis")
    value, error, _ = data.results["maximum"]
    outputs, spread, _ = data.results["output_maximum"]
    right.set_title(
        f"measured (dots): maximum {_signed(value, error)}, "
        f"outputs up to {outputs:.2f} ± {spread:.2f}",
        fontsize=11,
    )
    names = [n for n in data.results if n.endswith("_at_maximum")]
    place = [data.results[name][0] for name in names]
    for axes in (left, right):
        axes.set(xlabel=x_name, ylabel=y_name)
    right.plot(*place, marker="+", color=RED, markersize=14, markeredgewidth=2)
    theory_place = [data.results[n][0] for n in data.results
                    if n.endswith("_theory") and n != "maximum_theory"]  # fmt: skip
    left.plot(*theory_place, marker="+", color=RED, markersize=14, markeredgewidth=2)
    bar = figure.colorbar(image, ax=[left, right], shrink=0.85)
    bar.set_label("$E_N$ inside the cavities (+: maximum)")
    return figure


def duan_map(data: RunData, place: Callable[[Any, Any], Device]) -> Figure:
    """Duan sum inside the cavities, theory and measurement; above the bound left white.

    Args:
        place: the nominal device at detunings (MHz) of the two cavities.
    """
    table = data.derived["measured"]
    xs, ys = data.derived["theory_x"], data.derived["theory_y"]
    device = place(xs[None, :], ys[:, None])
    theory = duan(inside_covariance(device)[..., :4, :4])
    figure = new_figure(13.2, 5.6)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    low = float(min(np.nanmin(theory), table[:, 6].min()))
    image = _theory_map(
        left, data, np.where(theory < DUAN_BOUND, theory, np.nan), low, DUAN_BOUND, "viridis_r",
        hatched=False,
    )  # fmt: skip
    left.set_title("theory; white: above 2, no statement", fontsize=11)
    below = np.where(table[:, 6] < DUAN_BOUND, table[:, 6], np.nan)
    _measured_map(right, data, below, low, DUAN_BOUND, "viridis_r")
    value, error, _ = data.results["duan_minimum"]
    right.set_title(f"measured: least {_signed(value, error)}", fontsize=11)
    for axes in (left, right):
        axes.set(xlabel="$\\Delta_1$ (MHz)", ylabel="$\\Delta_2$ (MHz)")
    figure.colorbar(image, ax=[left, right], shrink=0.85).set_label(
        "Var$(X_1 + X_2)$ + Var$(Y_1 - Y_2)$ inside the cavities"
    )
    return figure


def _theory_map(
    axes: Axes, data: RunData, values: np.ndarray, low: float, high: float, colours: str,
    hatched: bool = True,
) -> Any:  # fmt: skip
    xs, ys = data.derived["theory_x"], data.derived["theory_y"]
    if hatched and np.isnan(values).any():
        axes.patch.set(facecolor="0.93", edgecolor="0.7", hatch="////")
    return axes.pcolormesh(
        xs, ys, np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=high, shading="nearest",
        rasterized=True,
    )  # fmt: skip


def _measured_map(
    axes: Axes, data: RunData, values: np.ndarray, low: float, high: float, colours: str
) -> None:
    """The map by its measured points: each place has the colour of the nearest one (dots)."""
    from scipy.spatial import cKDTree

    table = data.derived["measured"]
    xs, ys = data.derived["theory_x"], data.derived["theory_y"]
    scale = np.array([np.ptp(xs), np.ptp(ys)])
    fine_x, fine_y = (np.linspace(v[0], v[-1], MEASURED_PIXELS) for v in (xs, ys))
    pixels = np.stack(np.meshgrid(fine_x, fine_y), axis=-1).reshape(-1, 2)
    _, nearest = cKDTree(table[:, :2] / scale).query(pixels / scale)
    shown = values[nearest].reshape(MEASURED_PIXELS, MEASURED_PIXELS)
    axes.pcolormesh(
        fine_x, fine_y, np.ma.masked_invalid(shown), cmap=colours, vmin=low, vmax=high,
        shading="nearest", rasterized=True,
    )  # fmt: skip
    axes.plot(*table[:, :2].T, ".", color=GREY, markersize=3)


def temperature(data: RunData) -> Figure:
    """E_N inside the cavities against temperature, with theory and where each says it vanishes."""
    table, theory = data.derived["measured"], data.derived["theory"]
    figure = new_figure(9.2, 5.6)
    axes = figure.subplots()
    axes.plot(theory[:, 0], theory[:, 1], color="black", linewidth=1.3, label="theory")
    axes.errorbar(
        table[:, 0], table[:, 1], yerr=table[:, 2], fmt="o", color=BLUE, capsize=3, markersize=5,
        label="inside the cavities, inferred from the outputs",
    )  # fmt: skip
    axes.axhline(0, color=GREY, linewidth=1.5, zorder=0)
    where, error, _ = data.results["vanishing_temperature"]
    if np.isfinite(where):
        axes.axvline(where, color=GREEN, linestyle="--", linewidth=1.4,
                     label=f"vanishes at {where:.1f} ± {error or 0:.1f} mK (theory "
                     f"{data.results['vanishing_temperature_theory'][0]:.1f} mK)")  # fmt: skip
    axes.axvline(PUBLISHED_MK, color=ORANGE, linestyle=":", linewidth=2,
                 label="publication: “survives up to about 140 mK”")  # fmt: skip
    span = max(float(table[:, 1].max()), 0.02)
    axes.set(
        xlabel="temperature of the mixing chamber (mK)",
        ylabel="$-\\ln 2\\nu$ ($E_N$ where positive)",
        xlim=(0, 1.08 * float(table[:, 0].max())),
        ylim=(min(-0.25 * span, 1.3 * float(table[:, 1].min())), 1.2 * span),
    )  # fmt: skip
    value, spread, _ = data.results["output_log_negativity"]
    axes.set_title(
        f"the output modes ({data.parameters['bandwidth']:g} MHz) still have $E_N$ = "
        f"{value:.2f} ± {spread:.2f} at {table[-1, 0]:.0f} mK",
        fontsize=11,
    )
    axes.legend(fontsize=9.5, framealpha=1)
    axes.grid(linewidth=0.4, alpha=0.6)
    return figure


def spectroscopy(data: RunData) -> Figure:
    """Transmission between the cavities over field and frequency, with the fitted modes."""
    rows = np.flatnonzero(np.asarray(data["kind"]) == "cross")
    rows = rows[np.argsort(data["field (T)"][rows].astype(float))]
    fields = 1e3 * data["field (T)"][rows].astype(float)
    probe = data.trace("probe (MHz)", int(rows[0]))
    levels = np.array(
        [20 * np.log10(np.abs(np.reshape(data.trace("s", row), (-1, 2, 2))[:, 1, 0]) + 1e-6)
         for row in rows.tolist()]
    )  # fmt: skip
    figure = new_figure(12.8, 5.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    image = left.pcolormesh(fields, probe, levels.T, cmap="viridis", vmin=-50, shading="nearest",
                            rasterized=True)  # fmt: skip
    table = {name: data[FITTED[name]][rows].astype(float) for name in FITTED}
    branches = []
    for n in range(len(rows)):
        matrix = np.array(
            [[table["detuning_1"][n], 0, table["g_1"][n]],
             [0, table["detuning_2"][n], table["g_2"][n]],
             [table["g_1"][n], table["g_2"][n], table["detuning_m"][n]]]
        )  # fmt: skip
        branches.append(np.linalg.eigvalsh(matrix))
    for branch in np.array(branches).T:
        left.plot(fields, branch, color="white", linewidth=1.2, linestyle="--")
    left.set(xlabel="field (mT)", ylabel="frequency from the drive's (MHz)",
             ylim=(probe[0], probe[-1]),
             title="transmission between the cavities; dashed: fitted modes")  # fmt: skip
    left.title.set_fontsize(11)
    figure.colorbar(image, ax=left).set_label("$|S_{21}|$ (dB)")
    middle = int(np.argmin(np.abs(table["detuning_m"])))
    s = np.reshape(data.trace("s", int(rows[middle])), (-1, 2, 2))
    for (i, j), colour, name in (
        ((0, 0), BLUE, "$|S_{11}|$"), ((1, 1), GREEN, "$|S_{22}|$"), ((1, 0), RED, "$|S_{21}|$"),
    ):  # fmt: skip
        right.plot(probe, np.abs(s[:, i, j]), color=colour, linewidth=1.1, label=name)
    values = ", ".join(
        f"${symbol}$ = {data.results[name][0]:.4f}"
        for name, symbol in (("g_1", "g_1"), ("g_2", "g_2"), ("kappa_m", "\\kappa_m"))
    )
    right.set_title(f"{values} MHz", fontsize=11)
    right.set(xlabel="frequency from the drive's (MHz)", ylabel="S parameter",
              xlim=(probe[0], probe[-1]))  # fmt: skip
    right.legend(fontsize=9.5, framealpha=1)
    right.grid(linewidth=0.4, alpha=0.6)
    return figure


def drive(data: RunData, aim: Device, radius: float) -> Figure:
    """Coupling and magnon shift against drive power, with what theory expects.

    Args:
        aim: the device at the working point that was asked for.
        radius: of the sphere, in m.
    """
    values = data.derived["calibration"]
    figure = new_figure(12.2, 5.2)
    left, right = figure.subplots(1, 2)
    fine = np.linspace(0, 1.08 * values[-1, 0], 200)
    single, error, _ = data.results["single_magnon_coupling"]
    for hertz, colour, style, name in (
        (single, BLUE, "-", f"$G_0$ = {single:.3f} ± {error or 0:.3f} Hz (fit)"),
        (1.0, ORANGE, "--", "$G_0$ = 1 Hz, same device"),
    ):
        needed = float(drive_power(aim, hertz, radius))
        left.plot(fine, aim.coupling * np.sqrt(fine / needed), color=colour, linestyle=style,
                  linewidth=1.3, label=name)  # fmt: skip
    left.errorbar(values[:, 0], values[:, 1], yerr=values[:, 2], fmt="o", color="black",
                  capsize=3, label="measured by sweeps")  # fmt: skip
    for power, text in ((6.3, "6.3 mW"), (0.57, "0.57 mW")):
        left.plot(power, 4.5, marker="*", color=RED, markersize=13, linestyle="none",
                  label=f"publication: 4.5 MHz with {text}")  # fmt: skip
    left.set(xlabel="power at the sphere (mW)", ylabel="coupling $G/2\\pi$ (MHz)",
             ylim=(0, 1.5 * max(4.5, values[-1, 1])))  # fmt: skip
    left.legend(fontsize=9, framealpha=1, loc="upper right")
    left.grid(linewidth=0.4, alpha=0.6)
    needed, needed_error, _ = data.results["drive_power"]
    left.set_title(
        f"{float(aim.coupling):g} MHz take {needed:.2f} ± {needed_error or 0:.2f} mW", fontsize=11
    )
    squares = values[:, 1] ** 2
    line = np.linspace(0, 1.08 * float(squares[-1]), 50)
    shift = line / (2.0 * float(aim.phonon))
    right.plot(line, shift, color=GREY, linewidth=2, label="$G^2 / 2\\omega_b$")
    right.plot(squares, values[:, 5], "o", color="black", label="measured")
    right.set(xlabel="$G^2$ (MHz$^2$)", ylabel="shift of the magnon by the mean strain (MHz)")
    right.legend(fontsize=9.5, framealpha=1)
    right.grid(linewidth=0.4, alpha=0.6)
    return figure
