"""Instruments as procedures and benches see them: the bases of drivers, and `adopt`."""

from labctl.instrument.adopting import adopt
from labctl.instrument.base import LabChannel, LabInstrument, dial

__all__ = ["LabChannel", "LabInstrument", "adopt", "dial"]
