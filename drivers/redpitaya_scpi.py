"""Red Pitaya STEMlab 125-14 4-Input under its SCPI server (port 5000), as a fast data logger.

pymeasure's class underneath, with what it needs to deliver millions of samples:

- it knows two fast inputs; this board has four;
- its binary path reads 8-byte native integers where the board sends big-endian 16-bit ones, scales
  them as if they were unsigned, and so returns noise; here RAW blocks are read as they are;
- `numpy.fromstring` of its text path warns, and a sample in text takes eight bytes instead of two;
- setters of slow outputs and of the trigger cut a value that is too large without a word;
- nobody read the error queue; the trigger had to be armed, fired and awaited by hand.

By default the buffer holds what came after the trigger only (delay of half a buffer), and samples
are not averaged within one decimation: a record is what the input was at one moment.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.instruments import Instrument
from pymeasure.instruments.redpitaya.redpitaya_scpi import AnalogInputFastChannel, RedPitayaScpi

from drivers._properties import number, one_of
from labctl.adapter import ByteAdapter, Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

BUFFER = 16384
CLOCK = 125e6  # Hz
STEPS_PER_VOLT = 8192
LOWEST_CODE, HIGHEST_CODE = -8192, 8191
INPUTS = (1, 2, 3, 4)
MOST_DECIMATION = 65536
OUTPUT_VOLTS = 1.8


class RedPitayaDigitiser(LabInstrument, RedPitayaScpi):  # type: ignore[misc]  # no types
    """Four inputs of +-1 V, 14 bits, one buffer, one trigger."""

    FRAMING = Framing(write=b"\r\n", read=b"\r\n", timeout=10.0)
    IDENTITY = r"REDPITAYA,INSTR"
    SETTINGS = ("decimation", "average_skipped_samples", "board")

    analog_in = Instrument.MultiChannelCreator(AnalogInputFastChannel, INPUTS, prefix="ain")
    board = Instrument.measurement(
        "SYST:BRD:Name?", """Get the board's name (str).""", cast=str, maxsplit=0
    )
    board_name = board
    acq_units = Instrument.control(
        "ACQ:DATA:Units?",
        "ACQ:DATA:Units %s",
        """Control the units of records, RAW or VOLTS (str).""",
        validator=lambda value, words: one_of(value, words, "units"),
        values=("RAW", "VOLTS"),
        cast=str,
        check_set_errors=True,
    )

    acq_trigger_delay_samples = number(
        "ACQ:TRig:DLY", "trigger delay in samples", (-BUFFER / 2, BUFFER / 2), "%d"
    )
    acq_trigger_level = number("ACQ:TRig:LEV", "trigger level in V", (-20.0, 20.0))

    def __init__(self, adapter: Any, name: str = "digitiser", **settings: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            super().__init__(adapter, name, **settings)
        self.name = name  # the base class takes its second argument for an IP address

    def _set(self, *commands: str) -> None:
        for command in commands:
            self.write(command)
        self.check_set_errors()

    # ------------------------------------------------- records

    def configure(self, decimation: int) -> None:
        """Prepare for `acquire`: raw binary data, one sample in `decimation`, no averaging."""
        if decimation not in [2**n for n in range(17)]:
            raise RequestError(
                f"{self.name}: a decimation must be a power of two up to {MOST_DECIMATION}, "
                f"got {decimation!r}"
            )
        self._set(
            "ACQ:RST",
            f"ACQ:DEC {decimation}",
            "ACQ:AVG OFF",
            "ACQ:DATA:Units RAW",
            "ACQ:DATA:FORMAT BIN",
            *(f"ACQ:SOUR{n}:GAIN LV" for n in INPUTS),
            f"ACQ:TRig:DLY {BUFFER // 2}",
        )
        self._spacing = decimation / CLOCK

    def acquire(self) -> NDArray[np.int16]:
        """One buffer of all inputs, shape (16384, 4), in steps of 1/8192 V.

        Raises:
            InstrumentError: the buffer does not fill.
        """
        self.write("ACQ:START")
        self.write("ACQ:TRig NOW")
        self.clock.sleep(BUFFER * self._spacing)
        give_up = self.clock.now() + 2.0
        while not self.acq_buffer_filled:
            if self.clock.now() > give_up:
                raise InstrumentError(
                    f"{self.name}: 'ACQ:TRig:FILL?' still says 0 after "
                    f"{BUFFER * self._spacing + 2.0:.3g} s; check the board and start again"
                )
            self.clock.sleep(0.002)
        return np.stack([self._channel(n) for n in INPUTS], axis=1)

    def _channel(self, n: int) -> NDArray[np.int16]:
        command = f"ACQ:SOUR{n}:DATA?"
        adapter: ByteAdapter = self.adapter
        with self.transaction():
            self.write(command)
            data = adapter.read_block()
        if len(data) != 2 * BUFFER:
            raise InstrumentError(
                f"{self.name}: {command!r} was answered with {len(data)} bytes, not with "
                f"{2 * BUFFER}; check units and format, then configure it again"
            )
        return np.frombuffer(data, dtype=">i2").astype(np.int16)

    @staticmethod
    def decimation_for(spacing: float) -> int:
        """The smallest decimation at which samples are at least `spacing` s apart."""
        if spacing * CLOCK > MOST_DECIMATION:
            raise RequestError(
                f"samples {1e6 * spacing:.4g} us apart are slower than the digitiser can, "
                f"{1e6 * MOST_DECIMATION / CLOCK:.4g} us; ask for more bandwidth"
            )
        return int(2 ** max(0, math.ceil(math.log2(spacing * CLOCK) - 1e-9)))

    # ------------------------------------------------- pins

    def set_output(self, number: int, volts: float) -> None:
        """Set a slow analog output (0 to 3) to 0 to 1.8 V."""
        if number not in range(4) or isinstance(volts, bool) or not 0 <= volts <= OUTPUT_VOLTS:
            raise RequestError(
                f"{self.name}: slow outputs are 0 to 3 with 0 to {OUTPUT_VOLTS:g} V, got output "
                f"{number!r} and {volts!r} V"
            )
        self._set(f"ANALOG:PIN AOUT{number},{volts:.6f}")

    def set_pin(self, pin: str, high: bool) -> None:
        """Drive a digital pin, such as "DIO0_P"."""
        self._set(f"DIG:PIN:DIR OUT,{pin}", f"DIG:PIN {pin},{int(high)}")

    def make_safe(self) -> None:
        """Stop acquiring; pins and slow outputs stay, they hold a switch and a filter."""
        self._set("ACQ:STOP")
