"""Procedures that are wrong in ways that only show when they are asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import toybench

from labctl.procedure import Point


class Endless(toybench.Watch):
    """Its points never come to an end."""

    def points(self) -> Iterator[Point]:
        while True:
            pass


class Leaving(toybench.Watch):
    """Ends the process when it is asked for its points."""

    def points(self) -> Iterator[Point]:
        sys.exit(3)
