"""Simulated time controller ID Quantique ID900, with the maker's DataLinkTargetService beside it.

Commands go over ZeroMQ (port 5555), tags through a program of the maker on the computer: it is
asked on port 6060 and streams on ports 4242 to 4245. The link between instrument and program is
not public and not simulated. Sources: user manual of the Time Controller Series, sections 6.3, 8.2
and 9, and the maker's example programs. Assumed, because neither says so: the unit of a counter's
integration time (ms), the words of an idle record timer, the wiring of the COUNT preset, and
"NONE" for an input that is not linked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from labctl.transport import Endpoint
from simulated_instruments.idq_id900_blocks import (
    CHANNELS,
    COMBINERS,
    DELAYS,
    INPUTS,
    OPERATIONS,
    Blocks,
)
from simulated_instruments.idq_id900_link import DataLink
from simulated_instruments.idq_id900_parts import MOST_BINS, Acquisition, Counter
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.tagger import PS, TaggerModel
from simulated_instruments.protocol.command_tree import CommandTree, Refused, matches
from simulated_instruments.protocol.zmtp import PairEndpoint, RepEndpoint
from simulated_instruments.world import World

__all__ = ["SimIdqId900", "TaggerModel"]

ANSWERING = 2e-4  # s
MS = PS // 1000
WIDEST = 17_179_869_183_999  # ps, of a bin
LONGEST_DELAY = PS  # ps
_TIME = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*([kMGT]?)(?:TB)?", re.ASCII)
_VOLTS = re.compile(r"([+-]?[\d.]+(?:[eE][+-]?\d+)?)\s*(m?)V?", re.ASCII)
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "m": 1e-3}


def time_of(text: str) -> int:
    """A time in ps, with or without its unit ("1000", "1e12", "3000 GTB")."""
    match = _TIME.fullmatch(text)
    if not match:
        raise Refused(f"{text[:20]!r} is no time")
    return round(float(match[1]) * _FACTORS[match[2]])


def _volts(text: str) -> float:
    match = _VOLTS.fullmatch(text)
    if not match:
        raise Refused(f"{text[:20]!r} is no voltage")
    return float(match[1]) * _FACTORS[match[2]]


def _switch(text: str) -> bool:
    if text.upper() not in ("ON", "OFF", ""):
        raise Refused(f"{text[:20]!r} is neither ON nor OFF")
    return text.upper() != "OFF"


def _between(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise Refused(f"{value} is not from {low} to {high}")
    return value


class SimIdqId900(SimulatedInstrument):
    """The commands, in front of a `TaggerModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {
        "scpi": Port("zmq-rep", default=5555),
        "datalink": Port("zmq-rep", default=6060),
        **{
            f"stream{n}": Port("zmq-pair", default=4241 + n, connections=1)
            for n in range(1, CHANNELS + 1)
        },
    }

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: TaggerModel = world.part(
            name, lambda: TaggerModel(world.seed_of, name, zero_ps=None)
        )
        #: Folder for files of `start-save`; None: the service writes none.
        self.save_folder: Path | None = None
        self.link = DataLink(lambda: self.model.now, lambda: self.save_folder)
        self.blocks = Blocks(self.model, self.link.deliver)
        self._number, self._duration, self._enabled, self._armed = 1, PS, True, "MANU"
        self._errors = dict.fromkeys(range(1, INPUTS + 1), 0)
        serial = world.seed_of(f"{name}.serial") % 900000 + 100000
        self.tree = tree = CommandTree()
        tree.add("*IDN?", lambda _: f"IDQ,ID900,{serial},1.15.0")
        self._device(tree)
        for n in range(1, INPUTS + 1):
            self._input(tree, n)
        self._value(tree, "STARt:ENABle", "ON", str)  # its signal is the world's
        for n in range(1, DELAYS + 1):
            self._delay(tree, n)
        for n in range(1, COMBINERS + 1):
            self._combiner(tree, n)
        for n in range(1, CHANNELS + 1):
            self._histogram(tree, n)
            self._raw(tree, n)
        for block in self.blocks.counters:
            self._counter(tree, block)
        self._record(tree)

    def connect(self, port: str = "") -> Endpoint:
        if port in ("", "scpi"):
            return RepEndpoint(self.world, self._command)
        if port == "datalink":
            return RepEndpoint(self.world, self._request)
        if port in self.PORTS:
            return PairEndpoint(self.world, partial(self._frames, int(port[-1])))
        raise ValueError(f"{self.name}: no port {port!r}; there are {', '.join(self.PORTS)}")

    # ------------------------------------------------- the three kinds of connections

    def _command(self, request: bytes, now: float) -> tuple[float, bytes]:
        self.model.catch_up()
        try:
            lines = self.tree.execute(request.decode("utf-8"))
        except (ValueError, OverflowError) as error:
            return ANSWERING, f"SCPI_ERR_EXECUTION: {error}".encode()
        return ANSWERING, "\n".join(lines).encode()

    def _request(self, request: bytes, now: float) -> tuple[float, bytes]:
        self.model.catch_up()
        answer = self.link.answer(request.decode("utf-8", "replace"))
        return ANSWERING, json.dumps(answer).encode()

    def _frames(self, channel: int, now: float) -> Iterable[bytes]:
        self.model.catch_up()
        return self.link.frames(channel)

    # ------------------------------------------------- commands

    def _value(
        self, tree: CommandTree, header: str, value: Any, read: Callable[[str], Any]
    ) -> None:
        """A setting that only is remembered."""
        held = [value]
        tree.add(header, lambda text: held.__setitem__(0, read(text)))
        tree.add(f"{header}?", lambda _: held[0])

    def _attribute(
        self,
        tree: CommandTree,
        header: str,
        owner: Any,
        attribute: str,
        read: Callable[[str], Any],
        write: Callable[[Any], Any] = str,
    ) -> None:
        tree.add(header, lambda text: setattr(owner, attribute, read(text)))
        tree.add(f"{header}?", lambda _: write(getattr(owner, attribute)))

    def _device(self, tree: CommandTree) -> None:
        fine = self.model.resolution_ps < 100
        tree.add("DEVIce:RESolution?", lambda _: "HIRES" if fine else "LOWRES")
        tree.add("DEVIce:RESolution:BWIDth?", lambda _: self.model.resolution_ps)
        tree.add("DEVIce:SAMPling:RECAlibrate", lambda _: None)
        tree.add("DEVIce:CONFiguration:LOAD", self._load)

    def _load(self, preset: str) -> None:
        presets = {
            "HISTO": self.blocks.preset_histograms,
            "COUNT": self.blocks.preset_coincidences,
        }
        if preset.upper() not in presets:
            raise Refused(f"no configuration {preset[:20]!r}; there are HISTO and COUNT")
        presets[preset.upper()]()

    def _input(self, tree: CommandTree, n: int) -> None:
        one, head = self.model.inputs[n - 1], f"INPUt{n}"
        self._attribute(tree, f"{head}:ENABle", one, "enabled", _switch, _on)
        tree.add(f"{head}:THREshold", lambda text: self._threshold(n, text))
        tree.add(f"{head}:THREshold?", lambda _: f"{one.threshold_v:g}V")
        edges = {"RISING": False, "FALLING": True}
        self._attribute(
            tree, f"{head}:EDGE", one, "falling",
            lambda text: edges[self._word(text, "RISIng", "FALLing")],
            lambda falling: "FALLING" if falling else "RISING",
        )  # fmt: skip
        self._value(tree, f"{head}:COUPling", "DC", lambda text: self._word(text, "DC", "AC"))
        self._value(
            tree, f"{head}:SELEct", "UNSHAPED",
            lambda text: self._word(text, "UNSHaped", "SHAPed", "OUTPut"),
        )  # fmt: skip
        tree.add(f"{head}:HIRES:ERROR?", lambda _: self._errors[n])
        tree.add(f"{head}:HIRES:ERROR:CLEAR", lambda _: self._errors.update({n: 0}))

    def _threshold(self, n: int, text: str) -> None:
        volts = _volts(text)
        if not -2.5 <= volts <= 2.5:
            raise Refused(f"threshold {volts:g} V is not from -2.5 to 2.5 V")
        self.model.inputs[n - 1].threshold_v = volts

    @staticmethod
    def _word(text: str, *words: str) -> str:
        for word in words:
            if text and matches(word, text):
                return word.upper()
        raise Refused(f"{text[:20]!r} is none of {', '.join(words)}")

    def _linked(self, text: str) -> str:
        """The name of a block, in its short form; "" for NONE."""
        if text.upper() == "NONE":
            return ""
        names = [f"INPUt{n}" for n in range(1, INPUTS + 1)]
        names += [f"DELAy{n}" for n in range(1, DELAYS + 1)]
        names += [f"TSCOmbiner{n}" for n in range(1, COMBINERS + 1)]
        for name in [*names, "STARt", "RECord"]:
            if text and matches(name, text):
                return "".join(c for c in name if not c.islower())
        raise Refused(f"there is no block {text[:20]!r}")

    def _upstream(self, block: str, text: str) -> str:
        """The name of a block that `block` may be linked to: it must not get what it gives."""
        linked = self._linked(text)
        if linked and self.blocks.feeds(block, linked):
            raise Refused(f"{block} would feed itself")
        return linked

    def _link(self, tree: CommandTree, header: str, owner: Any, attribute: str) -> None:
        self._attribute(tree, header, owner, attribute, self._linked, _name)

    def _delay(self, tree: CommandTree, n: int) -> None:
        delay, head = self.blocks.delays[n], f"DELAy{n}"
        self._attribute(
            tree, f"{head}:VALUe", delay, "value",
            lambda text: _between(time_of(text), -LONGEST_DELAY, LONGEST_DELAY), _tb,
        )  # fmt: skip
        self._attribute(
            tree, f"{head}:LINK", delay, "link", partial(self._upstream, f"DELA{n}"), _name
        )

    def _combiner(self, tree: CommandTree, n: int) -> None:
        head = f"TSCOmbiner{n}"

        def part(header: str, attribute: str, read: Any, write: Any) -> None:
            def get(_: str) -> str:
                return str(write(getattr(self.blocks.combiners[n], attribute)))

            def put(text: str) -> None:
                setattr(self.blocks.combiners[n], attribute, read(text))

            tree.add(f"{head}:{header}", put)
            tree.add(f"{head}:{header}?", get)

        upstream = partial(self._upstream, f"TSCO{n}")
        part("FIRst:LINK", "first", upstream, _name)
        part("SECond:LINK", "second", upstream, _name)
        part("WINDow:ENABle", "window", _switch, _on)
        for end in ("BEGIn", "END"):
            part(f"WINDow:{end}:LINK", end.lower(), upstream, _name)
            part(f"WINDow:{end}:DELAy", f"{end.lower()}_delay", time_of, _tb)
            self._value(tree, f"{head}:WINDow:{end}:EDGE", "RISING", str)
        part("OPIN", "inside", lambda text: self._word(text, *OPERATIONS), str)
        part("OPOUt", "outside", lambda text: self._word(text, *OPERATIONS), str)

    def _counter(self, tree: CommandTree, block: str) -> None:
        counter = self.blocks.counters[block]
        names = {"INPU": "INPUt", "TSCO": "TSCOmbiner", "STAR": "STARt"}
        head = f"{names[block[:4]]}{block[4:]}:COUNter"
        tree.add(f"{head}:MODE", lambda text: self._mode(counter, text))
        tree.add(f"{head}:MODE?", lambda _: "ACCUM" if counter.accumulates else "CYCLE")
        self._attribute(
            tree, f"{head}:INTEgration", counter, "integration",
            lambda text: max(1, time_of(text)) * MS, lambda ps: ps // MS,
        )  # fmt: skip
        tree.add(f"{head}:RESEt", lambda _: counter.reset(round(self.world.now * PS)))
        tree.add(f"{head}?", lambda _: self._count(counter))

    def _mode(self, counter: Counter, text: str) -> None:
        counter.accumulates = self._word(text, "ACCUm", "CYCLe") == "ACCUM"
        if counter.accumulates:
            self.model.wake()

    def _count(self, counter: Counter) -> int:
        if not counter.accumulates:
            self.model.wake(2 * counter.integration)
        return counter.value

    def _histogram(self, tree: CommandTree, n: int) -> None:
        histogram, head = self.blocks.histograms[n], f"HISTogram{n}"
        self._link(tree, f"{head}:REFerence:LINK", histogram, "reference")
        self._link(tree, f"{head}:STOP:LINK", histogram, "stop")
        self._value(tree, f"{head}:ENABle:LINK", "REC", str)
        self._attribute(tree, f"{head}:MINimum", histogram, "minimum", time_of, _tb)
        step = self.model.resolution_ps
        self._attribute(
            tree, f"{head}:BWIDth", histogram, "width",
            lambda text: _between(time_of(text), step, WIDEST), _tb,
        )  # fmt: skip
        self._attribute(
            tree, f"{head}:BCOUnt", histogram, "bins",
            lambda text: _between(time_of(text), 1, MOST_BINS),
        )  # fmt: skip
        tree.add(f"{head}:FLUSh", lambda _: histogram.flush())
        tree.add(f"{head}:DATA?", lambda _: histogram.counts[: histogram.bins].tolist())

    def _raw(self, tree: CommandTree, n: int) -> None:
        raw, head = self.blocks.raw[n], f"RAW{n}"
        self._link(tree, f"{head}:STOP:LINK", raw, "stop")
        self._attribute(tree, f"{head}:REFerence:LINK", raw, "reference", self._start_only, _name)
        self._value(tree, f"{head}:ENABle:LINK", "REC", str)
        self._attribute(tree, f"{head}:SEND", raw, "sending", _switch, _on)
        tree.add(f"{head}:ERRORS?", lambda _: raw.errors)
        tree.add(f"{head}:ERRORS:CLEAR", lambda _: setattr(raw, "errors", 0))

    def _start_only(self, text: str) -> str:
        name = self._linked(text)
        if name not in ("", "STAR"):
            raise Refused("raw channels refer to STARt or NONE (others are not simulated)")
        return name

    def _record(self, tree: CommandTree) -> None:
        self._attribute(
            tree, "RECord:TRIGger:ARM:MODE", self, "_armed",
            lambda text: self._word(text, "MANUal", "AUTO"),
        )  # fmt: skip
        self._attribute(tree, "RECord:ENABle", self, "_enabled", _switch, _on)
        self._attribute(
            tree, "RECord:NUMber", self, "_number", lambda text: _between(time_of(text), 0, 10**9)
        )
        self._attribute(
            tree, "RECord:DURation", self, "_duration",
            lambda text: _between(time_of(text), 1, 1 << 62), _tb,
        )  # fmt: skip
        tree.add("RECord:PLAY", lambda _: self._play())
        tree.add("RECord:STOP", lambda _: self._stop())
        tree.add("RECord:STAGe?", lambda _: "PLAYING" if self._playing() else "STOPPED")

    def _playing(self) -> bool:
        acquisition = self.blocks.acquisition
        return acquisition is not None and acquisition.end() > round(self.world.now * PS)

    def _play(self) -> None:
        if not self._enabled:
            raise Refused("the record timer is not enabled")
        if not self._playing():
            start = round(self.world.now * PS)
            self.model.wake()
            self.blocks.acquisition = Acquisition(start, self._duration, self._number)
            self.link.started()

    def _stop(self) -> None:
        if self._playing():
            assert self.blocks.acquisition is not None
            self.blocks.acquisition.stopped = round(self.world.now * PS)


def _on(value: bool) -> str:
    return "ON" if value else "OFF"


def _tb(value: int) -> str:
    return f"{value}TB"


def _name(linked: str) -> str:
    return linked or "NONE"
