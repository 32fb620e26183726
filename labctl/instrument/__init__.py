"""Instruments as procedures and benches see them: the bases of drivers, and `adopt`."""

from labctl.instrument.adopting import adopt
from labctl.instrument.base import LabChannel, LabInstrument, dial
from labctl.instrument.library import LibraryInstrument

__all__ = ["LabChannel", "LabInstrument", "LibraryInstrument", "adopt", "dial"]
