"""Figures of the entanglement network, drawn from stored data alone.

Colours are those of Okabe and Ito, which stay apart for colour-blind eyes; markers repeat them.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from procedures.figures import COLOURS, GREY, new_figure
from procedures.network_plan import (
    INCONSISTENT,
    LINKS,
    TABLE_2_TOTAL,
    USERS,
    parse_delays,
    parse_pairs,
)
from procedures.network_plan import pair_name as named
from procedures.network_rates import link_rates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from labctl.procedure import RunData

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SEVEN = (*COLOURS, "#000000")
LIMIT_QBER = 9.549  # %, above which there is no key at f = 1.2


def laser_lock(data: RunData) -> Figure:
    """Deviations of both lasers over time, and their distribution."""
    figure = new_figure(10, 5)
    over, beside = figure.subplots(1, 2, width_ratios=(3, 1), sharey=True)
    time = data["time (s)"]
    for n in (1, 2):
        deviation = data[f"deviation {n} (MHz)"]
        rms, error = _result(data, f"rms_{n}")
        label = f"pump {n}: {rms:.2f} ± {error:.2f} MHz rms"
        style = {"color": SEVEN[n - 1], "alpha": 0.9}
        over.plot(time, deviation, marker=MARKERS[n - 1], markersize=2.5, linewidth=0.6,
                  label=label, **style)  # fmt: skip
        beside.hist(
            deviation, bins=30, orientation="horizontal", histtype="step", linewidth=1.5, **style
        )
    for axes in (over, beside):
        for limit in (-1.0, 1.0):
            axes.axhline(limit, color="0.4", linewidth=0.8, linestyle="--")
    over.set(xlabel="time (s)", ylabel="wavemeter reading less set point (MHz)",
             title="Pump lasers held by the wavemeter; dashed: ±1 MHz (publication)")  # fmt: skip
    beside.set(xlabel="readings")
    over.legend(fontsize=9, loc="upper left")
    _grids(over, beside)
    return figure


def rates(data: RunData) -> Figure:
    """Clicks, coincidences and their ratio to accidental ones over power; one delay histogram."""
    figure = new_figure(11, 8.6)
    ((singles, pairs), (ratio, inset)) = figure.subplots(2, 2)
    names = np.asarray(data["pair"])
    found = data.derived["rates"]
    for place, pair in enumerate(parse_pairs(data.parameters["pairs"])):
        rows = np.flatnonzero(names == named(pair))
        rows = rows[np.argsort(data["power (mW)"][rows])]
        power, style = data["power (mW)"][rows], _style(place)
        user, channel = ("A", pair[0]) if pair[0] != 38 else ("B", pair[1])
        clicks, seconds = data[f"clicks {user}"][rows], data["dwell (s)"][rows]
        singles.errorbar(power, 1e-3 * clicks / seconds, 1e-3 * np.sqrt(clicks) / seconds,
                         label=f"C{channel}", **style)  # fmt: skip
        pairs.errorbar(power, found[rows, 0], found[rows, 1], label=named(pair), **style)
        ratio.errorbar(power, found[rows, 2], found[rows, 3], label=named(pair), **style)
        counts = data.trace("delay histogram", int(rows[-1]))
        delay = (np.arange(len(counts)) + 0.5) * 60.0 / len(counts) - 30.0
        inset.step(delay, counts / seconds[-1], where="mid", color=SEVEN[place], linewidth=1,
                   label=named(pair))  # fmt: skip
        top = power[-1]
    singles.set(ylabel="clicks (kHz)", title="a  One channel alone")
    pairs.set(ylabel="coincidences (1/s), all three peaks", title="b  Pairs")
    ratio.set(ylabel="coincidences / accidental ones", title="c  CAR")
    inset.set(xlabel="delay (ns)", ylabel="pairs per s and bin (0.2 ns)",
              title=f"Three peaks of two interferometers, {top:.2g} mW")  # fmt: skip
    for axes in (singles, pairs, ratio):
        axes.set(xlabel="pump power (mW)", xscale="log", yscale="log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
    for axes in (singles, pairs, ratio, inset):
        axes.legend(fontsize=9)
    _grids(singles, pairs, ratio, inset)
    return figure


def fringe(data: RunData) -> Figure:
    """Coincidences and clicks over the phase of one interferometer."""
    figure = new_figure(8.5, 7)
    over, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    alpha, seconds = data["alpha (rad)"], data["dwell (s)"]
    grid = np.linspace(0.0, 2.0 * math.pi, 300)
    value, error = _result(data, "visibility")
    for place, (kind, name) in enumerate((("same", "equal"), ("different", "different"))):
        counts = data[kind]
        over.errorbar(alpha / math.pi, counts / seconds, np.sqrt(np.maximum(counts, 1)) / seconds,
                      label=f"{name} outcomes", **_style(place))  # fmt: skip
        mean, visibility, offset = data.derived["fringes"][place]
        wave = mean * (1 + visibility * np.cos(grid - offset)) / seconds.mean()
        over.plot(grid / math.pi, wave, color=SEVEN[place], linewidth=1.2)
    for place, user in enumerate("AB"):
        clicks = data[f"clicks {user}"]
        below.errorbar(alpha / math.pi, 1e-3 * clicks / seconds, 1e-3 * np.sqrt(clicks) / seconds,
                       label=f"user {user}", **_style(place + 2))  # fmt: skip
    beta = data.parameters["beta"] / math.pi
    over.set(ylabel="coincidences (1/s)",
             title=f"{data.parameters['pair']}, β = {beta:g} π: V = {100 * value:.2f} ± "
             f"{100 * error:.2f} %")  # fmt: skip
    over.set_ylim(0.0, 1.16 * over.get_ylim()[1])
    below.set(xlabel="α / π", ylabel="clicks (kHz)")
    low, high = below.get_ylim()
    below.set_ylim(low - 0.3 * (high - low), high + 0.6 * (high - low))
    over.legend(fontsize=9, loc="upper center", ncols=2)
    below.legend(fontsize=9, loc="upper right", ncols=2)
    _grids(over, below)
    return figure


def visibilities(data: RunData) -> Figure:
    """Visibility of each pair beside the publication's."""
    table = data.derived["table"]
    figure = new_figure(11, 7.4)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    sums = table[:, 0] + table[:, 1]
    order = np.lexsort((table[:, 1] - table[:, 0], sums))
    places = np.arange(len(order))
    axes.errorbar(places + 0.12, 100 * table[order, 4], 100 * table[order, 5], fmt="s",
                  color=GREY, markersize=5, capsize=2, label="publication (Table 1)")  # fmt: skip
    for kind, (total, label) in enumerate(
        ((68, "pump 1 twice"), (80, "both pumps"), (92, "pump 2 twice"))
    ):
        here = sums[order] == total
        mine = 100 * table[order][here]
        axes.errorbar(places[here] - 0.12, mine[:, 2], mine[:, 3], label=f"here, {label}",
                      **_style(kind))  # fmt: skip
        below.errorbar(places[here], mine[:, 6] / 100, mine[:, 7] / 100, **_style(kind))
    axes.axhline(80.90, color="0.4", linewidth=0.9, linestyle="--")
    axes.text(places[-1] + 0.4, 81.1, "no key below", ha="right", fontsize=8, color="0.3")
    below.set_xticks(places, [f"C{a:.0f}\nC{b:.0f}" for a, b in table[order, :2]], fontsize=8)
    below.set(ylabel="pairs (1/s), middle peak", yscale="log")
    axes.set(ylabel="raw visibility (%)",
             title=f"Two-photon interference at {data.parameters['power']:g} mW")  # fmt: skip
    axes.legend(fontsize=9, ncols=4, loc="lower center")
    axes.set_ylim(bottom=min(76.0, axes.get_ylim()[0]))
    _grids(axes, below)
    return figure


