"""Decoy-state BB84 over lines of a soliton comb: one link, or two side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import InstrumentError, RequestError
from labctl.live import Curve, Panel
from labctl.parameters import boolean, choice, integer, number, numbers
from labctl.procedure import LabProcedure, Result, RunData
from procedures import decoy_rates
from procedures.decoy_keys import make_keys
from procedures.decoy_rates import LinkSettings
from procedures.soliton_light import INSTRUMENTS as SOURCE
from procedures.soliton_source import SolitonSource

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from drivers.qkd_receiver import QkdReceiver
    from drivers.qkd_transmitter import QkdTransmitter

LINKS = {"TR1": ("1",), "TR2": ("2",), "both": ("1", "2")}
LEVELS = ("mu", "nu1", "nu2")
COUNTS = ("sent", "clicks", "sifted", "wrong")
FRAME = 10_000_000  # pulses
FRAME_TIME = 0.01  # s
#: Of each interval, for whoever watches: standard errors are those of counting alone.
SHOWN = ("QBER error (%)", "secret (bit/s)", "secret error (bit/s)")
RESTORES = 3  # times that a lost soliton is made anew for one point
NAMES = ("qber", "raw_rate", "sifted_rate", "secret_rate", "y1", "e1")
MEANINGS = {
    "qber": ("%", "errors among sifted signal bits"),
    "raw_rate": ("bit/s", "clicks, all intensities and bases"),
    "sifted_rate": ("bit/s", "sifted signal bits"),
    "secret_rate": ("bit/s", "secret bits, all overheads included"),
    "y1": ("", "least yield of single photons"),
    "e1": ("%", "largest error rate of single photons"),
    "final_key_bits": ("bit", "distilled and delivered to the key store"),
    "missing_frames": ("", "frames of detections that did not come; the board says, or a gap"),
    "block_needed": ("bit", "sifted bits that a finite block needs for any key; 0: it had enough"),
}


def _frames_of(seconds: float) -> int:
    return max(1, round(seconds / FRAME_TIME))


class DecoyBb84(LabProcedure):
    """Keys over one or two links, from statistics of the boards or from real bits.

    The comb is brought to one soliton first and held by its power. In `statistics`, each point is
    what the boards counted in an interval; error rates, bounds and rates follow from the counts.
    In `distil`, each point is a block of detections: sifted, corrected (Cascade), verified and
    shortened (Toeplitz); the keys go to the key store, and only counts into the run.
    """

    INSTRUMENTS = (
        *SOURCE, "channel", "transmitter_1", "receiver_1", "transmitter_2", "receiver_2",
    )  # fmt: skip

    link: str = choice("Link", "TR1", list(LINKS), meaning="one link, or both at once")
    channels: list[float] = numbers(
        "Channels", [1, 2], minimum=1, maximum=5,
        meaning="of the demultiplexer, for TR1 and for TR2",
    )  # fmt: skip
    distance: float = number(
        "Distance", 25.0, unit="km", minimum=0, maximum=300,
        meaning="of fibre; what is more than the installed fibre is replaced by attenuation",
    )  # fmt: skip
    installed: float = number(
        "Installed fibre", 25.0, unit="km", minimum=0, maximum=300, meaning="between the boards"
    )
    fibre_loss: float = number("Fibre loss", 0.2, unit="dB/km", minimum=0.1, maximum=1)
    duration: float = number("Duration", 60.0, unit="s", minimum=1, maximum=1e6)
    interval: float = number(
        "Interval", 10.0, unit="s", minimum=1, maximum=3600,
        meaning="of a point; whole seconds. In distil a block that becomes one key",
    )  # fmt: skip
    keys: str = choice("Keys", "statistics", ["statistics", "distil"])
    finite_key: bool = boolean(
        "Finite key", False, meaning="secret rate of one finite block instead of an infinite one"
    )
    intensities_1: list[float] = numbers(
        "Intensities TR1", [0.50, 0.16, 0.008], minimum=0, maximum=2,
        meaning="photons per pulse of signal and decoys",
    )  # fmt: skip
    intensities_2: list[float] = numbers(
        "Intensities TR2", [0.60, 0.06, 0.008], minimum=0, maximum=2,
        meaning="photons per pulse of signal and decoys",
    )  # fmt: skip
    ratio: list[float] = numbers(
        "Sending ratio", [29, 2, 1], minimum=1, maximum=255, meaning="of signal and decoys"
    )
    dead_time: float = number("Dead time", 100.0, unit="ns", minimum=0, maximum=100_000)
    efficiency: float = number(
        "Efficiency", 1.16, minimum=1, maximum=3, meaning="f of error correction, for estimates"
    )
    postprocessing_1: float = number(
        "Postprocessing TR1", 0.80, minimum=0, maximum=1,
        meaning="share of the time left for sending; one buffer",
    )  # fmt: skip
    postprocessing_2: float = number(
        "Postprocessing TR2", 0.925, minimum=0, maximum=1,
        meaning="share of the time left for sending; two buffers",
    )  # fmt: skip
    attempts: int = integer("Attempts", 5, minimum=1, maximum=50, meaning="to get a soliton")

    DATA_COLUMNS = [
        "index", "block", "time (s)", "seconds", "comb (W)", "restored",
        *(f"{what} {level} TR{n}" for n in "12" for what in COUNTS for level in LEVELS),
        *(f"{what} TR{n}" for n in "12" for what in (
            "error rate (%)", "key bits", "leaked bits", "sifted for key", "efficiency",
            "missing frames")),
        *(f"QBER (%) TR{n}" for n in "12"), *(f"{what} TR{n}" for n in "12" for what in SHOWN),
    ]  # fmt: skip
    RESULTS = (
        *(
            Result(f"{name}{suffix}", unit, f"{meaning}{where}")
            for suffix, where in (("", ""), ("_TR1", ", of TR1"), ("_TR2", ", of TR2"))
            for name, (unit, meaning) in MEANINGS.items()
        ),
        Result("restored", "", "times that the soliton was lost and made anew"),
        Result("correction_efficiency", "", "f of Cascade, from the bits it disclosed"),
    )

    def panels(self) -> tuple[Panel, ...]:
        """Error rate and key of the links that take part."""
        curves = (
            ("Error rate of TR{}, signal", "QBER (%) TR{}", "QBER error (%) TR{}"),
            ("Key of TR{} by decoy states, each interval", "secret (bit/s) TR{}",
             "secret error (bit/s) TR{}"),
        )  # fmt: skip
        return tuple(
            Curve(title.format(n), "time (s)", y.format(n), error.format(n))
            for n in self.links
            for title, y, error in curves
        )

    # ---------------------------------------------------------------- what is asked for

    @property
    def links(self) -> tuple[str, ...]:
        """Numbers of the links that take part."""
        return LINKS[self.link]

    def settings(self, link: str) -> LinkSettings:
        """What a link is told."""
        mu, nu1, nu2 = getattr(self, f"intensities_{link}")
        a, b, c = (round(w) for w in self.ratio)
        return LinkSettings(
            (mu, nu1, nu2), (a, b, c), self.dead_time * 1e-9, int(link), self.efficiency,
            getattr(self, f"postprocessing_{link}"),
        )  # fmt: skip

    def _check(self) -> None:
        for link in self.links:
            name = f"intensities_{link}"
            levels = getattr(self, name)
            if len(levels) != 3 or not levels[0] > levels[1] > levels[2]:
                raise RequestError(f"{name}: must be three numbers, strictly descending")
            if levels[1] + levels[2] >= levels[0]:
                raise RequestError(
                    f"{name}: the decoys {levels[1]:g} and {levels[2]:g} together must be weaker "
                    f"than the signal {levels[0]:g}, or the bounds on single photons do not hold"
                )
        if len(self.ratio) != 3 or any(w != round(w) for w in self.ratio):
            raise RequestError("ratio: must be three whole numbers, such as 29, 2, 1")
        if len(self.channels) != 2 or any(c != round(c) for c in self.channels):
            raise RequestError("channels: must be two whole numbers, for TR1 and TR2")
        if self.link == "both" and self.channels[0] == self.channels[1]:
            raise RequestError("channels: both links cannot use the same one")
        if self.distance < self.installed:
            raise RequestError(
                f"distance: {self.distance:g} km is less than the {self.installed:g} km that are "
                "installed; attenuators cannot shorten a fibre"
            )
        if self.interval != round(self.interval):
            raise RequestError("interval: must be whole seconds, as the boards count in seconds")

    def points(self) -> Iterator[dict[str, Any]]:
        """Intervals, the last of which may be shorter."""
        self._check()
        for number_ in range(math.ceil(self.duration / self.interval)):
            seconds = float(min(self.interval, self.duration - number_ * self.interval))
            yield {"block": number_, "seconds": seconds}

    # ---------------------------------------------------------------- the bench

    def startup(self) -> None:
        self._check()
        if self.keys == "distil":
            self.note("a transcript of the wire holds what the receivers said; --no-record: none")
        self.source = SolitonSource(self)
        self.tx: dict[str, QkdTransmitter] = {n: self.bench[f"transmitter_{n}"] for n in "12"}
        self.rx: dict[str, QkdReceiver] = {n: self.bench[f"receiver_{n}"] for n in "12"}
        self._done: dict[str, int] = {}  # blocks of the present run of the boards, used up
        self.source.power_up(auxiliary=True)
        self.source.make(self.attempts)
        for n in self.links:
            self._set_up(n)
        self._start_boards()

    def shutdown(self) -> None:
        for n in "12":
            self.bench[f"receiver_{n}"].make_safe()
            self.bench[f"transmitter_{n}"].make_safe()
        self.source.power_down()

    def _set_up(self, n: str) -> None:
        attenuator = getattr(self.bench["channel"], f"ch_{n}")
        added = (self.distance - self.installed) * self.fibre_loss
        if attenuator.attenuation != added:  # each move is a little off
            attenuator.attenuation = added
        attenuator.output = True
        tx, rx, link = self.tx[n], self.rx[n], self.settings(n)
        tx.channel = round(self.channels[int(n) - 1])
        tx.intensities, tx.ratio = link.intensities, link.ratio
        tx.random_phase = True
        rx.dead_time = self.dead_time
        rx.events = self.keys == "distil"
        tx.frame_pulses = rx.frame_pulses = FRAME

    def _start_boards(self) -> None:
        for n in self.links:
            self.tx[n].output = True
            self.tx[n].start()
        for n in self.links:
            if self.keys == "distil":
                self.rx[n].open_data()
            self.rx[n].start()
            self._done[n] = 0

    def _stop_boards(self) -> None:
        for n in self.links:
            self.rx[n].stop()
            self.tx[n].stop()
            self.tx[n].output = False

    # ---------------------------------------------------------------- a point

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        seconds, self._block = point["seconds"], point["block"]
        for attempt in range(RESTORES + 1):
            detections = self._detected(seconds) if self.keys == "distil" else {}
            row = {} if detections else self._counted(seconds)
            comb = self.source.hold()
            if self.source.alive(comb):
                break
            if attempt == RESTORES:
                raise InstrumentError(
                    f"decoy-bb84: the soliton was lost {RESTORES + 1} times in one interval; "
                    "check lasers and temperature"
                )
            self.note("the soliton was lost; this interval is measured again with a new one")
            self._stop_boards()
            self.source.make(self.attempts)
            self._start_boards()
        for n, found in detections.items():  # a key only of a block that counts
            row |= self._key(n, found, _frames_of(seconds))
        for n in self.links:
            row[f"QBER (%) TR{n}"] = (
                100.0 * row[f"wrong mu TR{n}"] / max(row[f"sifted mu TR{n}"], 1)
            )
            self.show(f"QBER of TR{n}", row[f"QBER (%) TR{n}"], "%")
            row |= self._shown(n, row)
        return {
            **row, "time (s)": self.bench.clock.now(), "comb (W)": comb, "restored": attempt,
        }  # fmt: skip

    def _shown(self, n: str, row: Mapping[str, Any]) -> dict[str, float]:
        """Error of the error rate, and the rate of an infinite key, from the counts of a row."""
        counts = np.array([[row[f"{what} {level} TR{n}"] for level in LEVELS] for what in COUNTS])
        values = (
            100.0 * decoy_rates.qber_error(counts),
            *decoy_rates.secret_with_error(counts, self.settings(n)),
        )
        return {f"{what} TR{n}": value for what, value in zip(SHOWN, values, strict=True)}

    def _counted(self, seconds: float) -> dict[str, Any]:
        """Blocks of the boards over the next `seconds`."""
        count = max(1, round(seconds))
        row: dict[str, Any] = {}
        first = self.links[0]
        wanted = self._done[first] + count
        missing = wanted - self.rx[first].finished_blocks
        if missing > 0:
            self.bench.clock.sleep(float(missing))
        for n in self.links:
            while self.rx[n].finished_blocks < self._done[n] + count:
                self._watch(n)
                self.bench.clock.sleep(0.1)
            blocks = self.rx[n].blocks(self._done[n], count).sum(axis=0)
            self._done[n] += count
            row |= self._columns(n, blocks)
        return row

    def _watch(self, n: str) -> None:
        """A board that stopped will not finish a block."""
        for board in (self.tx[n], self.rx[n]):
            if (state := board.state.strip()) != "RUN" and not self.source.lost:
                raise InstrumentError(
                    f"{board.name}: is {state} in a run, faults {board.faults or 'none'}; "
                    "check light and sync"
                )

    @staticmethod
    def _columns(n: str, counts: np.ndarray) -> dict[str, Any]:
        return {
            f"{what} {level} TR{n}": int(counts[i, j])
            for i, what in enumerate(COUNTS)
            for j, level in enumerate(LEVELS)
        }

    def _detected(self, seconds: float) -> dict[str, np.ndarray]:
        """One block of detections of each link: what was sent and what was read, (5, n)."""
        frames = _frames_of(seconds)
        held: dict[str, list[np.ndarray]] = {n: [] for n in self.links}
        readers = {n: self.rx[n].frames(frames) for n in self.links}
        for _ in range(frames):
            for n in self.links:
                frame = next(readers[n])
                sent = self.tx[n].settings_of(frame.number, frame.index)
                held[n].append(np.stack([*sent, frame.basis, frame.bit]))
        for n in self.links:
            if missing := self.rx[n].missing_frames:
                self.note(f"TR{n}: {missing} frames of detections are missing so far")
        return {n: np.concatenate(parts, axis=1) for n, parts in held.items()}

    def _key(self, n: str, found: np.ndarray, frames: int) -> dict[str, Any]:
        """Make the detections of one block into keys, and deliver them."""
        link = self.settings(n)
        made = make_keys(
            found, frames * FRAME, link, finite=self.finite_key,
            seed=lambda: int(self.rng.integers(2**63)),
        )  # fmt: skip
        for name, key in made.keys.items():
            if key.length >= 8:  # whole bytes count
                label = f"block {self._block} {name}".strip()
                self.deliver_key(f"ALICE-BOB:TR{n}", key.alice, label=label)
            elif not key.verified:
                self.note(f"TR{n}: the corrected bits of a block did not verify; it gave no key")
        if self.finite_key and not made.delivered_bits:
            self._say_too_small(n, made.counts, frames * FRAME_TIME)
        return self._columns(n, made.counts) | {
            f"error rate (%) TR{n}": 100.0 * made.mean("error_rate"),
            f"key bits TR{n}": made.delivered_bits,
            f"leaked bits TR{n}": sum(key.leaked_bits for key in made.keys.values()),
            f"sifted for key TR{n}": sum(made.sifted),
            f"efficiency TR{n}": made.mean("efficiency"),
            f"missing frames TR{n}": self.rx[n].missing_frames,
        }

    def _say_too_small(self, n: str, counts: np.ndarray, seconds: float) -> None:
        sifted = counts[decoy_rates.SIFTED].sum()
        _, needed = decoy_rates.finite(counts, self.settings(n))
        self.note(
            f"TR{n}: a block of {sifted:.3g} sifted bits is too small for a finite key; it takes "
            f"{needed:.3g}, an interval of about {seconds * needed / max(sifted, 1):.0f} s"
        )

    # ---------------------------------------------------------------- results

    def analyse(self, data: RunData) -> dict[str, Any]:
        results: dict[str, Any] = {"restored": int(np.sum(data["restored"]))}
        both = self.link == "both"
        seconds = float(np.sum(data["seconds"]))
        for n in self.links:
            suffix = f"_TR{n}" if both else ""
            link, blocks = self.settings(n), decoy_rates.rows_of(data, n)
            found = decoy_rates.with_errors(blocks, link)
            results |= {f"{name}{suffix}": found[name] for name in NAMES}
            if self.finite_key:  # in distil, each point is a block of its own
                block = blocks[0] if self.keys == "distil" else blocks.sum(axis=0)
                rate, needed = decoy_rates.finite(block, link)
                results[f"secret_rate{suffix}"] = rate
                results[f"block_needed{suffix}"] = needed
            if self.keys == "distil":
                bits = int(np.nansum(data[f"key bits TR{n}"]))
                results[f"final_key_bits{suffix}"] = bits
                missing = int(np.nanmax(data[f"missing frames TR{n}"]))
                results[f"missing_frames{suffix}"] = missing
                results[f"secret_rate{suffix}"] = bits / seconds * link.postprocessing
        if both or self.keys != "distil":
            keys = [value for name, value in results.items() if name.startswith("final_key_bits_")]
            results["final_key_bits"] = sum(keys)
        if self.keys == "distil":
            f = np.concatenate([data[f"efficiency TR{n}"] for n in self.links]).astype(float)
            results["correction_efficiency"] = float(np.nanmean(f))
        return results

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import soliton_figures

        return {"keys": soliton_figures.keys(data, self.links, self.settings)}
