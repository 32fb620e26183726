"""The world: one physical state that all simulators of a bench share."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np

Part = TypeVar("Part")


@dataclass(frozen=True)
class WorldParameter:
    """One documented number of a world that a bench file or `--world` may change."""

    name: str
    default: Any  # a float, int, bool or str; its type is the parameter's type
    unit: str
    meaning: str
    source: str  # publication, data sheet, or "assumed"
    minimum: float = -math.inf
    maximum: float = math.inf


class World:
    """Base of all worlds, and itself an empty one: enough to run an instrument on its own.

    Parts are the models that instruments show to each other. A stochastic process is a function
    of time (see `physics.noise`), so nothing depends on how often or in which order anyone looks.
    """

    PARAMETERS: ClassVar[tuple[WorldParameter, ...]] = ()

    def __init__(self, seed: int = 0, **values: Any) -> None:
        known = {p.name: p for p in self.PARAMETERS}
        for name in values:
            if name not in known:
                raise ValueError(f"unknown world parameter {name!r}")
        self.seed = seed
        self.now = 0.0
        self.values: dict[str, Any] = {
            p.name: values.get(p.name, p.default) for p in self.PARAMETERS
        }
        self.parts: dict[str, Any] = {}

    def seed_of(self, owner: str) -> int:
        """A 63-bit seed that belongs to `owner`, whatever else the world contains."""
        digest = hashlib.blake2b(f"{self.seed}/{owner}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "little") >> 1

    def rng(self, owner: str) -> np.random.Generator:
        """A new generator at the start of the stream named `owner`; keep it, or name it anew."""
        return np.random.Generator(np.random.PCG64(self.seed_of(owner)))

    def part(self, name: str, default: Callable[[], Part]) -> Part:
        """The model called `name`; a world that does not have it yet gets `default()`."""
        if name not in self.parts:
            self.parts[name] = default()
        found: Part = self.parts[name]
        return found

    def advance(self, now: float) -> None:
        """Bring all parts to time `now` (s); one long step equals many short ones."""
        if now > self.now:
            for part in self.parts.values():
                part.advance(now)
            self.now = now
