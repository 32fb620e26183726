"""Simulated tunable laser: a DLC pro controller with a CTL head (DeCoF command line)."""

from __future__ import annotations

from simulated_instruments.physics.laser import CtlLaserModel

__all__ = ["CtlLaserModel"]
