"""Opening a file of time tags, whatever it is."""

from __future__ import annotations

from pathlib import Path

from labctl.analysis.timetags.files.model import Source, TagFile, TagFileError, whole
from labctl.analysis.timetags.files.ptu import PtuSource

#: What other files begin with, and what to say of them.
_FOREIGN = {
    b"PQHISTO\0": "a PicoQuant histogram (PHU); it holds no time tags",
    b"PQDATA\0\0": "PicoQuant data of another kind; it holds no time tags",
    b"PQCHECK\0": "a PicoQuant check file; it holds no time tags",
    b"PQRESLT\0": "a PicoQuant result; it holds no time tags",
    b"PicoHarp": "an old PicoHarp file (.pt2, .pt3); convert it to PTU with the vendor's software",
    b"HydraHar": "an old HydraHarp file (.ht2, .ht3); convert it to PTU with the vendor's software",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file; its layout is not known here",
    b"PAR1": "a Parquet file; read it with pandas",
    b"PK\x03\x04": "a ZIP archive; unpack it",
    b"\x1f\x8b": "compressed with gzip; unpack it",
}


def read_tags(
    path: str | Path,
    *,
    partial: bool = False,
    with_index: bool | None = None,
    reference_period: float = 0.0,
) -> TagFile:
    """Read all time tags of a file.

    Args:
        path: PicoQuant PTU (T2 or T3), ID900 `.bin` or `.txt`, Becker & Hickl `.spc` (with the
            `.set` beside it), or an Arrow stream with columns `channel` and `time (ps)`.
        partial: at a damaged record, return what comes before it with a warning.
        with_index: of an ID900 `.bin`: whether times and pulse numbers alternate; None finds out.
        reference_period: ps between reference pulses of an ID900, from which times with pulse
            numbers count.

    Raises:
        TagFileError: this is no such file, or it is damaged; the message says where.
        OSError: it cannot be read.
    """
    path = Path(path)
    source = open_tags(
        path, partial=partial, with_index=with_index, reference_period=reference_period
    )
    return source.whole() if isinstance(source, PtuSource) else whole(path, source)


def open_tags(
    path: str | Path,
    *,
    partial: bool = False,
    with_index: bool | None = None,
    reference_period: float = 0.0,
) -> Source:
    """Open a file as `read_tags` does, to read it piece by piece in bounded memory.

    Raises:
        TagFileError: this is no such file.
        OSError: it cannot be read.
    """
    path = Path(path)
    with path.open("rb") as file:
        head = file.read(8)
    if not head:
        raise TagFileError(f"{path}: is empty")
    if head == b"PQTTTR\0\0":
        return PtuSource(path, partial=partial)
    if head[:6] == b"ARROW1" or head[:4] == b"\xff\xff\xff\xff":
        from labctl.analysis.timetags.files.arrow import ArrowSource

        return ArrowSource(path)
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise TagFileError(f"{path}: is {what}")
    suffix = path.suffix.lower()
    if suffix == ".spc":
        from labctl.analysis.timetags.files.spc import SpcSource

        return SpcSource(path)
    if suffix in (".bin", ".txt"):
        from labctl.analysis.timetags.files import id900

        if suffix == ".txt":
            return id900.Id900TextSource(path, reference_period=reference_period)
        return id900.Id900Source(path, with_index=with_index, reference_period=reference_period)
    if suffix == ".ttbin":
        raise TagFileError(
            f"{path}: Swabian's format is not documented; convert it with TimeTagger.FileReader"
        )
    if suffix == ".ptu":
        raise TagFileError(
            f"{path}: begins with {head!r}, not with b'PQTTTR\\x00\\x00': no PTU file"
        )
    raise TagFileError(
        f"{path}: begins with {head!r} and is no file of time tags known here: PicoQuant PTU, "
        "ID900 .bin or .txt, Becker & Hickl .spc, Arrow stream"
    )
