"""`labctl tags convert`: time tags into PicoQuant PTU, an Arrow stream or CSV."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.cli.arguments import print_json
from labctl.cli.tagsources import CHANNEL, TIME, Stream, ordered, refusing, streams, the_only
from labctl.errors import RequestError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def convert(arguments: Any) -> int:
    from labctl.run.exported import in_one_step, output_file

    output = Path(arguments.output)
    writers = {".ptu": _to_ptu, ".arrows": _to_arrow, ".csv": _to_csv}
    writer = writers.get(output.suffix.lower())
    if writer is None:
        raise RequestError(f"{output}: write to a file that ends in {', '.join(writers)}")
    output_file(output)
    with refusing():
        found = streams(arguments)
        stream = the_only(found)
        if stream.path.exists() and output.exists() and output.samefile(stream.path):
            raise RequestError(f"{output}: is the file that is read; choose another -o")
        tally: dict[str, Any] = {}
        in_one_step(output, lambda part: tally.update(writer(stream, part, arguments.sort)))
    document = {"from": str(stream.path), "to": str(output), **tally}
    if arguments.json:
        print_json(document)
        return 0
    print(f"{output}: {document['tags']:,} tags, {document['kind']}")
    for note in document["warnings"]:
        print(f"WARNING: {note}")
    return 0


def _to_ptu(stream: Stream, path: Path, sort: bool) -> dict[str, Any]:
    from labctl.analysis.timetags.files import PtuWriter, TagFileError

    source = stream.open()
    about, tags, notes = source.about, 0, []
    t3 = about.mode == "T3" and about.sync_period > 0 and not math.isnan(about.resolution)
    if about.mode == "T3" and not t3:
        notes.append("the times of all tags are written, but not what is known of their pulses")
    comment = {"File_Comment": f"from {stream.path.name}: {about.format}"}
    if not math.isfinite(about.resolution) or (about.mode == "T3" and not t3):
        resolution = 1.0
    else:
        resolution = about.resolution
    try:
        with PtuWriter(
            path, resolution=resolution, sync_period=about.sync_period if t3 else 0.0,
            header=comment,
        ) as writer:  # fmt: skip
            for piece in ordered(source.pieces(), sort, by_pulse=t3):
                tags += len(piece.times)
                writer.append(
                    piece.channels, () if t3 else piece.times,
                    sync=piece.sync if t3 or about.mode == "T2" else (),
                    dtimes=piece.dtimes if t3 else (), markers=piece.markers,
                )  # fmt: skip
    except TagFileError as error:
        text = str(error).replace(str(path), str(stream.path))
        if "not in order" in text or "begin before" in text:
            text += " (--sort sorts them)"
        raise RequestError(text) from None
    kind = "PicoQuant PTU " + ("T3" if t3 else f"T2 in units of {resolution:g} ps")
    return {"tags": tags, "kind": kind, "warnings": [*source.warnings, *notes]}


def _to_arrow(stream: Stream, path: Path, sort: bool) -> dict[str, Any]:
    from labctl.arrays import ArrayStream

    source = stream.open()
    fields = {CHANNEL: "uint8", TIME: "int64"}
    paired = source.about.mode == "T3"
    if paired:
        fields["sync"] = "int64"
    with_dtimes, tags, notes = False, 0, []
    out: ArrayStream | None = None
    try:
        for piece in ordered(source.pieces(), sort, by_pulse=False):
            if out is None:
                with_dtimes = bool(piece.dtimes.size)
                out = ArrayStream(path, fields | ({"dtime": "uint16"} if with_dtimes else {}))
            columns: list[NDArray[Any]] = [piece.channels, piece.times]
            columns += [piece.sync] if paired else []
            columns += [piece.dtimes] if with_dtimes else []
            out.append(*columns)
            tags += len(piece.times)
            if piece.markers.size or (not paired and piece.sync.size):
                notes = ["sync events and markers are left out"]
        if out is None:
            out = ArrayStream(path, fields)
    finally:
        if out is not None:
            out.close()
    return {"tags": tags, "kind": "Arrow stream", "warnings": [*source.warnings, *notes]}


def _to_csv(stream: Stream, path: Path, sort: bool) -> dict[str, Any]:
    source = stream.open()
    paired, tags, notes = source.about.mode == "T3", 0, []
    with path.open("w", encoding="ascii", newline="") as file:
        for piece in ordered(source.pieces(), sort, by_pulse=False):
            columns: list[NDArray[Any]] = [piece.channels, piece.times]
            names = [CHANNEL, TIME]
            for name, values in (("sync", piece.sync), ("dtime", piece.dtimes)):
                if paired and values.size:
                    columns.append(values)
                    names.append(name)
            if not tags:
                file.write(",".join(names) + "\n")
            lines = zip(*(column.tolist() for column in columns), strict=True)
            file.writelines(",".join(map(str, line)) + "\n" for line in lines)
            tags += len(piece.times)
            if piece.markers.size or (not paired and piece.sync.size):
                notes = ["sync events and markers are left out"]
    return {"tags": tags, "kind": "CSV", "warnings": [*source.warnings, *notes]}
