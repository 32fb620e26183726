"""What a failure card says of the wire: the command that went wrong and its answer, or nothing."""

from __future__ import annotations

import pytest

from labctl.viewing.failure import Message, _exchange

SAFE = [("→", "HEAT 0"), ("→", "*IDN?"), ("←", "TOY,1,2"), ("closed", "")]
READ = [("→", "TEMP?"), ("←", "20.3"), ("→", "HEAT?"), ("←", "+1.50000E+02")]


def wire(*pairs):
    return [Message(float(t), "toy", *pair) for t, pair in enumerate(pairs)]


@pytest.mark.parametrize(
    ("before", "reason", "command", "answer"),
    [
        ([("→", "VOLT?"), ("✕ no answer", "")], "toy: the answer to 'VOLT?' did not come in 5 s",
         "VOLT?", "✕ no answer"),
        ([("→", "TEMP?"), ("←", "E12")], "toy: TEMP? was answered 'E12', not a number", "TEMP?",
         "E12"),
        ([("→", "SENS:X 3"), ("→", "SYST:ERR?"), ("←", '-113,"Undefined"')],
         "toy: 'SENS:X 3' was answered with -113,\"Undefined\"; read it back", "SENS:X 3",
         '-113,"Undefined"'),
        ([("→", "SENS?"), ("←", "abc")], "ValueError: could not convert string to float: 'abc'",
         "SENS?", "abc"),
        (READ, "interlock toy.heater: 150 W, allowed 0 to 100 W; run stopped", "HEAT?",
         "+1.50000E+02"),
        (READ, "toy: power 170 W is outside 0 to 160 W", "", ""),  # refused before it was sent
        (READ, "ZeroDivisionError: division by zero (scan.py:3)", "", ""),
        ([("→", "TEMP?"), ("✕ lost", "")], "toy: the connection is gone", "TEMP?", "✕ lost"),
        ([], "its process died", "", ""),
    ],
)  # fmt: skip
def test_command_and_answer_are_those_that_went_wrong(before, reason, command, answer):
    sent, answered = _exchange(wire(*READ, *before, *SAFE), reason, 0.0)
    assert (sent.text if sent else "") == command
    assert (answered.text or answered.direction if answered else "") == answer


def test_a_message_lost_long_before_is_not_to_blame():
    own = wire(("→", "TEMP?"), ("✕ no answer", ""), *READ, *SAFE)
    assert _exchange(own, "the power failed", 3.0) == (None, None)
