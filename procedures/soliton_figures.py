"""Figures of the soliton comb and of the keys that it carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from labctl.live import PALETTE
from labctl.procedure import RunData
from procedures import decoy_rates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from procedures.decoy_rates import LinkSettings

STAGES = ("to the red", "past chaos", "back", "to the working point")


def generation(data: RunData) -> Figure:
    """Comb power against the pump's offset in the last attempt, and in time while held."""
    from matplotlib.figure import Figure

    kinds = np.asarray(data["kind"])
    last = int(np.flatnonzero(kinds == "attempt")[-1])
    offset, comb = data.trace("offset (MHz)", last), 1e6 * data.trace("comb power (W)", last)
    stage = data.trace("stage", last)
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 1))
    for number, name in enumerate(STAGES):
        here = stage == number
        if here.any():
            left.plot(
                offset[here], comb[here], ".-", ms=3, lw=0.8, color=PALETTE[number], label=name
            )
    left.set(
        xlabel="pump offset, to the red (MHz)", ylabel="comb power at the meter (µW)", yscale="log"
    )
    floor = max(comb.max() * 1e-4, 1e-4)
    left.set_ylim(max(np.percentile(comb[comb > floor], 1) * 0.4, floor), comb.max() * 2.5)
    appears = offset[comb > 0.01 * comb.max()]
    if appears.size:
        left.set_xlim(appears.min() - 60.0, offset.max() + 60.0)
    left.legend(fontsize=8, loc="upper right")
    held = np.flatnonzero(kinds == "hold")
    if held.size:
        time = data["time (s)"][held]
        right.plot(time - time[0], 1e6 * data["comb (W)"][held], "o-", ms=3, color=PALETTE[0])
        right.set(xlabel="time held (s)", ylabel="comb power (µW)")
    else:
        right.set_axis_off()
    solitons = int(data["solitons"][last])
    left.set_title(f"attempt {len(np.flatnonzero(kinds == 'attempt'))}: {solitons} soliton(s) left")
    return figure


def keys(data: RunData, links: tuple[str, ...], settings: Callable[[str], LinkSettings]) -> Figure:
    """Error rates of each intensity and rates of bits in time, after the publication's Fig. 4."""
    from matplotlib.figure import Figure

    time = (data["time (s)"] - data["time (s)"][0] + data["seconds"][0]) / 60.0
    figure = Figure(figsize=(4.6 * len(links) + 0.6, 6.4), layout="constrained")
    axes = figure.subplots(2, len(links), squeeze=False, sharex=True)
    names = ("signal", "decoy", "weak decoy")
    for column, n in enumerate(links):
        link, blocks = settings(n), decoy_rates.rows_of(data, n)
        sifted, wrong = blocks[:, decoy_rates.SIFTED], blocks[:, decoy_rates.WRONG]
        upper, lower = axes[0][column], axes[1][column]
        for level, name in enumerate(names):
            share = wrong[:, level] / np.maximum(sifted[:, level], 1)
            error = np.sqrt(share * (1 - share) / np.maximum(sifted[:, level], 1))
            upper.errorbar(
                time, 100 * share, 100 * error, fmt="os^"[level], ms=3, lw=0.8,
                color=PALETTE[level], label=f"{name}, {link.intensities[level]:g} photons",
            )  # fmt: skip
        upper.set(ylabel="QBER (%)", yscale="log", title=f"TR{n}")
        upper.set_ylim(1.0, 100.0)
        upper.legend(fontsize=8, loc="upper right")
        seconds = data["seconds"]
        raw = blocks[:, decoy_rates.CLICKS].sum(axis=1) / seconds
        secret = [decoy_rates.secret_rate(block, link) for block in blocks]
        rates = {"raw": raw, "sifted": sifted[:, 0] / seconds, "secret": np.array(secret)}
        for number, (name, rate) in enumerate(rates.items()):
            mean = f"{np.mean(rate) / 1e3:.1f} kbit/s"
            lower.plot(time, rate / 1e3, "os^"[number], ms=3, color=PALETTE[number + 3],
                       label=f"{name}, mean {mean}")  # fmt: skip
        lower.set(xlabel="time (min)", ylabel="rate (kbit/s)", yscale="log")
        top = max(float(raw.max()) / 1e3, 1e-3)
        lower.set_ylim(max(min(secret) / 1e3, top / 1e4) / 3, 6 * top)
        lower.legend(fontsize=8, loc="upper right")
    return figure


