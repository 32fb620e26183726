"""Clicks of the detectors and triggers at the tagger, trial by trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.cryostat import CryostatModel
from simulated_instruments.physics.dead_time import alive
from simulated_instruments.physics.optomechanics_trials import (
    Chances,
    MissedTriggers,
    RandomClicks,
    TrialSource,
)
from simulated_instruments.physics.snspd import SnspdModel
from simulated_instruments.worlds.optomechanics_crystal import Crystal
from simulated_instruments.worlds.optomechanics_light import TonesAndPulses
from simulated_instruments.worlds.optomechanics_settings import PS, History, Settings

Ints = NDArray[np.int64]

DETECTORS = (0, 1)
NOTHING = (np.empty(0, dtype=np.int64),) * 2


class Clicks:
    """What the two detectors give, and how many photons reach them.

    Args:
        seed_of: seeds by name.
        history: of the settings.
        light: that comes to the crystal.
        crystal: that scatters it.
        cryostat: that holds the crystal's temperature.
        detectors: behind the beam splitter.
    """

    def __init__(
        self,
        seed_of: Callable[[str], Any],
        history: History,
        light: TonesAndPulses,
        crystal: Crystal,
        cryostat: CryostatModel,
        detectors: SnspdModel,
    ) -> None:
        self._seed_of = seed_of
        self._history = history
        self._light = light
        self._crystal = crystal
        self._cryostat = cryostat
        self._detectors = detectors
        self._dark = [RandomClicks(seed_of, f"dark.{n}") for n in DETECTORS]
        self._sources: dict[tuple[int, int], TrialSource] = {}
        self._waiting: list[Ints] = [*NOTHING]  # clicks that are later than what was asked for
        self._last = [-PS, -PS]
        self._rates: tuple[Any, list[float]] = (None, [])
        self._known: dict[tuple[float, ...], tuple[Any, Chances]] = {}

    def between(self, t0: int, t1: int) -> list[Ints]:
        """Electrical pulses (ps) in [t0, t1) at the four inputs of the tagger."""
        found: list[list[Ints]] = [[waiting[waiting >= t0]] for waiting in self._waiting]
        for begin, end, when in self._history.spans(t0, t1):
            for n, clicks in enumerate(self._span(begin, end, when)):
                found[n].append(clicks)
        out = []
        for n in DETECTORS:
            times = np.sort(np.concatenate(found[n]))
            cut = int(np.searchsorted(times, t1))
            self._waiting[n] = times[cut:]
            live = alive(times[:cut], self._detectors.dead_time_ps, self._last[n])
            if live.size:
                self._last[n] = int(live[-1])
            out.append(live)
        return [*out, *NOTHING]

    def _span(self, begin: int, end: int, when: float) -> Iterator[Ints]:
        """Clicks of both detectors that belong to [begin, end) ps; some are a little later."""
        settings = self._history.at(when)
        efficiencies = tuple(self._detectors.efficiency(n, when) for n in DETECTORS)
        trials: list[Ints] = [NOTHING[0]] * 2
        if settings.train is not None and settings.pattern is not None and max(efficiencies) > 0:
            trials = self._trials(begin, end, when, settings, efficiencies)
        for n in DETECTORS:
            dark = self._dark[n].between(begin, end, self._detectors.dark_rate(n, when))
            yield np.concatenate((trials[n], dark))

    def _trials(
        self, begin: int, end: int, when: float, settings: Settings, efficiencies: tuple[float, ...]
    ) -> list[Ints]:
        assert settings.train is not None
        first, period = settings.train
        low, high = (max(-((first - edge) // period), 0) for edge in (begin, end))
        source = self._sources.setdefault(
            settings.train, TrialSource(self._seed_of, f"trials.{first}.{period}")
        )
        chances = self.chances(when, settings, efficiencies)
        if chances.any <= 0.0 or high <= low:
            return [NOTHING[0]] * 2
        return [
            first + trial * period + np.rint(time).astype(np.int64)
            for trial, time in source.clicks(low, high, chances, self._detectors.jitter_ps)
        ]

    def chances(self, t: float, settings: Settings, efficiencies: tuple[float, ...]) -> Chances:
        """What a trial at time `t` (s) may give; remembered until settings or time change."""
        key = settings, t, efficiencies
        if efficiencies not in self._known or self._known[efficiencies][0] != key:
            first, second = self._light.pulses(settings)
            areas = self._light.areas(t, settings)
            kelvin = self._cryostat.temperature_k(t)
            found = self._crystal.chances(areas, first, second, kelvin, efficiencies)
            self._known[efficiencies] = key, found
        return self._known[efficiencies][1]

    def photon_rate(self, detector: int, t: float) -> float:
        """Photons per second at a detector: what its counter shows at efficiency 1, less darks."""
        settings = self._history.at(t)
        if settings.train is None or settings.pattern is None:
            return 0.0
        _, _, when = next(self._history.spans(round(t * PS), round(t * PS) + 1))
        key = settings, when
        if self._rates[0] != key:
            found = self.chances(when, settings, (1.0, 1.0)).patterns
            clicked = (np.arange(16)[:, None] & np.array([1 | 4, 2 | 8])) > 0
            self._rates = key, (found @ clicked * PS / settings.train[1]).tolist()
        return float(self._rates[1][detector])


class Triggers:
    """The delay generator's T0 at the start input of the tagger.

    Args:
        seed_of: seeds by name.
        loss: probability that a trigger does not reach the tagger.
        train: first trigger and period (ps) now, None without triggers.
    """

    def __init__(
        self,
        seed_of: Callable[[str], Any],
        loss: float,
        train: Callable[[], tuple[int, int] | None],
    ) -> None:
        self._seed_of = seed_of
        self._loss = loss
        self._train = train
        self._missed: dict[Any, MissedTriggers] = {}

    def missed(self, last: int) -> Ints:
        """Numbers of the triggers up to `last` that do not reach the tagger."""
        train = self._train()
        if train not in self._missed:
            self._missed[train] = MissedTriggers(self._seed_of, f"trials.{train}", self._loss)
        return self._missed[train].up_to(last)

    @property
    def first_ps(self) -> int | None:
        train = self._train()
        return None if train is None else train[0]

    @property
    def period_ps(self) -> float:
        train = self._train()
        return 1.0 if train is None else float(train[1])
