"""`labctl tags correlate`: the histogram of delays between two channels, and its plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.cli.arguments import print_json
from labctl.cli.tagsources import (
    NEVER,
    SYNC,
    Stream,
    channel,
    in_order,
    label,
    ordered,
    picoseconds,
    refusing,
    streams,
)
from labctl.errors import RequestError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from labctl.analysis.timetags.files.model import Piece

    Times = NDArray[np.int64]

#: How far a tag may stand behind a later one of another channel; a millisecond in ps.
_SLACK = 10**9


def correlate(arguments: Any) -> int:
    width = picoseconds(arguments.bin, "--bin")
    reach = picoseconds(arguments.max_delay, "--max-delay")
    window = picoseconds(arguments.window, "--window")
    for option, value in (("--bin", width), ("--max-delay", reach), ("--window", window)):
        if value <= 0:
            raise RequestError(f"{option} must be longer than 0")
    if width > 2 * reach:
        raise RequestError(f"--bin {width} ps is wider than the whole histogram, {2 * reach} ps")
    if window > 2 * reach:
        raise RequestError(f"--window {window} ps is wider than the histogram, {2 * reach} ps")
    output = _output(arguments.output)
    with refusing():
        found = streams(arguments)
        start, stop = _named(arguments, found) or _channels(arguments, found)
        document = _histogram(start, stop, width, reach, arguments.sort)
        if not (document["start"]["tags"] and document["stop"]["tags"]):
            _channels(arguments, found)  # says which there are
        _evaluate(document, window)
    if output:
        from labctl.cli.stored import save

        written = save({"correlation": _figure(document)}, output, f"{output.stem}: correlation")
    if arguments.json:
        print_json(document)
        return 0
    _print_correlation(document)
    if output:
        print(written[0])
    return 0


def _output(name: str | None) -> Path | None:
    from labctl.cli.stored import SUFFIXES
    from labctl.run.exported import output_file

    if not name:
        return None
    output = Path(name)
    if output.suffix.lower() not in SUFFIXES:
        raise RequestError(f"{output}: write to a file that ends in {', '.join(SUFFIXES)}")
    return output_file(output)


_Channel = tuple[Stream, int]


def _named(arguments: Any, found: Sequence[Stream]) -> tuple[_Channel, _Channel] | None:
    """The two channels of one stream, if both are given by number; it need not be read for that."""
    words = (arguments.start or "", arguments.stop or "")
    if len(found) > 1 or not all(word.isdecimal() and int(word) < 256 for word in words):
        return None
    return (found[0], int(words[0])), (found[0], int(words[1]))


def _channels(arguments: Any, found: Sequence[Stream]) -> tuple[_Channel, _Channel]:
    """The two channels to compare: as named, or the only two that there are."""
    start, stop = arguments.start, arguments.stop
    there = []
    for stream in found:
        counts, syncs = np.zeros(256, np.int64), 0
        source = stream.open()
        for piece in source.pieces():
            counts += np.bincount(piece.channels, minlength=256)
            syncs += len(piece.sync) if source.about.mode == "T2" else 0
        there += [(stream, int(n)) for n in np.flatnonzero(counts)]
        there += [(stream, SYNC)] if syncs else []
    several = len(found) > 1
    known = ", ".join(f"{s.name}:{label(n)}" if several else label(n) for s, n in there)
    known = known or "none: there are no tags"
    if start is None and stop is None and len(there) == 2:
        return there[0], there[1]
    if start is None or stop is None:
        raise RequestError(f"say which channels with --start and --stop; there are {known}")
    return channel(start, there, known), channel(stop, there, known)


class _Side:
    """Tags of one channel, piece by piece, in order."""

    def __init__(self, stream: Stream, number: int, sort: bool) -> None:
        self.name = f"{stream.path}: channel {label(number)}"
        self.number, self.count, self.first, self.last = number, 0, 0, NEVER
        self.source = stream.open()
        self.pieces = ordered(self.source.pieces(), sort, by_pulse=False)

    def take(self, piece: Piece) -> Times:
        """The times of this channel in a piece."""
        times: Times
        times = piece.sync if self.number == SYNC else piece.times[piece.channels == self.number]
        self.last = in_order(times, self.last, self.count, self.name)
        if times.size and not self.count:
            self.first = int(times[0])
        self.count += len(times)
        return times


def _histogram(
    start: tuple[Stream, int], stop: tuple[Stream, int], width: int, reach: int, sort: bool
) -> dict[str, Any]:
    """Correlate two channels in bounded memory."""
    from labctl.analysis.timetags import CorrelationHistogram

    histogram = CorrelationHistogram(width, reach)
    one, two = _Side(*start, sort), _Side(*stop, sort)
    nothing = np.empty(0, np.int64)
    if start[0] == stop[0]:
        two.source = one.source
        for piece in one.pieces:
            starts, stops = one.take(piece), two.take(piece)
            until = int(piece.times.max(initial=NEVER)) - _SLACK
            silent = until >= max(one.last, two.last)  # both channels, for longer than the slack
            histogram.add(starts, stops, until if silent else None)
    else:
        ended = {one: False, two: False}
        while not all(ended.values()):
            side = min((s for s in ended if not ended[s]), key=lambda s: s.last)
            following = next(side.pieces, None)
            if following is None:
                ended[side] = True
                continue
            times = side.take(following)
            histogram.add(*((times, nothing) if side is one else (nothing, times)))
    counts = histogram.counts.copy()
    if start == stop:  # each tag with itself is no pair
        counts[reach // width] -= one.count
    first, last = min(one.first, two.first), max(one.last, two.last)
    warnings = [
        *one.source.warnings,
        *(two.source.warnings if two.source is not one.source else ()),
    ]
    return {
        "start": {"file": str(start[0].path), "channel": label(start[1]), "tags": one.count},
        "stop": {"file": str(stop[0].path), "channel": label(stop[1]), "tags": two.count},
        "span": (last - first) * 1e-12, "bin_width": width, "max_delay": reach,
        "pairs": int(counts.sum()), "counts": counts.tolist(), "edges": histogram.edges.tolist(),
        "warnings": warnings,
    }  # fmt: skip


def _evaluate(document: dict[str, Any], window: int) -> None:
    """Peak, coincidences around it, and accidental ones from the rates."""
    counts, width = np.array(document["counts"]), document["bin_width"]
    span = document["span"] * 1e12
    rate = document["start"]["tags"] * document["stop"]["tags"] / span if span > 0 else 0.0  # 1/ps
    peak = int(np.argmax(counts))
    centre = document["edges"][peak] + width / 2
    bins = max(1, round(window / width))
    first = max(0, peak - bins // 2)
    around = counts[first : first + bins]
    accidental = rate * width * len(around)
    true = int(around.sum())
    document |= {
        "accidentals_per_bin": rate * width,
        "peak": {"delay": centre, "counts": int(counts[peak])},
        "window": len(around) * width,
        "coincidences": true,
        "accidentals": accidental,
        "car": (true - accidental) / accidental if accidental else None,
        "car_uncertainty": math.sqrt(true) / accidental if accidental else None,
    }


def _print_correlation(document: dict[str, Any]) -> None:
    for name in ("start", "stop"):
        side = document[name]
        print(f"{name:5} {side['file']}, channel {side['channel']}: {side['tags']:,} tags")
    print(
        f"\n{document['pairs']:,} pairs within {_time(document['max_delay'])} in"
        f" {document['span']:.6g} s, bins of {_time(document['bin_width'])}"
    )
    if document["pairs"]:
        print(
            f"peak at {_time(document['peak']['delay'])} (stop - start), "
            f"{document['peak']['counts']:,} in its bin\n{document['coincidences']:,} ± "
            f"{math.sqrt(document['coincidences']):.0f} coincidences in "
            f"{_time(document['window'])} around it, {document['accidentals']:.4g} of them "
            "accidental by the rates"
        )
    if document["pairs"] and document["car"] is not None:
        print(f"CAR {document['car']:.4g} ± {document['car_uncertainty']:.2g}")
    for warning in document["warnings"]:
        print(f"WARNING: {warning}")


def _time(ps: float) -> str:
    for unit, size in (("ms", 1e9), ("µs", 1e6), ("ns", 1e3)):
        if abs(ps) >= size:
            return f"{ps / size:.6g} {unit}"
    return f"{ps:.6g} ps"


def _figure(document: dict[str, Any]) -> Figure:
    """The histogram with its accidental level."""
    from matplotlib.figure import Figure

    from labctl.live import GREY, PALETTE

    unit, size = ("µs", 1e6) if document["max_delay"] >= 2_000_000 else ("ns", 1e3)
    edges = np.array(document["edges"]) / size
    figure = Figure(figsize=(8.0, 4.8), layout="constrained")
    axes = figure.add_subplot()
    axes.stairs(document["counts"], edges, fill=True, color=PALETTE[0], alpha=0.35)
    axes.stairs(document["counts"], edges, color=PALETTE[0], linewidth=1.0)
    level = document["accidentals_per_bin"]
    axes.axhline(level, color=PALETTE[3], linestyle="--", linewidth=1.2,
                 label=f"accidental by the rates: {level:.3g}")  # fmt: skip
    axes.axvline(0.0, color=GREY, linewidth=0.8, zorder=0)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"delay, stop - start ({unit})")
    axes.set_ylabel(f"pairs per {_time(document['bin_width'])}")
    names = [f"{Path(s['file']).name} channel {s['channel']}"
             for s in (document["start"], document["stop"])]  # fmt: skip
    axes.set_title(f"{names[0]}  →  {names[1]}", fontsize=11)
    axes.legend(loc="upper right", frameon=True, framealpha=0.9)
    return figure
