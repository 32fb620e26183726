"""Parameters: exact, strict, with units; and they survive a round trip through text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import RequestError
from labctl.parameters import boolean, choice, integer, number, numbers, text
from labctl.procedure import LabProcedure, parameter_table


class Example(LabProcedure):
    """An example."""

    level: float = number("Level", 0.5, unit="V", minimum=-1, maximum=2, meaning="how high")
    count: int = integer("Count", 3, minimum=1, maximum=1_000_000)
    kind: str = choice("Kind", "fast", ["fast", "slow"])
    ratios: list = numbers("Ratios", [0.2, 0.16], minimum=0)
    keep: bool = boolean("Keep", False)
    remark: str = text("Remark", "")
    DATA_COLUMNS = ["index"]


@given(st.floats(-1, 2))
def test_floats_keep_every_bit_through_text(value):
    procedure = Example(level=value)
    parameter = procedure.parameter_objects()["level"]
    assert Example(level=str(parameter)).level == value
    assert math.copysign(1, Example(level=str(parameter)).level) == math.copysign(1, value)


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [("500 mV", 0.5), ("500mV", 0.5), ("1.5", 1.5), ("1.5 V", 1.5), ("-2e2 mV", -0.2), (1, 1.0)],
)
def test_units_are_converted(given_, wanted):
    assert Example(level=given_).level == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"level": "3 Hz"}, "parameter 'level': '3 Hz' cannot be converted to V"),
        ({"level": 2.1}, "above the maximum 2 V"),
        ({"level": -1.1}, "below the minimum -1 V"),
        ({"level": "nan"}, "not a finite number"),
        ({"level": float("inf")}, "not a finite number"),
        ({"level": True}, "not a number"),
        ({"level": "high"}, "not a number"),
        ({"level": None}, "not a number"),
        ({"count": 2.9}, "2.9 is not an integer"),
        ({"count": 0}, "below the minimum"),
        ({"count": "3 V"}, "has a unit"),
        ({"count": False}, "not an integer"),
        ({"kind": "fats"}, "did you mean 'fast'?"),
        ({"ratios": "0.2,-0.1"}, "below the minimum"),
        ({"keep": "perhaps"}, "neither true nor false"),
        ({"remark": "two\nlines"}, "one line"),
        ({"levle": 1}, "example has no parameter 'levle', did you mean 'level'?"),
    ],
)
def test_bad_values_are_refused_in_one_line_and_change_nothing(parameters, complaint):
    procedure = Example(level=1.25)
    with pytest.raises(RequestError) as caught:
        procedure.set(count=7, **{k: v for k, v in parameters.items() if k != "count"}) if (
            "count" not in parameters
        ) else procedure.set(**parameters)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (procedure.level, procedure.count) == (1.25, 3)


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        ({"count": "12"}, 12),
        ({"count": "3.0"}, 3),
        ({"count": 1e3}, 1000),
        ({"ratios": "[0.25, 0.5]"}, [0.25, 0.5]),
        ({"ratios": 0.1}, [0.1]),
        ({"keep": "yes"}, True),
        ({"keep": 0}, False),
    ],
)
def test_good_values(parameters, values):
    assert getattr(Example(**parameters), next(iter(parameters))) == values


def test_instances_do_not_share_values():
    one, two = Example(level=1.0), Example()
    assert (one.level, two.level) == (1.0, 0.5)


def test_the_table_for_people_tells_everything():
    table = parameter_table(Example())
    assert table["level"] == {
        "label": "Level", "type": "number", "unit": "V", "default": 0.5, "meaning": "how high",
        "minimum": -1, "maximum": 2,
    }  # fmt: skip
    assert table["kind"]["choices"] == ["fast", "slow"]
    assert {entry["type"] for entry in table.values()} == {
        "number", "integer", "choice", "numbers", "boolean", "text",
    }  # fmt: skip


def test_command_line_name():
    assert Example.name() == "example"
    assert type("SqueezingSpectrum", (LabProcedure,), {}).name() == "squeezing-spectrum"
