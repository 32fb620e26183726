"""Time Taggers of Swabian Instruments (20, Ultra, X), over the maker's library.

Address: `lib://drivers.swabian_library:TimeTagger`, with `?serial=NUMBER` for one of several, or
`?server=HOST:41101` for a server on the network. Tags count from when the device was switched on.
"""

from __future__ import annotations

from typing import ClassVar

from pymeasure.instruments import Instrument

from drivers._tag_library import LibraryInput, LibraryTagger


class SwabianTimeTagger(LibraryTagger):
    """A Time Tagger; channel n is the rising edge at input n. See `LibraryTagger`."""

    IDENTITY: ClassVar[str] = r"^Swabian "
    THRESHOLDS: ClassVar[tuple[float, float]] = (-2.5, 2.5)
    INPUTS: ClassVar[tuple[int, ...]] = tuple(range(1, 19))
    REFERENCE: ClassVar[int] = 8

    inputs = Instrument.MultiChannelCreator(LibraryInput, INPUTS, prefix="input_")
