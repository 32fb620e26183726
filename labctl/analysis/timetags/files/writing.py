"""Writing PicoQuant PTU files, T2 and T3, that the vendor's library and other readers read."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.timetags.files.model import (
    MARKER,
    TagFile,
    TagFileError,
    Times,
    first_disorder,
)
from labctl.analysis.timetags.files.ptu_header import offset_of_value, write_header

_GENERIC_T2, _GENERIC_T3 = 0x00010207, 0x00010307  # TTResultFormat_TTTRRecType
_WRAP_T2, _WRAP_T3 = 1 << 25, 1 << 10
_OVERFLOW = 0xFE000000  # special, channel 63; the count is added
_MOST_OVERFLOWS = 1 << 27  # records between two tags: 0.5 GB of nothing
_PER_PART = 1 << 20


class PtuWriter:
    """Writes one PTU file, part by part; complete when closed.

    The record type is the generic one of MultiHarp and later instruments.

    Args:
        path: the file; replaced if it exists.
        resolution: ps; unit of times (T2) or of dtimes (T3).
        sync_period: ps between sync pulses; makes a T3 file.
        header: further entries of the header: int, float, bool, text or datetime by name.

    Raises:
        TagFileError: an impossible resolution or period.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        resolution: float = 1.0,
        sync_period: float = 0.0,
        header: dict[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        for name, value in (("resolution", resolution), ("sync_period", sync_period)):
            if not 0 <= value < 1e12 or (name == "resolution" and value < 1e-3):
                raise TagFileError(f"{self.path}: {name} {value!r} must be a number of ps")
        self._unit = Fraction(resolution)
        self._t3 = sync_period > 0
        self._wrap = _WRAP_T3 if self._t3 else _WRAP_T2
        self._overflows = self._records = 0
        self._last = 0  # ticks
        entries = _entries(self._t3, resolution * 1e-12, sync_period * 1e-12) | (header or {})
        text = write_header(entries)
        self._count_at = offset_of_value(text, "TTResult_NumberOfRecords")
        self._file = self.path.open("wb")
        self._file.write(text)

    def append(
        self,
        channels: ArrayLike,
        times: ArrayLike,
        *,
        sync: ArrayLike = (),
        dtimes: ArrayLike = (),
        markers: NDArray[np.void] | None = None,
    ) -> None:
        """Write tags that are not earlier than those before.

        Args:
            channels: 0 to 62, as numbered in the file (input 1 is channel 0).
            times: T2: ps, whole numbers of the resolution; T3: not used, give ().
            sync: T2: ps of sync events; T3: the number of the sync pulse before each tag.
            dtimes: T3: time since that pulse in units of the resolution, 0 to 32767.
            markers: structured as in `TagFile.markers`.

        Raises:
            TagFileError: values that do not fit or are out of order; nothing is written then.
        """
        if markers is None:
            markers = np.empty(0, MARKER)
        chosen = self._whole(channels, "channels", 62)
        codes = self._whole(markers["marker"], "markers", 15)
        if codes.size and codes.min() == 0:
            raise TagFileError(f"{self.path}: marker 0 cannot be written; they are 1 to 15")
        if self._t3:
            ticks = self._ordered(self._whole(sync, "sync pulses", 1 << 62), "sync pulses")
            fine = self._whole(dtimes, "dtimes", 32767)
            self._same_length(chosen, ticks, fine)
            special = self._ordered(self._whole(markers["sync"], "markers", 1 << 62), "markers")
            words = chosen << 25 | fine << 10
            special_words = 1 << 31 | codes << 25
        else:
            ticks = self._ordered(self._units(times, "times"), "times")
            self._same_length(chosen, ticks)
            syncs = self._ordered(self._units(sync, "sync events"), "sync events")
            marks = self._ordered(self._units(markers["time"], "markers"), "markers")
            special = np.concatenate([syncs, marks])
            words = chosen << 25
            special_words = np.concatenate(
                [np.full(len(syncs), 1 << 31, np.int64), 1 << 31 | codes << 25]
            )
        if special.size:  # a sync event comes before tags of the same time
            every = np.concatenate([special, ticks])
            order = np.argsort(every, kind="stable")
            ticks, words = every[order], np.concatenate([special_words, words])[order]
        for first in range(0, len(ticks), _PER_PART):
            part = slice(first, first + _PER_PART)
            self._write(ticks[part], words[part])

    def close(self) -> None:
        """Write the number of records into the header and close the file."""
        if not self._file.closed:
            self._file.seek(self._count_at)
            self._file.write(int(self._records).to_bytes(8, "little"))
            self._file.close()

    def __enter__(self) -> PtuWriter:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _write(self, ticks: Times, words: NDArray[np.int64]) -> None:
        """Write records, with overflow records before those that need them."""
        laps = ticks // self._wrap
        gaps = np.diff(laps, prepend=self._overflows)
        most = self._wrap - 1  # that one overflow record can stand for
        extra = -(-gaps // most)
        total = int(extra.sum())
        if total > _MOST_OVERFLOWS:
            raise TagFileError(
                f"{self.path}: the time between two tags would need {total} overflow records; "
                "write a coarser resolution, or a T2 file"
            )
        at = np.arange(len(ticks)) + np.cumsum(extra)  # where each tag's record goes
        out = np.full(len(ticks) + total, _OVERFLOW + most, np.int64)
        out[at] = words + ticks % self._wrap
        last = at[gaps > 0] - 1  # the last overflow record before a tag takes the rest
        out[last] = _OVERFLOW + (gaps[gaps > 0] - 1) % most + 1
        self._file.write(out.astype("<u4").tobytes())
        self._records += len(out)
        self._overflows = int(laps[-1])

    def _units(self, times: ArrayLike, name: str) -> Times:
        """Times in ps as whole numbers of the resolution."""
        ps = self._whole(times, name, 1 << 62)
        top, bottom = self._unit.denominator, self._unit.numerator
        if top == bottom or not ps.size:
            return ps
        if top > 1:
            units = np.rint(ps / float(self._unit)).astype(np.int64)
            wrong = np.abs(units * float(self._unit) - ps) > 0.5
        else:
            units, rest = np.divmod(ps, bottom)
            wrong = rest != 0
        if wrong.any():
            at = int(np.argmax(wrong))
            raise TagFileError(
                f"{self.path}: {name}: {ps[at]} ps (number {at}) is no multiple of the resolution "
                f"of {float(self._unit):g} ps"
            )
        return units

    def _whole(self, values: ArrayLike, name: str, most: int) -> NDArray[np.int64]:
        array = np.asarray(values)
        if array.size == 0:
            return np.empty(0, np.int64)
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise TagFileError(f"{self.path}: {name} must be a one-dimensional array of integers")
        if array.min() < 0 or array.max() > most:
            at = int(np.argmax((array < 0) | (array > most)))
            raise TagFileError(
                f"{self.path}: {name}: {array[at]} (number {at}) is not from 0 to {most}"
            )
        return array.astype(np.int64)

    def _ordered(self, ticks: Times, name: str) -> Times:
        if at := first_disorder(ticks):
            raise TagFileError(
                f"{self.path}: {name} are not in order: number {at} is earlier than the one before"
            )
        if ticks.size and ticks[0] < self._overflows * self._wrap:
            raise TagFileError(f"{self.path}: {name} begin before what was written already")
        return ticks

    def _same_length(self, *arrays: NDArray[Any]) -> None:
        if len({len(array) for array in arrays}) > 1:
            lengths = ", ".join(str(len(array)) for array in arrays)
            raise TagFileError(f"{self.path}: columns of different lengths: {lengths}")


def write_ptu(
    path: str | Path,
    channels: ArrayLike | TagFile,
    times: ArrayLike = (),
    *,
    resolution: float = 1.0,
    sync: ArrayLike = (),
    dtimes: ArrayLike = (),
    markers: NDArray[np.void] | None = None,
    sync_period: float = 0.0,
    header: dict[str, Any] | None = None,
) -> None:
    """Write time tags as a PicoQuant PTU file; T2, or with a `sync_period` T3.

    Args:
        path: the file; replaced if it exists.
        channels: 0 to 62, as numbered in the file (input 1 is channel 0); or a `TagFile`, which
            brings everything else along.
        times: T2: ps, in order; T3: not used.
        resolution: ps; unit of times (T2) or of dtimes (T3).
        sync: T2: ps of sync events; T3: the number of the sync pulse before each tag, in order.
        dtimes: T3: time since that pulse in units of the resolution, 0 to 32767.
        markers: structured as in `TagFile.markers`.
        sync_period: T3: ps between sync pulses.
        header: further entries of the header by name.

    Raises:
        TagFileError: values that do not fit or are out of order; no file is left then.
    """
    if isinstance(channels, TagFile):
        tags = channels
        paired, named = tags.about.mode == "T3", math.isfinite(tags.resolution)
        t3 = paired and named and tags.about.sync_period > 0 and len(tags.dtimes) == len(tags)
        write_ptu(
            path, tags.channels, () if t3 else tags.times,
            resolution=tags.resolution if t3 or not paired else 1.0,
            sync=tags.sync if t3 or not paired else (), dtimes=tags.dtimes if t3 else (),
            markers=tags.markers, sync_period=tags.about.sync_period if t3 else 0.0, header=header,
        )  # fmt: skip
        return
    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    try:
        with PtuWriter(
            part, resolution=resolution, sync_period=sync_period, header=header
        ) as writer:
            writer.append(channels, times, sync=sync, dtimes=dtimes, markers=markers)
        part.replace(path)
    except TagFileError as error:
        raise TagFileError(str(error).replace(str(part), str(path), 1)) from None
    finally:
        part.unlink(missing_ok=True)


def _entries(t3: bool, resolution: float, sync_period: float) -> dict[str, Any]:
    """What readers want to find in the header, in the order of the vendor's own files."""
    rate = round(1 / sync_period) if sync_period else 0
    return {
        "File_GUID": f"{{{uuid.uuid4()}}}".upper(),
        "CreatorSW_Name": "labctl",
        "CreatorSW_Version": "1",
        "File_CreatingTime": datetime.now(UTC),
        "Measurement_Mode": 3 if t3 else 2,
        "Measurement_SubMode": 0,
        "TTResult_StopReason": 0,
        "TTResultFormat_TTTRRecType": _GENERIC_T3 if t3 else _GENERIC_T2,
        "TTResultFormat_BitsPerRecord": 32,
        "MeasDesc_BinningFactor": 1,
        "MeasDesc_Offset": 0,
        "MeasDesc_AcquisitionTime": 1000,
        "MeasDesc_StopAt": 4294967295,
        "MeasDesc_StopOnOvfl": False,
        "MeasDesc_Restart": False,
        "HW_Type": "MultiHarp 150",
        "HW_PartNo": "none",
        "HW_Version": "1.0",
        "HW_SerialNo": "0",
        "HW_InpChannels": 64,
        "HW_ExternalDevices": 0,
        "HW_BaseResolution": resolution,
        "HWSync_Divider": 1,
        "MeasDesc_Resolution": resolution,
        "MeasDesc_GlobalResolution": sync_period if t3 else resolution,
        "TTResult_SyncRate": rate,
        "TTResult_NumberOfRecords": 0,
    }
