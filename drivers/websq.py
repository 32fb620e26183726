"""Detector electronics WebSQ of Single Quantum: bias, trigger levels and counts of nanowires.

JSON over TCP 12000 and counts on TCP 12345, as the maker's client (2020) speaks; the units of its
web interface. Sub-nanosecond timing does not pass through this instrument. The maker publishes
neither ranges nor the size of the voltage across a latched wire: ranges are read from the
instrument, and `latch_voltage` must be checked with it.
"""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymeasure.adapters import Adapter

from drivers._properties import within
from labctl.adapter import ByteAdapter, Framing
from labctl.errors import InstrumentError, RequestError, TransportError, TransportTimeout
from labctl.instrument import LabInstrument
from labctl.transport.opening import host_and_port

END = b"\x17"
COUNTS = Framing(write=b"", read=b"\n", unasked=True, reconnect=0)
MOST_MESSAGES = 1000  # that may come before an answer
PAUSE = 0.05  # s without bias after which a latched wire has recovered


class WebSq(LabInstrument):
    """Electronics of several detectors, numbered from 1.

    Args:
        adapter: the connection to the control port.
        name: the name in the bench file.
        latch_voltage: voltage in V across a wire from which on it counts as latched.
    """

    FRAMING: ClassVar[Framing] = Framing(write=b"", read=END, unasked=True)
    IDENTITY: ClassVar[str] = r"^WebSQ, [1-9]\d* detectors$"
    SETTINGS: ClassVar[tuple[str, ...]] = (
        "bias_currents", "trigger_levels", "period", "enabled",
    )  # fmt: skip

    def __init__(
        self,
        adapter: Adapter | str,
        name: str = "detectors",
        *,
        latch_voltage: float = 0.1,
        **settings: Any,
    ) -> None:
        super().__init__(adapter, name, **settings)
        if not isinstance(self.adapter, ByteAdapter):
            raise RequestError(f"{name}: needs labctl's own adapter; give an address tcp://")
        if not 0 < latch_voltage < math.inf:
            raise RequestError(f"{name}: setting 'latch_voltage' must be positive")
        self.latch_voltage = latch_voltage

    # ------------------------------------------------- wire

    def _say(self, **message: Any) -> None:
        self.adapter.write_bytes(json.dumps(message).encode())

    def properties(self, label: str) -> dict[str, Any]:
        """All that the instrument says of a label: `value`, and limits and units if it has some.

        Raises:
            InstrumentError: it reports an error instead.
        """
        with self.transaction():
            self._clear()
            return self._properties(label)

    def _properties(self, label: str) -> dict[str, Any]:
        self._say(request=label)
        for _ in range(MOST_MESSAGES):
            heard, value = self._message(label)
            if "Error" in heard:
                raise InstrumentError(f"{self.name}: the instrument reports {value!r}")
            if heard == label and isinstance(value, dict) and "value" in value:
                return value
        raise InstrumentError(
            f"{self.name}: no answer to the request for {label} among {MOST_MESSAGES} messages; "
            "check that this is the control port"
        )

    def _clear(self) -> None:
        """Leave behind what was told unasked, or late: the next answer must be a new one."""
        try:
            heard = self.adapter.arrived()
            while heard and not heard.endswith(END):
                heard += self.adapter.receive()
        except TransportError:
            self.adapter.close()

    def _message(self, label: str) -> tuple[str, Any]:
        try:
            text = self.adapter.read()
        except TransportTimeout as error:
            self.adapter.close()  # a late answer must not meet the next request
            raise TransportTimeout(
                f"{self.name}: no answer to the request for {label} came in "
                f"{self.adapter.timeout:g} s; check the instrument and its address"
            ) from error
        try:
            message = json.loads(text)
            return str(message["label"]), message["value"]
        except (ValueError, TypeError, KeyError, RecursionError):
            raise self._nonsense(label, text, "a label and its value") from None

    def label(self, label: str) -> Any:
        """The value of a label."""
        return self.properties(label)["value"]

    def command(self, command: str, label: str, value: Any, check: str = "") -> Any:
        """Send a command, then ask for what it should have changed, and return that.

        Args:
            command: its name.
            label: what it is about; "" if the maker's client sends none with this command.
            value: of it.
            check: label to ask for, if not `label`.
        """
        with self.transaction():
            self._clear()
            about = {"label": label} if label else {}
            self._say(command=command, **about, value=value)
            return self._properties(check or label)["value"]

    def identify(self) -> str:
        """Who answers: the protocol knows nothing but the number of detectors."""
        try:
            return f"WebSQ, {int(self.label('NumberOfDetectors'))} detectors"
        except (TypeError, ValueError):
            return "no WebSQ"

    # ------------------------------------------------- settings

    @property
    def detectors(self) -> int:
        """Get the number of detectors."""
        return int(self.label("NumberOfDetectors"))

    @property
    def bias_currents(self) -> tuple[float, ...]:
        """Control the bias currents of all detectors in uA."""
        return self._list("BiasCurrent")

    @bias_currents.setter
    def bias_currents(self, currents: Any) -> None:
        self._set_list("SetAllBiasCurrents", "BiasCurrent", currents, "bias current in uA", 0.051)

    @property
    def trigger_levels(self) -> tuple[float, ...]:
        """Control the trigger levels of all detectors in mV."""
        return self._list("TriggerLevel")

    @trigger_levels.setter
    def trigger_levels(self, levels: Any) -> None:
        self._set_list("SetAllTriggerLevels", "TriggerLevel", levels, "trigger level in mV", 1.0)

    @property
    def period(self) -> float:
        """Control the measurement period in s, a multiple of 1 ms (float)."""
        return float(self.label("InptMeasurementPeriod")) * 1e-3

    @period.setter
    def period(self, seconds: float) -> None:
        bounds = self.properties("InptMeasurementPeriod").get("bounds")
        low, high = bounds if _is_range(bounds) else (1, 1e6)
        wanted = round(within(seconds * 1e3, (low, high), "measurement period in ms"))
        found = self.command("SetMeasurementPeriod", "InptMeasurementPeriod", wanted)
        if found != wanted:
            raise InstrumentError(f"{self.name}: period {wanted} ms was set, it has {found} ms")

    @property
    def enabled(self) -> bool:
        """Control whether the detectors have their bias (bool)."""
        return bool(self.label("DetectorEnable"))

    @enabled.setter
    def enabled(self, on: bool) -> None:
        if not isinstance(on, bool):
            raise RequestError(f"{self.name}: enabled must be True or False, got {on!r}")
        if self.command("DetectorEnable", "DetectorEnable", on) != on:
            raise InstrumentError(f"{self.name}: the detectors could not be switched")

    def _list(self, label: str) -> tuple[float, ...]:
        values = self.label(label)
        try:
            return tuple(float(value) for value in values)
        except (TypeError, ValueError):
            raise self._nonsense(label, str(values), "numbers") from None

    def _set_list(self, command: str, label: str, values: Any, what: str, tolerance: float) -> None:
        known = self.properties(label)
        bounds = known.get("bounds")
        limits = tuple(bounds) if _is_range(bounds) else (-math.inf, math.inf)
        try:
            wanted = [float(value) for value in values]
        except TypeError:
            raise RequestError(f"{self.name}: give a {what} for each detector") from None
        if len(wanted) != len(known["value"]):
            raise RequestError(
                f"{self.name}: {len(known['value'])} detectors need as many values, got {wanted}"
            )
        for value in wanted:
            within(value, limits, what)
        found = self.command(command, label, wanted)
        if not np.allclose(found, wanted, rtol=0.0, atol=tolerance):
            raise InstrumentError(
                f"{self.name}: {what} {wanted} was set, the instrument has {found}; "
                "check its limits"
            )

    # ------------------------------------------------- bias search and latching

    def auto_bias(self, dark_counts: float = 100.0, timeout: float = 600.0) -> tuple[float, ...]:
        """Let the instrument look for the bias at which each detector has these dark counts (1/s).

        Shade the detectors first: it cannot tell dark counts from light.

        Returns:
            the bias currents in uA, which are set now.
        """
        within(dark_counts, (0.1, 1e6), "dark counts in 1/s")
        wanted = [dark_counts] * self.detectors
        self.command("DarkCountsAutoIV", "DarkCountsAutoIV", wanted, check="NumberOfDetectors")
        self._search(True)
        give_up = self.clock.now() + timeout
        while self.label("StartAutoIV"):
            if self.clock.now() > give_up:
                self._search(False)
                raise InstrumentError(
                    f"{self.name}: the bias search did not end in {timeout:g} s and was stopped; "
                    "check that the detectors are cold"
                )
            self.clock.sleep(0.2)
        return self._list("BiasCurrentAutoIV")

    def _search(self, on: bool) -> None:
        self.command("AutoCaliBiasCurrents", "", on, check="StartAutoIV")

    @property
    def bias_voltages(self) -> tuple[float, ...]:
        """Get the dc voltages across all wires in V; a superconducting one has none."""
        return self._list("BiasVoltage")

    @property
    def latched(self) -> tuple[int, ...]:
        """Get the numbers of the detectors that have latched and give no counts."""
        volts = self.bias_voltages
        return tuple(n for n, v in enumerate(volts, 1) if abs(v) > self.latch_voltage)

    @property
    def latched_count(self) -> int:
        """Get how many detectors have latched; an interlock can watch it (int)."""
        return len(self.latched)

    def check_latched(self) -> None:
        """Raise InstrumentError if a detector has latched."""
        if latched := self.latched:
            told = " and ".join(map(str, latched))
            raise InstrumentError(
                f"{self.name}: detector {told} has latched and gives no counts; call unlatch(), "
                "and lower its bias or the light if it happens again"
            )

    def unlatch(self) -> tuple[int, ...]:
        """Take the bias from latched detectors until they recover, and give it back.

        Returns:
            the detectors that were latched.
        """
        latched = self.latched
        if latched:
            before = self.bias_currents
            off = [0.0 if n in latched else bias for n, bias in enumerate(before, 1)]
            self.bias_currents = off
            try:
                self.clock.sleep(PAUSE)
            finally:
                self.bias_currents = before
            self.check_latched()
        return latched

    # ------------------------------------------------- counts

    def counts(self, periods: int = 1) -> NDArray[np.int64]:
        """Counts of the next whole measurement periods: a row for each, a column per detector."""
        periods = int(within(periods, (1, 1e6), "number of periods"))
        detectors, period = self.detectors, self.period
        port = self.adapter.port("counts", self._counts_address(), COUNTS)
        rows = []
        try:
            # The first line may tell of a period that began under other settings.
            for _ in range(periods + 1):
                rows.append(self._row(port.read(timeout=port.timeout + 2 * period), detectors))
        except TransportTimeout as error:
            raise TransportTimeout(
                f"{self.name}: no counts came for {port.timeout + 2 * period:g} s; check the port "
                "of the counts and that no other program holds it"
            ) from error
        finally:
            port.close()
        return np.array(rows[1:], dtype=np.int64)

    def _row(self, line: str, detectors: int) -> list[int]:
        try:
            _, *counts = [float(part) for part in line.split(",")]
        except ValueError:
            counts = []
        if len(counts) != detectors or not all(c >= 0 and c.is_integer() for c in counts):
            raise self._nonsense("the counts port", line, f"a time and {detectors} counts")
        return [int(count) for count in counts]

    def count_rates(self, seconds: float) -> tuple[float, ...]:
        """Count rates of all detectors in 1/s, over at least `seconds`."""
        period = self.period
        periods = max(1, math.ceil(within(seconds, (1e-3, 1e5), "counting time in s") / period))
        total = self.counts(periods).sum(axis=0)
        return tuple(float(count) / (periods * period) for count in total)

    def _counts_address(self) -> str:
        address = str(getattr(self.adapter, "address", ""))
        return f"tcp://{host_and_port(address, 12000)[0] if address else 'localhost'}:12345"


def _is_range(bounds: Any) -> bool:
    """Whether these are a lower and an upper limit; other shapes are not documented."""
    return (
        isinstance(bounds, list)
        and len(bounds) == 2
        and all(isinstance(b, int | float) and not isinstance(b, bool) for b in bounds)
    )
