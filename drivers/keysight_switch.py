"""Keysight N7734A and other optical switches of the N77 series: one fibre to one of several.

Address: "visa://TCPIP0::HOST::INSTR" or "tcp://HOST:5025". Ports of the one side are letters,
those of the other are numbers: `:ROUT1 A,5` connects A with 5.
"""

from __future__ import annotations

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

SETTLING = 0.02  # s from the answer to light; moving itself takes 5 ms


class KeysightSwitch(LabInstrument):
    """One switch, input A.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        ports: what is connected where, for messages and plots: names of ports 1, 2, ...
    """

    FRAMING = Framing(timeout=5.0)
    IDENTITY = r"N773\dA"
    SETTINGS = ("port",)

    def __init__(self, adapter: object, name: str = "switch", ports: object = (), **kwargs: object):
        super().__init__(adapter, name, **kwargs)  # type: ignore[arg-type]  # pymeasure's own
        self.names = tuple(str(port) for port in ports)  # type: ignore[attr-defined]

    @property
    def port(self) -> int:
        """Control which numbered port A is connected to (int from 1)."""
        answer = self.ask(":ROUT1:CHAN1?").strip()
        letter, _, number = answer.partition(",")
        if letter != "A" or not number.isdecimal():
            raise InstrumentError(
                f"{self.name}: :ROUT1:CHAN1? was answered with {answer!r} instead of a route"
            )
        return int(number)

    @port.setter
    def port(self, number: int) -> None:
        if isinstance(number, bool) or number != int(number) or number < 1:
            raise RequestError(f"{self.name}: port must be a whole number from 1, got {number!r}")
        with self.transaction():
            self.write(f":ROUT1:CHAN1 A,{int(number)}")
            self.check_set_errors()
            self.ask("*OPC?")
        self.clock.sleep(SETTLING)

    def select(self, what: str) -> None:
        """Connect A with the port that has this name in the bench file."""
        if what not in self.names:
            known = ", ".join(self.names) or "none; give them as `ports` in the bench file"
            raise RequestError(f"{self.name}: there is no port named {what!r}; there are {known}")
        self.port = self.names.index(what) + 1
