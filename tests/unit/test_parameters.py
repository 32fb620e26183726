"""Parameters: exact, strict, with units; and they survive a round trip through text."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import RequestError
from labctl.parameters import boolean, choice, integer, number, numbers, text
from labctl.procedure import LabProcedure, parameter_table
from labctl.run.export_csv import _parameter
from labctl.run.loading import all_procedures, load_procedure


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


class Several(LabProcedure):
    """Lists with a unit."""

    powers: list = numbers("Powers", [1.0, 2.0], unit="mW", minimum=0, maximum=10)
    DATA_COLUMNS = ["index"]


@pytest.mark.parametrize(
    ("given_", "wanted"),
    [
        ("0.5, 1", [0.5, 1]),
        ("[0.5,1]", [0.5, 1]),
        ("[0.5, 1.0] mW", [0.5, 1]),  # as `str` of the parameter and exported files say it
        ("[500, 1000] uW", [0.5, 1]),
        ("500 uW, 1 mW", [0.5, 1]),
        ("500 uW, 1,", [0.5, 1]),
        ("", []),
        ("[] mW", []),
        (3, [3]),
    ],
)
def test_lists_as_people_and_files_write_them(given_, wanted):
    assert Several(powers=given_).powers == pytest.approx(wanted, rel=1e-15)
    text_ = str(Several(powers=given_).parameter_objects()["powers"])
    assert Several(powers=text_).powers == Several(powers=given_).powers


@pytest.mark.parametrize(
    "given_", ["1,,2", ",1", ",", "[1, 2] Hz", "[1, 2", "1, 2] mW", "[1, 2 W] mW", "[[1]]", "1; 2"]
)
def test_lists_with_a_slip_are_refused(given_):
    with pytest.raises(RequestError, match="powers"):
        Several(powers=given_)


@pytest.mark.parametrize("name", all_procedures())
def test_what_an_export_writes_of_a_procedure_is_read_again(name):
    procedure = load_procedure(name)()
    written = {
        key: f"{_parameter(value)} {unit}"
        if (unit := getattr(parameter, "units", None))
        else str(value)
        for (key, value), parameter in zip(
            procedure.parameter_values().items(),
            procedure.parameter_objects().values(),
            strict=True,
        )
    }
    assert type(procedure)(**written).parameter_values() == procedure.parameter_values()
    said = {key: str(parameter) for key, parameter in procedure.parameter_objects().items()}
    assert type(procedure)(**said).parameter_values() == procedure.parameter_values()


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
