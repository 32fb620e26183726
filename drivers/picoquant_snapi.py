"""Time taggers of PicoQuant (MultiHarp, HydraHarp, TimeHarp 260, PicoHarp 330), over `snAPI`.

Address: `lib://drivers.picoquant_library:SnApi`, with `?serial=NUMBER` for one of several, or
`?file=PATH.ptu` to play a recording. Tags count from the begin of the recording. snAPI does not
tell of tags that a device lost, except in its log.
"""

from __future__ import annotations

from typing import ClassVar

from pymeasure.instruments import Instrument

from drivers._tag_library import LibraryInput, LibraryTagger


class PicoQuantTagger(LibraryTagger):
    """A TCSPC device in T2 mode; channel 0 is its sync input. See `LibraryTagger`."""

    IDENTITY: ClassVar[str] = r"^PicoQuant "
    THRESHOLDS: ClassVar[tuple[float, float]] = (-1.5, 1.5)
    LONGEST_DELAY: ClassVar[float] = 99_999
    INPUTS: ClassVar[tuple[int, ...]] = tuple(range(1, 65))
    REFERENCE: ClassVar[int] = 0

    inputs = Instrument.MultiChannelCreator(LibraryInput, INPUTS, prefix="input_")
