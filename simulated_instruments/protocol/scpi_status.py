"""Status reporting of IEEE 488.2 and SCPI-99: event registers, status byte, error queue."""

from __future__ import annotations

from collections import deque

#: Standard texts of SCPI-99 volume 2, chapter 21.8.
ERRORS = {
    0: "No error",
    -100: "Command error",
    -101: "Invalid character",
    -102: "Syntax error",
    -104: "Data type error",
    -108: "Parameter not allowed",
    -109: "Missing parameter",
    -111: "Header separator error",
    -113: "Undefined header",
    -114: "Header suffix out of range",
    -121: "Invalid character in number",
    -131: "Invalid suffix",
    -138: "Suffix not allowed",
    -148: "Character data not allowed",
    -151: "Invalid string data",
    -161: "Invalid block data",
    -168: "Block data not allowed",
    -200: "Execution error",
    -213: "Init ignored",
    -221: "Settings conflict",
    -222: "Data out of range",
    -223: "Too much data",
    -224: "Illegal parameter value",
    -230: "Data corrupt or stale",
    -241: "Hardware missing",
    -310: "System error",
    -350: "Queue overflow",
    -363: "Input buffer overrun",
    -400: "Query error",
    -410: "Query INTERRUPTED",
    -420: "Query UNTERMINATED",
    -430: "Query DEADLOCKED",
}

# Bits of the standard event status register.
OPERATION_COMPLETE, QUERY_ERROR, DEVICE_ERROR, EXECUTION_ERROR, COMMAND_ERROR, POWER_ON = (
    1,
    4,
    8,
    16,
    32,
    128,
)
# Bits of the status byte.
ERROR_AVAILABLE, QUESTIONABLE, MESSAGE_AVAILABLE, STANDARD_EVENT, MASTER, OPERATION = (
    4,
    8,
    16,
    32,
    64,
    128,
)


class ScpiError(Exception):
    """What a command handler raises to put an entry into the instrument's error queue."""

    def __init__(self, code: int, detail: str = "") -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code},{ERRORS.get(code, '')};{detail}".rstrip(";"))


class EventRegister:
    """A condition register with transition filters, its latched events and their enable mask."""

    def __init__(self) -> None:
        self.condition = 0
        self.event = 0
        self.preset()

    def preset(self) -> None:
        """What `STATus:PRESet` does: report rising conditions, none of them to the status byte."""
        self.enable = 0
        self.positive = 0x7FFF
        self.negative = 0

    def update(self, condition: int) -> None:
        """Take the present conditions and latch what changed in an enabled direction."""
        changed = condition ^ self.condition
        if changed:
            self.event |= changed & condition & self.positive
            self.event |= changed & ~condition & self.negative
            self.condition = condition

    def take_event(self) -> int:
        """Read the events, which clears them."""
        event, self.event = self.event, 0
        return event


class Status:
    """The status model of one instrument, shared by all its connections."""

    def __init__(self, depth: int = 20) -> None:
        self.depth = depth
        self.errors: deque[tuple[int, str]] = deque()
        self.event = POWER_ON
        self.event_enable = 0
        self.service_enable = 0
        self.operation = EventRegister()
        self.questionable = EventRegister()
        self.awaiting_completion = False  # *OPC was given, its operations have not ended

    def clear(self) -> None:
        """What `*CLS` does: forget events and errors, keep all masks."""
        self.errors.clear()
        self.event = 0
        self.operation.event = 0
        self.questionable.event = 0
        self.awaiting_completion = False

    def push(self, code: int, detail: str = "") -> None:
        """Queue an error and set its bit in the event register; a full queue says so itself."""
        kinds = {1: COMMAND_ERROR, 2: EXECUTION_ERROR, 4: QUERY_ERROR}
        self.event |= kinds.get(-code // 100, DEVICE_ERROR) if code < 0 else DEVICE_ERROR
        if len(self.errors) >= self.depth:
            self.errors[-1] = (-350, "")
            self.event |= DEVICE_ERROR
        else:
            self.errors.append((code, detail))

    def pop(self) -> tuple[int, str]:
        """The oldest error and its text; (0, "No error") when there is none."""
        code, detail = self.errors.popleft() if self.errors else (0, "")
        text = ERRORS.get(code, "Device-specific error")
        return code, f"{text};{detail}" if detail else text

    def byte(self, message_available: bool) -> int:
        """The status byte as `*STB?` gives it; a serial poll would differ in bit 6 only."""
        value = ERROR_AVAILABLE if self.errors else 0
        value |= MESSAGE_AVAILABLE if message_available else 0
        value |= STANDARD_EVENT if self.event & self.event_enable else 0
        value |= OPERATION if self.operation.event & self.operation.enable else 0
        value |= QUESTIONABLE if self.questionable.event & self.questionable.enable else 0
        return value | (MASTER if value & self.service_enable & ~MASTER else 0)
