"""What all measurements of the entanglement network share: pumps, router, receivers, counting.

A user's photons meet a beam splitter (the choice of basis), two unbalanced interferometers with two
outputs each, and four detectors; detector number = 2 x basis + outcome, which is input number
less one of the user's time tagger. All taggers share one clock.

Counting goes in short slices. Between slices the interferometers are corrected, the lasers looked
at, and the detectors and taggers asked whether they are well. A slice in which something was
lost does not count: the procedure gets it back, says so, and counts on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.errors import InstrumentError, RequestError
from labctl.parameters import boolean, number, text
from procedures.interferometers import LOST, PhaseHold
from procedures.network_plan import LINKS, USER_CHANNELS, USERS, Link, parse_delays
from procedures.pumps import PumpMeasurement
from procedures.tag_slices import NOTHING, Clicks, Stretch, joined, merged

if TYPE_CHECKING:
    from drivers.idq_id900 import Id900
    from drivers.waveshaper import WaveShaper
    from drivers.websq import WebSq

DETECTORS = 4  # of each user
INPUTS = tuple(range(1, DETECTORS + 1))  # of a tagger
SLICE = 0.25  # s of counting between two looks
MOST_LOST = 20  # slices lost in a row before a measurement gives up
BAND = 0.1  # THz around the middle of a channel that the router lets pass
DARKEST = 5.0  # s without a click in a slice, after which detectors count as dead
SILENT = 40.0  # expected clicks: a detector without any of so many does not work

#: Phases (rad) of the two bases. Phases of two users add up to 0 or pi in equal bases, and to
#: pi / 2 in different ones, for any two users.
KEY_PHASES = (0.0, math.pi / 2.0)


@dataclass
class Counted:
    """What one point saw."""

    seconds: float  # that count
    clicks: list[Clicks]  # by user
    lost: float = 0.0  # s that do not count
    laser_worst: float = 0.0  # MHz
    phase_errors: list[float] = field(default_factory=list)  # rad rms, by slice

    def rates(self) -> list[float]:
        """Clicks per s of each user."""
        return [len(times) / self.seconds for times, _ in self.clicks]


class NetworkMeasurement(PumpMeasurement):
    """Parameters and steps of a measurement with photons; combine with `LabProcedure`."""

    INSTRUMENTS: ClassVar[tuple[str, ...]] = (
        *PumpMeasurement.PUMP_INSTRUMENTS, "router", "phases", "diodes",
        *(f"snspd_{user.lower()}" for user in USERS), *(f"tagger_{user.lower()}" for user in USERS),
    )  # fmt: skip

    window: float = number(
        "Window", 3.2, unit="ns", minimum=0.01, maximum=1000,
        meaning="full width of the coincidence window",
    )  # fmt: skip
    path_delay: float = number(
        "Path delay", 10.0, unit="ns", minimum=0.1, maximum=1000,
        meaning="path difference of the interferometers",
    )  # fmt: skip
    delays: str = text(
        "Delays", "C54:50", meaning="by how much (ns) photons of a channel come later: its fibre"
    )
    bias: float = number(
        "Bias", 16.0, unit="uA", minimum=1, maximum=40, meaning="bias current of the detectors"
    )
    threshold: float = number(
        "Threshold", 0.1, unit="V", minimum=-2.5, maximum=2.5,
        meaning="that a detector's pulse must cross at the tagger",
    )  # fmt: skip
    turn_power: float = number(
        "Turn power", 60.0, unit="mW", minimum=1, maximum=1000,
        meaning="heater power that shifts an interferometer by 2 pi",
    )  # fmt: skip
    heater: float = number(
        "Heater", 500.0, unit="ohm", minimum=1, maximum=1e5, meaning="resistance of a heater"
    )
    keep_tags: bool = boolean("Keep tags", False, meaning="store all time tags with the run")

    record_tags: Any

    # --- before anything is switched on ---------------------------------------------------------

    def check_windows(self) -> dict[int, int]:
        """Delays (ps) by channel; refuses windows in which peaks would meet.

        Raises:
            RequestError: a window does not fit between the three peaks.
        """
        if self.window >= self.path_delay:
            raise RequestError(
                f"window {self.window:g} ns is not narrower than the path delay of "
                f"{self.path_delay:g} ns: the side peaks would be counted as coincidences"
            )
        return parse_delays(self.delays)

    def check_links(self, links: Sequence[Link] = LINKS) -> dict[str, int]:
        """Delay (ps) of each link's central peak; refuses links that cannot be told apart."""
        by_channel = self.check_windows()
        delays = {
            link.name: by_channel.get(link.channels[1], 0) - by_channel.get(link.channels[0], 0)
            for link in links
        }
        path, window = 1e3 * self.path_delay, 1e3 * self.window
        for one in links:
            for other in links:
                apart = abs(delays[one.name] - delays[other.name])
                if one.name < other.name and one.users == other.users:
                    near = min(abs(apart - k * path) for k in (0, 1, 2))
                    if near < window:
                        raise RequestError(
                            f"links {one.name} and {other.name} have peaks within {window:g} ps of "
                            "each other; give one of their channels more fibre and say so (delays)"
                        )
        return delays

    # --- the bench ------------------------------------------------------------------------------

    def open_network(self, routes: Mapping[str, Sequence[int]], *, hold: bool = True) -> None:
        """Pumps, router, detectors and taggers; no pump light yet.

        Args:
            routes: channels that each user gets.
            hold: whether to hold the interferometers.
        """
        self.router: WaveShaper = self.bench["router"]
        self.detectors: list[WebSq] = [self.bench[f"snspd_{user.lower()}"] for user in USERS]
        self.taggers: list[Id900] = [self.bench[f"tagger_{user.lower()}"] for user in USERS]
        self._routes: dict[str, tuple[int, ...]] = {}
        self.start_pumps()
        self.route(routes)
        for detectors in self.detectors:
            detectors.bias_currents = [self.bias] * DETECTORS
            detectors.enabled = True
            detectors.unlatch()  # from whatever was before
        for tagger in self.taggers:
            for channel in tagger.inputs.values():
                channel.threshold = self.threshold
                channel.enabled = True
        self.hold: PhaseHold | None = None
        if hold:
            self.hold = PhaseHold(
                self.bench["phases"], self.bench["diodes"], self.bench.clock,
                turn_mw=self.turn_power, ohm=self.heater, count=2 * len(USERS),
            )  # fmt: skip
            self.hold.start()

    def close_network(self) -> None:
        """Light off, bias off, heaters off."""
        self.stop_pumps()
        self.bench["router"].block_all()
        for user in USERS:
            self.bench[f"snspd_{user.lower()}"].enabled = False
        self.bench["phases"].make_safe()

    def route(self, routes: Mapping[str, Sequence[int]]) -> None:
        """Send channels to users."""
        wanted = {user: tuple(channels) for user, channels in routes.items()}
        if wanted == self._routes:
            return
        self.router.clear()
        for user, channels in wanted.items():
            for channel in channels:
                self.router.set_band(190.0 + 0.1 * channel, BAND, port=USERS.index(user) + 1)
        self.router.load()
        self._routes = wanted

    # --- counting -------------------------------------------------------------------------------

    def count(self, seconds: float, users: Sequence[int] = tuple(range(len(USERS)))) -> Counted:
        """Clicks of some users over so many good seconds, by the taggers' common clock."""
        counted = Counted(0.0, [NOTHING] * len(USERS))
        found: dict[int, list[Clicks]] = {user: [] for user in users}
        stretch = Stretch(seconds)
        in_a_row = 0
        with ExitStack() as stack:
            streams = {
                user: stack.enter_context(self.taggers[user].stream(INPUTS)) for user in users
            }
            opened = self.bench.clock.now()
            while not stretch.complete:
                began = self.bench.clock.now()
                self.bench.clock.sleep(min(SLICE, stretch.left))
                clicks = {
                    user: merged(stream.collect(), INPUTS) for user, stream in streams.items()
                }
                trouble = self._trouble(clicks, counted)
                if not trouble:
                    in_a_row = 0
                    self._require_light(clicks, self.bench.clock.now() - opened)
                    for user, one in stretch.take(clicks).items():
                        found[user].append(one)
                        self._keep(user, one)
                    continue
                in_a_row += 1
                if in_a_row > MOST_LOST:
                    raise InstrumentError(f"{trouble}, {MOST_LOST} times in a row; check it")
                stretch = stretch.rest()
                self._recover(trouble)
                for stream in streams.values():
                    stream.collect()  # what came meanwhile does not count
                counted.lost += self.bench.clock.now() - began
        counted.seconds = seconds
        for user, parts in found.items():
            counted.clicks[user] = joined(parts)
        return counted

    def _require_light(self, clicks: Mapping[int, Clicks], elapsed: float) -> None:
        """Not even dark counts after a while: something is not connected."""
        for user, (times, _) in clicks.items():
            if not times.size and elapsed > DARKEST:
                raise InstrumentError(
                    f"{self.taggers[user].name}: no clicks of user {USERS[user]} at all; check "
                    "bias and threshold of its detectors"
                )

    def _keep(self, user: int, clicks: Clicks) -> None:
        if self.keep_tags:
            times, detector = clicks
            self.record_tags(
                USERS[user], {"channel": detector.astype(np.uint8), "time (ps)": times}
            )

    def _trouble(self, clicks: Mapping[int, Clicks], counted: Counted) -> str:
        """What spoilt the slice that has just ended; empty if nothing did."""
        errors = [abs(error) for error in self.laser_errors()]
        counted.laser_worst = max(counted.laser_worst, *errors)
        if max(errors) > self.laser_limit:
            return f"laser {1 + errors.index(max(errors))} is lost"
        if self.hold is not None:
            phases = self.hold.update()
            if np.abs(phases).max() > LOST:
                place = int(np.abs(phases).argmax())
                owner, basis = USERS[place // 2], place % 2
                return f"the phase of interferometer {basis} of user {owner} is lost"
            counted.phase_errors.append(float(np.sqrt(np.mean(phases**2))))
        for user, (times, detector) in clicks.items():
            seen = np.bincount(detector, minlength=DETECTORS)
            if len(times) > SILENT * DETECTORS and not seen.all():
                return f"detector {int(np.argmin(seen)) + 1} of user {USERS[user]} is silent"
        return ""

    def _recover(self, trouble: str) -> None:
        """Get back what was lost."""
        self.note(f"paused: {trouble}")
        began = self.bench.clock.now()
        if "laser" in trouble:
            self.recover_lasers()
        elif "detector" in trouble:
            self._unlatch(trouble)
        if self.hold is not None:
            self.hold.close()
        self.note(f"continued after {self.bench.clock.now() - began:.1f} s")

    def _unlatch(self, trouble: str) -> None:
        """Bring latched detectors back.

        Raises:
            InstrumentError: none has latched, or it does not come back.
        """
        latched = 0
        for user, detectors in zip(USERS, self.detectors, strict=True):
            if numbers := detectors.unlatch():
                latched += len(numbers)
                told = " and ".join(map(str, numbers))
                self.note(f"detector {told} of user {user} had latched; its bias was taken away")
        if not latched:
            raise InstrumentError(
                f"{trouble} and none has latched; check its bias, trigger level and fibre"
            )


def standard_routes() -> dict[str, tuple[int, ...]]:
    """The channels of all four users."""
    return dict(USER_CHANNELS)


def intervals(duration: float, interval: float) -> Iterator[float]:
    """Lengths (s) of the pieces that a duration is measured in."""
    whole = math.floor(duration / interval + 1e-9)
    yield from [interval] * whole
    rest = duration - whole * interval
    if rest > SLICE / 2 or not whole:
        yield rest
