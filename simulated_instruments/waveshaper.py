"""Simulated programmable optical filter of the WaveShaper A series (HTTP interface)."""

from __future__ import annotations

from simulated_instruments.physics.shaper import ShaperModel

__all__ = ["ShaperModel"]