def keys(data: RunData) -> Figure:
    """Table 2: sifted bits, error rates and keys of all links, measured and printed."""
    figure = new_figure(12.5, 5.2)
    table, printed, again = (data.derived[name] for name in ("links", "printed", "recomputed"))
    places = np.arange(len(LINKS))
    names = [link.name.replace(":", "\n") for link in LINKS]
    sifted, wrong, key = figure.subplots(1, 3, width_ratios=(1, 1, 1.5))
    for axes, column, theirs, factor, label in (
        (sifted, 0, printed[:, 0], 1, "sifted bits (1/s)"),
        (wrong, 2, printed[:, 2], 100, "error rate (%)"),
    ):
        axes.errorbar(places - 0.15, factor * table[:, column], factor * table[:, column + 1],
                      label="here", **_style(0))  # fmt: skip
        axes.plot(places + 0.15, factor * theirs, "s", color=SEVEN[1], label="publication")
        axes.set(ylabel=label)
    sifted.set_yscale("log")
    wrong.axhline(LIMIT_QBER, color="0.4", linewidth=0.9, linestyle="--")
    wrong.text(0, LIMIT_QBER + 0.15, "no key above", fontsize=8, color="0.3")
    wrong.set_ylim(0, 11)
    key.errorbar(places - 0.24, table[:, 4], table[:, 5], label="here, asymptotic", **_style(0))
    if "key_rate_total" in data.results:
        lengths = [data.results[f"key_rate_{link.name}"][0] for link in LINKS]
        key.plot(places - 0.08, lengths, "X", color=SEVEN[2], label="here, really distilled")
    key.plot(places + 0.08, printed[:, 3], "s", color=SEVEN[1], label="publication, as printed")
    key.plot(places + 0.24, again[:, 1], "D", color=SEVEN[4], markerfacecolor="none",
             label="publication, from its own columns")  # fmt: skip
    at = [link.name for link in LINKS].index(INCONSISTENT)
    key.annotate("does not follow from\nits own columns", (at + 0.08, printed[at, 3]),
                 (at - 1.2, 1.9 * printed[at, 3]), fontsize=8, ha="center",
                 arrowprops={"arrowstyle": "-", "color": "0.3"})  # fmt: skip
    total, error = _result(data, "secret_total")
    key.set(ylabel="key (bit/s)", yscale="log", ylim=(5, 3000),
            title=f"total: here {total:.0f} ± {error:.0f}; printed {TABLE_2_TOTAL:.0f}, "
            f"from its columns {again[:, 1].sum():.0f}")  # fmt: skip
    key.title.set_fontsize(10)
    for axes, corner in ((sifted, "upper right"), (wrong, "upper right"), (key, "lower left")):
        axes.set_xticks(places, names, fontsize=8)
        axes.legend(fontsize=8, loc=corner)
    _grids(sifted, wrong, key)
    return figure


