"""Files of time tags: PicoQuant PTU, ID900 streams, Becker & Hickl SPC, and our own streams."""

from __future__ import annotations

from labctl.analysis.timetags.files.model import About, Piece, TagFile, TagFileError
from labctl.analysis.timetags.files.reading import open_tags, read_tags
from labctl.analysis.timetags.files.writing import PtuWriter, write_ptu

__all__ = [
    "About",
    "Piece",
    "PtuWriter",
    "TagFile",
    "TagFileError",
    "open_tags",
    "read_tags",
    "write_ptu",
]
