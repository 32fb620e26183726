"""Meerstetter TEC-1091, 1161 and relatives: temperature of a chip, over MeCom.

Serial ("serial:///dev/ttyUSB0?baudrate=57600") or TCP ("tcp://host:50000"). Frames carry a CRC and
a number; a damaged, lost or foreign answer is asked for once more with the same number, as the
manufacturer recommends. The number tells the question, not how many there were: a replay, which
leaves the questions of interlocks out, must send the same bytes.

Sources: MeCom protocol specification 5117C, TEC communication protocol 5136AL.
"""

from __future__ import annotations

import math
import re
import struct
from binascii import crc_hqx
from typing import Any

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.instrument import LabInstrument
from labctl.transport.framing import quoted

ERRORS = {
    1: "it does not know the command",
    2: "it is busy; ask again",
    3: "communication failed; ask again",
    4: "the format is wrong",
    5: "this model has no such parameter",
    6: "the parameter can only be read",
    7: "the value is out of its range",
    8: "this model has no such channel",
    9: "the parameter failed inside the device",
}
STATES = {0: "starting", 1: "ready", 2: "running", 3: "error", 4: "bootloader", 5: "resetting"}
REGULATION = 2  # output stage input selection
STABLE = 2
POLL = 1.0  # s between two looks at a temperature that settles

_FRAME = re.compile(r"!([0-9A-F]{2})([0-9A-F]{4})(.*)([0-9A-F]{4})")


def _parameter(number: int, kind: type, doc: str, *, write: bool = False) -> Any:
    """A property that is one parameter of the device."""

    def get(self: MeerstetterTec) -> Any:
        return self.get_parameter(number, kind)

    def put(self: MeerstetterTec, value: Any) -> None:
        self.set_parameter(number, kind, value)

    return property(get, put if write else None, doc=doc)


