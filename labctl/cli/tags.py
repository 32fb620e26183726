"""`labctl tags info`: what is in files of time tags, and in the tags of runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labctl.cli.arguments import print_json
from labctl.cli.tagsources import NEVER, Stream, refusing, streams


def info(arguments: Any) -> int:
    with refusing():
        found = streams(arguments)
        documents = [_survey(stream) for stream in found]
    if arguments.json:
        print_json(documents)
        return 0
    for number, document in enumerate(documents):
        if number:
            print()
        _print_survey(document, arguments.header)
    return 0


def _survey(stream: Stream) -> dict[str, Any]:
    """Count everything in a stream, in bounded memory."""
    source = stream.open()
    counts = np.zeros(256, np.int64)
    last = np.full(256, NEVER)
    first_time, end, syncs, markers, disorder = None, 0, 0, 0, 0
    for piece in source.pieces():
        markers += len(piece.markers)
        syncs += len(piece.sync) if source.about.mode == "T2" else 0
        if not piece.times.size:
            continue
        first_time = int(piece.times[0]) if first_time is None else first_time
        end = max(end, int(piece.times.max()))
        counts += np.bincount(piece.channels, minlength=256)
        for n in np.unique(piece.channels).tolist():
            times = piece.times[piece.channels == n]
            disorder += int(np.count_nonzero(np.diff(times, prepend=last[n]) < 0))
            last[n] = times[-1]
    span = (end - first_time) * 1e-12 if first_time is not None else 0.0
    channels = {
        int(n): {"tags": int(counts[n]), "rate": counts[n] / span if span else None}
        for n in np.flatnonzero(counts)
    }
    about = source.about
    warnings = list(source.warnings)
    if disorder:
        warnings.append(f"not in order of time: {disorder} times a channel jumps back")
    return {
        "name": stream.name, "file": str(stream.path), "format": about.format, "mode": about.mode,
        "tags": int(counts.sum()), "channels": channels, "span": span,
        "first": first_time, "last": end if first_time is not None else None,
        "resolution": about.resolution, "sync_period": about.sync_period or None,
        "sync_events": syncs, "markers": markers, "other_records": dict(source.tally),
        "in_order": not disorder, "warnings": warnings,
        "header": {name: _plain(value) for name, value in about.header.items()},
    }  # fmt: skip


def _plain(value: Any) -> Any:
    return f"{len(value)} bytes" if isinstance(value, bytes) else value


def _print_survey(document: dict[str, Any], header: bool) -> None:
    from labctl.cli.looking import _table

    print(f"{document['file']}: {document['format']}, {document['mode']}")
    parts = [f"{document['tags']:,} tags in {document['span']:.6g} s"]
    if not math.isnan(document["resolution"]):
        parts.append(f"resolution {document['resolution']:g} ps")
    if document["sync_period"]:
        parts.append(f"sync every {document['sync_period']:g} ps")
    for what in ("sync_events", "markers"):
        if document[what]:
            parts.append(f"{document[what]:,} {what.replace('_', ' ')}")
    parts += [f"{count:,} {what}" for what, count in document["other_records"].items() if count]
    print(", ".join(parts) + "\n")
    rows = [
        [str(n), f"{of['tags']:,}", f"{of['rate']:,.6g}" if of["rate"] else ""]
        for n, of in document["channels"].items()
    ]
    _table("", ["channel", "tags", "rate (1/s)"], rows)
    if header:
        _table("header", ["name", "value"], [[n, str(v)] for n, v in document["header"].items()])
    for warning in document["warnings"]:
        print(f"WARNING: {warning}")
