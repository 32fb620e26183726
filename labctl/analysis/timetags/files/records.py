"""Reading records of fixed length from a file, so many at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


def read_records(
    path: Path,
    offset: int,
    kind: DTypeLike,
    most: int,
    at_once: int,
    warnings: list[str],
    name: str = "record",
) -> Iterator[tuple[int, NDArray[Any]]]:
    """Yield the index of a record, and it with those behind it, in an array that is used again.

    Args:
        path: the file.
        offset: byte at which the first record begins.
        kind: of a record.
        most: how many there should be; a warning is added if they are not.
        at_once: how many are read together.
        warnings: of the file.
        name: of a record in that warning.
    """
    kind = np.dtype(kind)
    buffer = np.empty(min(most, at_once), kind)
    done = 0
    with path.open("rb", buffering=0) as file:
        file.seek(offset)
        while done < most:
            records = buffer[: most - done]
            got = file.readinto(records.view(np.uint8).data) or 0
            records = records[: got // kind.itemsize]
            if not len(records):
                warnings.append(f"became shorter while it was read, at {name} {done}")
                return
            if len(records) * kind.itemsize != got:  # the rest of the last one is read again
                file.seek(offset + kind.itemsize * (done + len(records)))
            yield done, records
            done += len(records)