class MeerstetterTec(LabInstrument):
    """Meerstetter temperature controller, one channel. Temperatures are in degC.

    Making it safe leaves the regulation as it is: a chip that is let go drifts by kelvins.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        device_address: 1 to 254 on a bus; 0 reaches any single device.
        channel: of a two-channel model.
        minimum: lowest target that is allowed (degC).
        maximum: highest target that is allowed (degC).
        spare_flash: keep targets in memory only: the flash lasts for 100 000 changes.
    """

    FRAMING = Framing(write=b"\r", read=b"\r", timeout=1.0, encoding="latin-1")
    IDENTITY = r"TEC-"
    SETTINGS = ("target", "output", "ramp", "kp", "ti", "td", "current_limit")

    device_type = _parameter(100, int, "Get the model, for example 1091 (int).")
    serial_number = _parameter(102, int, "Get the serial number (int).")
    firmware = _parameter(103, int, "Get the firmware version times 100 (int).")
    status = _parameter(104, int, "Get the device status: 1 ready, 2 running, 3 error (int).")
    error_number = _parameter(105, int, "Get the number of the error that stopped it (int).")
    temperature = _parameter(1000, float, "Get the temperature of the object in degC (float).")
    sink_temperature = _parameter(1001, float, "Get the temperature of the sink in degC (float).")
    nominal = _parameter(1011, float, "Get the set point on its ramp in degC (float).")
    current = _parameter(1020, float, "Get the output current in A (float).")
    voltage = _parameter(1021, float, "Get the output voltage in V (float).")
    resistance = _parameter(1042, float, "Get the resistance of the sensor in ohm (float).")
    ramp = _parameter(3003, float, "Control the speed of changes in degC/s (float).", write=True)
    kp = _parameter(3010, float, "Control the proportional gain in %/degC (float).", write=True)
    ti = _parameter(3011, float, "Control the integration time in s (float).", write=True)
    td = _parameter(3012, float, "Control the derivative time in s (float).", write=True)
    current_limit = _parameter(2030, float, "Control the largest current in A (float).", write=True)
    stability_window = _parameter(
        4040, float, "Control the deviation that counts as stable in degC (float).", write=True
    )
    stability_time = _parameter(
        4041, float, "Control the time in the window before it is stable in s (float).", write=True
    )
    _flash_off = _parameter(108, int, "Control whether changes stay in memory (int).", write=True)
    _source = _parameter(2000, int, "Control what drives the output stage (int).", write=True)
    _enable = _parameter(2010, int, "Control the output stage (int).", write=True)
    _stable = _parameter(1200, int, "Get 0 not regulating, 1 not stable, 2 stable (int).")
    _target = _parameter(3000, float, "Control the target in degC (float).", write=True)

    def __init__(
        self,
        adapter: Any,
        name: str = "tec",
        device_address: int = 0,
        channel: int = 1,
        minimum: float = 10.0,
        maximum: float = 60.0,
        spare_flash: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        if not (0 <= device_address <= 254 and 1 <= channel <= 2 and minimum < maximum):
            raise RequestError(
                f"{name}: device_address must be 0 to 254, channel 1 or 2 and minimum below "
                f"maximum, got {device_address!r}, {channel!r}, {minimum!r} and {maximum!r}"
            )
        self.device_address = device_address
        self.channel = channel
        self.limits = (minimum, maximum)
        self.spare_flash = spare_flash
        self._spared = False

    # ---------------------------------------------------------------- exchanges

    def request(self, payload: str, meaning: str = "") -> str:
        """Send a payload and return that of the reply; "" if the device just accepts.

        Args:
            payload: what stands between sequence number and CRC.
            meaning: what it is, for messages.

        Raises:
            InstrumentError: the device refuses, or its answer is damaged twice.
            TransportTimeout: it did not answer twice.
        """
        number = self._number(payload)
        body = f"#{self.device_address:02X}{number:04X}{payload}"
        check = f"{crc_hqx(body.encode('ascii'), 0):04X}"

        def answer() -> str:
            return self._payload(meaning or payload, number, check, self.ask(body + check))

        with self.transaction():
            try:
                return answer()
            except (_Damaged, TransportTimeout):
                return answer()

    @staticmethod
    def _number(payload: str) -> int:
        """The sequence number of a question."""
        return crc_hqx(payload.encode("ascii"), 0)

    def _payload(self, asked: str, number: int, check: str, reply: str) -> str:
        """The payload of a reply; raises InstrumentError if it makes no sense or says no."""
        match = _FRAME.fullmatch(reply)
        if match is None:
            raise self._damaged(asked, reply, "is no MeCom frame")
        address, sequence, payload, given = match.groups()
        own = self.device_address
        if int(sequence, 16) != number or (own and int(address, 16) != own):
            raise self._damaged(asked, reply, "belongs to another request")
        # an acceptance repeats the CRC of the request instead of having its own
        expected = check if not payload else f"{crc_hqx(reply[:-4].encode('ascii'), 0):04X}"
        if given != expected:
            raise self._damaged(asked, reply, "has a wrong CRC")
        if payload.startswith("+"):
            code = int(payload[1:3], 16) if re.fullmatch(r"\+[0-9A-F]{2}", payload) else 0
            reason = ERRORS.get(code, "see its manual")
            raise InstrumentError(f"{self.name}: {asked} was refused with {payload}: {reason}")
        return payload

    def _damaged(self, asked: str, reply: str, what: str) -> InstrumentError:
        return _Damaged(
            f"{self.name}: the answer {quoted(reply)} to {asked} {what}, twice; "
            "check cable, baud rate and address"
        )

    def get_parameter(self, number: int, kind: type) -> Any:
        """Read a parameter by its number; `kind` is float or int, as its documentation says."""
        asked = f"?VR{number:04X}{self.channel if number >= 1000 else 1:02X}"
        payload = self.request(asked, f"parameter {number}")
        if not re.fullmatch(r"[0-9A-F]{8}", payload):
            raise InstrumentError(
                f"{self.name}: parameter {number} was answered with {quoted(payload)}, "
                "not with 8 digits; check the model"
            )
        return struct.unpack(">f" if kind is float else ">i", bytes.fromhex(payload))[0]

    def set_parameter(self, number: int, kind: type, value: Any) -> None:
        """Write a parameter by its number; the device refuses what is out of its range."""
        try:
            raw = struct.pack(">f" if kind is float else ">i", value)
            if not math.isfinite(value):
                raise ValueError
        except (struct.error, OverflowError, ValueError):
            wanted = "a finite number" if kind is float else "a whole number"
            raise RequestError(
                f"{self.name}: parameter {number} cannot be {value!r}, it must be {wanted}"
            ) from None
        channel = self.channel if number >= 1000 else 1
        digits = raw.hex().upper()
        self.request(f"VS{number:04X}{channel:02X}{digits}", f"parameter {number} = {value!r}")

    def identify(self) -> str:
        """Model, serial number and firmware."""
        text = self.request("?IF").strip()
        return f"TEC-{self.device_type}, {self.serial_number}, {text}, {self.firmware / 100:.2f}"

    # ---------------------------------------------------------------- temperature

    @property
    def target(self) -> float:
        """Control the target temperature in degC (float), within the limits of the bench file."""
        return float(self._target)

    @target.setter
    def target(self, celsius: float) -> None:
        low, high = self.limits
        if not isinstance(celsius, int | float) or not low <= celsius <= high:
            raise RequestError(
                f"{self.name}: {celsius!r} degC is outside {low:g} to {high:g} degC; "
                "minimum and maximum in the bench file say what the chip stands"
            )
        if self.spare_flash and not self._spared:
            self._flash_off = 1
            self._spared = True
        self._target = celsius

    @property
    def output(self) -> bool:
        """Control whether the temperature is regulated (bool); setting verifies it."""
        return bool(self._enable != 0)

    @output.setter
    def output(self, on: bool) -> None:
        if on and self._source != REGULATION:
            self._source = REGULATION
        self._enable = int(bool(on))
        status = self.status
        if on and status == 3:
            raise InstrumentError(
                f"{self.name}: does not regulate, error {self.error_number}; "
                "see the manual for its cause, then reset the device"
            )

    @property
    def stable(self) -> bool:
        """Get whether the temperature is stable by the device's own criterion (bool)."""
        return bool(self._stable == STABLE)

    def settle(self, celsius: float, timeout: float = 300.0) -> None:
        """Regulate to a temperature (degC) and return when the device calls it stable.

        Raises:
            TransportTimeout: it is not stable after `timeout` s.
        """
        self.target = celsius
        self.output = True
        deadline = self.clock.now() + timeout
        while not self.stable:
            if self.clock.now() >= deadline:
                raise TransportTimeout(
                    f"{self.name}: at {self.temperature:.4f} degC instead of {celsius:g} degC and "
                    f"not stable after {timeout:g} s ({STATES.get(self.status, 'unknown state')}, "
                    f"{self.current:.3f} A); allow more time or check gains and current limit"
                )
            self.clock.sleep(POLL)

    def reset(self) -> None:
        """Restart the device with what its flash holds; it is silent for a while."""
        self.request("RS")
        self._spared = False


class _Damaged(InstrumentError):
    """An answer that may be asked for again."""