def histograms(data: RunData) -> Figure:
    """Delays between the clicks of each two users (the publication's Fig. 4c)."""
    pairs = list(dict.fromkeys(link.users for link in LINKS))
    counts = data.derived["histograms"]
    seconds = float(data["dwell (s)"].sum())
    figure = new_figure(12, 6.6)
    for place, (axes, users) in enumerate(zip(figure.subplots(2, 3).flat, pairs, strict=True)):
        width = 160.0 / counts.shape[1]
        delay = (np.arange(counts.shape[1]) + 0.5) * width - 80.0
        axes.step(delay, counts[place] / seconds, where="mid", color=SEVEN[0], linewidth=0.8)
        for link in (link for link in LINKS if link.users == users):
            first, second = link.channels
            middle = _delay(data, second) - _delay(data, first)
            half = data.parameters["window"] / 2
            axes.axvspan(middle - half, middle + half, color=SEVEN[1], alpha=0.35, linewidth=0)
            level = counts[place].max() / seconds
            axes.text(middle, 1.03 * level, f"C{first}-C{second}", ha="center", fontsize=8)
        axes.set_ylim(0, 1.15 * counts[place].max() / seconds)
        axes.set_title(f"{USERS[users[0]]} and {USERS[users[1]]}", fontsize=10)
        axes.set(xlabel="delay (ns)", ylabel=f"pairs per s and {width:.1f} ns")
        _grids(axes)
    figure.suptitle("Delays between clicks; shaded: coincidence windows", fontsize=11)
    return figure