def spectrum(data: RunData, spacing: float) -> Figure:
    """Levels of the comb against wavelength, with the envelope that was fitted."""
    from matplotlib.figure import Figure

    from procedures.soliton_spectrum import SPEED_OF_LIGHT, find_lines

    row = len(data) - 1
    wavelength, level = data.trace("wavelength (nm)", row), data.trace("level (dBm)", row)
    comb = find_lines(wavelength, level, float(data["pump (nm)"][row]), spacing)
    figure = Figure(figsize=(8.0, 4.2), layout="constrained")
    axes = figure.subplots()
    shown = level > -150.0
    axes.plot(wavelength[shown], level[shown], lw=0.4, color="#777777", label="spectrum")
    at = SPEED_OF_LIGHT / comb.frequency * 1e-3
    axes.plot(at, comb.level, ".", ms=3, color=PALETTE[0], label="lines")
    if "fwhm" in data.results:
        fwhm = data.results["fwhm"][0]
        centre = np.average(comb.frequency, weights=10 ** (comb.level / 10.0))
        width = fwhm / (2.0 * np.arccosh(np.sqrt(2.0)))
        peak = np.median(comb.level + 20 * np.log10(np.cosh((comb.frequency - centre) / width)))
        curve = peak - 20.0 * np.log10(np.cosh((comb.frequency - centre) / width))
        axes.plot(at, curve, lw=1.2, color=PALETTE[3], label=f"sech², {fwhm:.2f} THz wide")
    axes.set(xlabel="wavelength (nm)", ylabel="level at the analyser (dBm)")
    axes.set_ylim(-85.0, level.max() + 12.0)
    axes.legend(fontsize=8, loc="upper right")
    return figure


def crosstalk(data: RunData) -> Figure:
    """Spectra behind the channels, and how much of each band comes out of each channel."""
    from matplotlib.figure import Figure

    from procedures.soliton_light import SPEED_OF_LIGHT

    figure = Figure(figsize=(9.6, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1))
    ports = np.asarray(data["port"]).tolist()
    for row, port in enumerate(ports[: len(set(ports))]):
        frequency = SPEED_OF_LIGHT / data.trace("wavelength (nm)", row) * 1e-3
        level = np.maximum(data.trace("level (dBm)", row), -90.0)
        if row:
            color = PALETTE[(row - 1) % len(PALETTE)]
            left.plot(frequency, level, lw=0.9, color=color, label=str(port))
    left.set(xlabel="frequency (THz)", ylabel="level (dBm)")
    left.set_ylim(-90.0, None)
    left.legend(fontsize=8, ncols=5, loc="upper center")
    low, high = left.get_ylim()
    left.set_ylim(low, high + 12.0)
    if "crosstalk_db" in data.derived:
        table = data.derived["crosstalk_db"]
        image = right.imshow(table, cmap="cividis", vmin=-60.0, vmax=0.0)
        names = [f"CH{n + 1}" for n in range(len(table))]
        right.set_xticks(range(len(table)), names)
        right.set_yticks(range(len(table)), names)
        right.set(xlabel="band", ylabel="comes out of")
        for (i, j), decibel in np.ndenumerate(table):
            dark = decibel < -30.0
            right.text(j, i, f"{decibel:.0f}", ha="center", va="center", fontsize=8,
                       color="white" if dark else "black")  # fmt: skip
        figure.colorbar(image, ax=right, label="crosstalk (dB)")
    return figure


def stability(data: RunData) -> Figure:
    """Comb power and pump offset in time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(data["held (h)"], 1e6 * data["comb (W)"], ".", ms=3, color=PALETTE[0])
    upper.set(ylabel="comb power (µW)")
    upper.set_ylim(0.0, 1.15e6 * float(np.max(data["comb (W)"])))
    lower.plot(data["held (h)"], data["pump offset (MHz)"], ".", ms=3, color=PALETTE[1])
    lower.set(xlabel="time held (h)", ylabel="pump offset, to the red (MHz)")
    return figure
