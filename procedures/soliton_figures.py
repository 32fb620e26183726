"""Figures of the soliton comb and of the keys that it carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from labctl.live import PALETTE
from labctl.procedure import RunData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