def optimum(data: RunData) -> Figure:
    """Error rates and keys over the pump power, with both optima."""
    figure = new_figure(12, 5.4)
    wrong, key = figure.subplots(1, 2)
    power = data["power (mW)"]
    model = data.derived["model"]
    grid, count = model[0], len(LINKS)
    for place, link in enumerate(LINKS):
        sifted, errors = data[f"sifted {link.name}"], data[f"errors {link.name}"]
        rate = errors / np.maximum(sifted, 1)
        spread = np.sqrt(np.maximum(rate * (1 - rate), 1 / np.maximum(sifted, 1)) / sifted)
        style = _style(place)
        wrong.errorbar(power, 100 * rate, 100 * spread, label=link.name, **style)
        wrong.plot(grid, 100 * model[1 + 2 * count + place], color=SEVEN[place], linewidth=0.8)
        counts = zip(sifted.tolist(), errors.tolist(), data["dwell (s)"], strict=True)
        secret = np.array([link_rates(*one, data.parameters["efficiency"])[4:6] for one in counts])
        some = secret[:, 0] > 0
        key.errorbar(power[some], secret[some, 0], secret[some, 1], label=link.name, **style)
        key.plot(grid, model[1 + place], color=SEVEN[place], linewidth=0.8)
    key.plot(power, data["secret (bit/s)"], "*", color="0.3", markersize=8, label="all links")
    key.plot(grid, model[1 : 1 + count].sum(axis=0), color="0.3", linewidth=1.2)
    wrong.axhline(LIMIT_QBER, color="0.4", linewidth=0.9, linestyle="--")
    wrong.text(0.02, LIMIT_QBER + 0.1, "no key above 9.55 %", fontsize=8, color="0.3",
               transform=wrong.get_yaxis_transform())  # fmt: skip
    wrong.set(ylabel="error rate (%)", ylim=(0, 14), title="Lines: one model for all powers")
    (fair, fair_error), (total, total_error) = (
        _result(data, f"optimum_{name}") for name in ("fair", "total")
    )
    for place, colour in ((fair, "0.2"), (total, "0.5")):
        key.axvline(place, color=colour, linewidth=0.9, linestyle=":")
    key.set(ylabel="asymptotic key (bit/s)", yscale="log", ylim=(1, None),
            title=f"best for the poorest link: {fair:.3f} ± {fair_error:.3f} mW, for the sum: "
            f"{total:.3f} ± {total_error:.3f} mW")  # fmt: skip
    key.title.set_fontsize(9.5)
    high = 1.08 * float(power.max())
    for axes in (wrong, key):
        axes.set(xlabel="pump power (mW)", xlim=(0, high))
    wrong.legend(fontsize=8, ncols=2, loc="lower right")
    key.legend(fontsize=8, ncols=2, loc="lower right")
    _grids(wrong, key)
    return figure


def _style(place: int) -> dict[str, Any]:
    return {
        "fmt": MARKERS[place % len(MARKERS)], "color": SEVEN[place % len(SEVEN)],
        "markersize": 5, "capsize": 2, "linewidth": 1,
    }  # fmt: skip


def _result(data: RunData, name: str) -> tuple[float, float]:
    value, error, _ = data.results[name]
    return float(value), float(error or 0.0)


def _delay(data: RunData, channel: int) -> float:
    return 1e-3 * parse_delays(data.parameters["delays"]).get(channel, 0)


def _grids(*all_axes: Axes) -> None:
    for axes in all_axes:
        axes.grid(linewidth=0.4, alpha=0.6)
