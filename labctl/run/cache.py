"""`rows.arrow`: the rows of a finished run as one memory-mapped Arrow file.

A cache that is never believed blindly. A checksummed note in the file's metadata says which
`run.jsonl` (size, time, CRC-32) it was made from and what its own bytes sum to; whatever does not
match is built again from the journal.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from labctl.jsonline import decode, encode
from labctl.run.columns import arrow_type, kind_of, to_arrow
from labctl.run.rows import CachedRows, JournalRows

FORMAT = 2
#: Up to this size the whole journal is summed at each opening; beyond, only if its time changed.
_SUM_ALWAYS = 1 << 24
_PIECE = 1 << 20


@dataclass
class Cache:
    """What one `rows.arrow` holds."""

    rows: CachedRows
    events: list[dict[str, Any]]
    rows_before: list[int]
    damage: list[str]
    size: int  #: bytes of run.jsonl that went into it


def write(
    folder: Path,
    rows: JournalRows,
    events: list[dict[str, Any]],
    rows_before: list[int],
    stat: os.stat_result,
) -> bool:
    """Write the cache of a journal read to its end; returns False where that is impossible.

    `stat` is that of run.jsonl, taken before it was read.
    """
    import pyarrow as pa

    kinds = {name: kind_of(rows.values(name)) for name in rows.names()}
    columns = [pa.array(rows.times())]
    columns += [to_arrow(rows.values(name), kind) for name, (kind, _) in kinds.items()]
    cites = {what: by_row for what, by_row in _cited(rows).items() if by_row}
    for by_row in cites.values():
        columns.append(to_arrow([by_row.get(i) for i in range(rows.count())], "json"))
    batch = pa.RecordBatch.from_arrays(columns, schema=_schema(kinds, cites))
    body = memoryview(batch.serialize())
    note = encode(
        {
            "format": FORMAT,
            "size": stat.st_size,
            "modified": stat.st_mtime_ns,
            "sum": _sum(folder / "run.jsonl", stat.st_size),
            "kinds": kinds,
            "cites": list(cites),
            "events": events,
            "rows_before": rows_before,
            "damage": [str(damage) for damage in rows.follower.damage],
            "body": [len(body), crc32(body)],
        }
    )
    schema = batch.schema.with_metadata({"labctl": note})
    name = ""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
            name = file.name
            with pa.ipc.new_file(file, schema) as writer:
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
        Path(name).chmod(stat.st_mode & 0o777)
        Path(name).replace(folder / "rows.arrow")
    except OSError:  # read-only folder, full disk, or mapped by a reader on Windows: do without
        with contextlib.suppress(OSError):
            Path(name).unlink()
        return False
    return True


def read(folder: Path) -> Cache | None:
    """Return the cache if it is whole and made from the run.jsonl that is there now."""
    path = folder / "rows.arrow"
    if not path.exists():
        return None
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file:
            data = file.read_buffer()
        head = 16 + int.from_bytes(data[12:16].to_pybytes(), "little")
        found = pa.ipc.read_schema(data.slice(8, head - 8)).metadata or {}
        note = decode(found.get(b"labctl", b""))
        if note is None or note["format"] != FORMAT or not _same(folder / "run.jsonl", note):
            return None
        size, crc = note["body"]
        body = data.slice(head, size)
        if len(body) != size or crc32(body) != crc:
            return None
        kinds = {name: (kind, absent) for name, (kind, absent) in note["kinds"].items()}
        schema = _schema(kinds, note["cites"])
        batch = pa.ipc.read_record_batch(pa.ipc.read_message(body), schema)
        batch.validate()
    except (OSError, ValueError, KeyError, TypeError, IndexError, pa.ArrowException):
        return None
    return Cache(
        CachedRows(batch, kinds, note["cites"]),
        note["events"],
        note["rows_before"],
        note["damage"],
        note["size"],
    )


def _cited(rows: JournalRows) -> dict[str, dict[int, dict[str, Any]]]:
    return {"arrays": rows.cited, "tags": rows.tagged}


def _schema(kinds: dict[str, tuple[str, bool]], cites: Iterable[str]) -> Any:
    import pyarrow as pa

    fields = [pa.field("t (s)", pa.float64())]
    fields += [
        pa.field(name, arrow_type(kind), metadata={"kind": kind})
        for name, (kind, _) in kinds.items()
    ]
    fields += [pa.field(what, arrow_type("json"), metadata={"kind": "json"}) for what in cites]
    return pa.schema(fields)


def _same(journal: Path, note: dict[str, Any]) -> bool:
    stat = journal.stat()
    if stat.st_size != note["size"]:
        return False
    if stat.st_size > _SUM_ALWAYS and stat.st_mtime_ns == note["modified"]:
        return True
    return bool(_sum(journal, stat.st_size) == note["sum"])


def _sum(path: Path, size: int) -> int:
    crc = 0
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(_PIECE, size))):
            crc = crc32(piece, crc)
            size -= len(piece)
    return crc
