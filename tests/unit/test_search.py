"""What people type to find runs: units of parameters and results, words beside them."""

from __future__ import annotations

import codecs
import math
import sqlite3
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymeasure.units import ureg

from labctl.cli import plainly
from labctl.errors import RequestError
from labctl.run.catalogue import INDEX, list_runs, newest_runs
from labctl.run.folder import RunFolder
from labctl.run.search import Kind, compared, conditions
from labctl.units import measured, to_unit, unit_text

PREFIXES = {"p": -12, "n": -9, "u": -6, "µ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
BASES = ("Hz", "W", "V", "A", "K", "T", "F", "J", "m", "s", "rad", "g", "eV", "Pa", "N", "bit",
         "ohm")  # fmt: skip


def make(runs: Path, results: dict, units: dict | None = None, **parameters: object) -> None:
    about = {"parameters": parameters, "units": units or {}, "title": "night"}
    with RunFolder.create(runs, "p", about) as run:
        run.results({
            name: {"value": value, "uncertainty": None, "unit": unit}
            for name, (value, unit) in results.items()
        })  # fmt: skip
        run.stop("finished")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One name in several units, as several procedures have them."""
    place = tmp_path_factory.mktemp("search") / "runs"
    make(place, {"power": (5.0, "mW"), "mode": ("fast", "")}, {"f": "GHz"}, f=1.2, pair=16)
    make(place, {"power": (0.006, "W"), "mode": ("5mm", "")}, {"f": "MHz"}, f=1150.0, pair=17)
    make(place, {"power": (10.0, "dBm")}, {"f": "1/s", "wait": "s"}, f=1.2e9, wait=3600.0)
    make(place, {"power": (7.0, "V")}, {"turn": "rad", "warm": "K"}, turn=math.pi / 2, warm=298.15)
    make(place, {"rate": (40.0, "1/s"), "n": (3.0, "quanta"), "small": (2.5e-4, "")},
         {"load": "Ohm", "share": "%"}, load=50.0, share=12.5)  # fmt: skip
    return place


@pytest.mark.parametrize(
    ("text", "found"),
    [("power>5 mW", [2, 3]), ("power>5mW", [2, 3]), ("power > 5 mW", [2, 3]),
     ("power>=5 mW", [1, 2, 3]), ("power=5 mW", [1]), ("power!=5 mW", [2, 3]),
     ("power=6 mW", [2]), ("power=6000 µW", [2]), ("power>6 dBm", [1, 2, 3]), ("power>7 dBm", [2, 3]),
     ("power=10 mW", [3]), ("power>6", [3, 4]), ("power>6 V", [4]), ("power>0 W", [1, 2, 3]),
     ("f=1.2 GHz", [1, 2, 3]), ("f=1.20 GHz", [1, 3]), ("f=1200 MHz", [1, 3]), ("f<1.2 GHz", [2]),
     ("f>1e9 Hz", [1, 2, 3]), ("f=1.2e9", [3]), ("f=1.2", [1]), ("wait=1 h", [3]),
     ("wait<2 hours", [3]), ("wait<60.5 min", [3]), ("turn=90 deg", [4]), ("turn<90.1°", [4]),
     ("warm=25 °C", [4]), ("warm=25.0degC", [4]), ("warm<0.1 kK", [4] * 0), ("load=0.05 kOhm", [5]),
     ("load=50 Ω", [5]), ("rate>30 1/s", [5]), ("rate>0.03 kHz", [5]), ("rate>2300 1/min", [5]),
     ("n=3 quanta", [5]), ("n<4", [5]), ("share=12.5 %", [5]), ("small=2.5e-4", [5]),
     ("small=2.4e-4", []), ("pair=16 night", [1]), ("power>5 mW night pair=17", [2]),
     ('power>4 "mW"', [1]), ('"power>5 mW"', [2, 3]), ("mode=5mm", [2]), ("mode=fast", [1]),
     ("mode!=5mm", [1]), ("power>−5 dBm", [1, 2, 3]), ("unknown>5 mW", []), ("power>", [1, 2, 3, 4])],
)  # fmt: skip
def test_a_unit_is_converted_to_that_of_each_run(runs: Path, text: str, found: list[int]) -> None:
    assert [run.number for run in list_runs(runs, search=text)] == found
    assert [run.number for run in newest_runs(runs, text)[0]] == found[::-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [("power>5 s", "power>5 s: runs have power in V or W or dBm or mW, to which s does not"),
     ("power>5s", "power>5 s: runs have power in"), ("pair>3 dB", "pair>3 dB: runs have pair without a unit"),
     ("wait<5 MHZ", "in s, and MHZ is no unit; small and capital letters differ"),
     ("wait>5 m night", "to which m does not convert"), ("wait>5m", "m does not convert"),
     ("mode>5 mm", "as a text"), ("power>many", "compares with what is no number"),
     ("mode=5 mm", "as a text"), ("power>5 mW wait>5 mK", "wait>5 mK: runs have wait in s")],
)  # fmt: skip
def test_a_unit_that_no_run_has_is_refused_with_those_there_are(
    runs: Path, text: str, said: str
) -> None:
    for look in (list_runs, newest_runs):
        with pytest.raises(RequestError) as refused:
            look(runs, search=text)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_unit_that_only_runs_had_which_are_gone_is_forgotten(tmp_path: Path) -> None:
    make(tmp_path, {"power": (5.0, "V")})
    make(tmp_path, {"power": (5.0, "mW")})
    assert list_runs(tmp_path, search="power>4 V")
    (gone,) = tmp_path.glob("0001-*")
    gone.rename(tmp_path / "gone")
    with pytest.raises(RequestError, match="in mW, to which V"):
        list_runs(tmp_path, search="power>4 V")


def test_the_index_of_an_older_version_is_built_anew(tmp_path: Path) -> None:
    make(tmp_path, {"power": (5.0, "mW")})
    with sqlite3.connect(tmp_path / INDEX) as index:  # as version 5 had it
        index.execute("CREATE TABLE runs (run INTEGER PRIMARY KEY, folder TEXT)")
        index.execute("CREATE TABLE quantities (name TEXT, value, run INTEGER)")
        index.execute("PRAGMA user_version = 5")
    assert newest_runs(tmp_path, "power>4 mW") == ([], False)
    assert [run.number for run in list_runs(tmp_path, search="power>0.004 W")] == [1]
    assert [run.number for run in newest_runs(tmp_path, "power>0.004 W")[0]] == [1]


def kinds(*units: str | None):
    return lambda _: [Kind(number, unit) for number, unit in enumerate(units)]


WORD = st.text(string.ascii_lowercase, min_size=6, max_size=9).filter(
    lambda word: word not in ("second", "minute", "degree", "radian", "ampere", "kelvin", "photon")
)
NUMBER = st.from_regex(r"-?[0-9]{1,6}(\.[0-9]{1,6})?(e-?[0-9])?", fullmatch=True)


@given(NUMBER, st.sampled_from(["<", "<=", ">", ">=", "!="]), st.sampled_from(sorted(PREFIXES)),
       st.sampled_from(sorted(PREFIXES)), st.sampled_from(BASES), st.sampled_from(["", " "]),
       st.lists(WORD, max_size=2))  # fmt: skip
def test_a_comparison_means_the_number_that_units_say(
    number, sign, prefix, recorded, base, blank, words
):
    text = " ".join([f"x{sign}{number}{blank}{prefix}{base}", *words])
    sql, values = conditions(text, kinds(recorded + base))
    assert len(sql) == 1 + len(words)
    assert values[2:] == words
    assert values[:2] == [0, to_unit(f"{number} {prefix}{base}", recorded + base)]


@given(st.text(max_size=40), st.sampled_from([(), ("mW",), ("",), (None,), ("mW", "W", None)]))
def test_whatever_is_typed_is_understood_or_refused(text, units):
    compared(text)
    try:
        sql, values = conditions(text, kinds(*units))
    except RequestError:
        return
    assert sum(part.count("?") for part in sql) == len(values)


@given(st.text("x<>=!.0123456789e-mWdBµ%/ \"k'", max_size=14))
def test_half_typed_comparisons_are_understood_or_refused(tail):
    try:
        sql, values = conditions(f"power>{tail}", kinds("mW", ""))
    except RequestError:
        return
    assert sum(part.count("?") for part in sql) == len(values)


@pytest.mark.parametrize("base", BASES)
def test_prefixes_are_those_that_pint_knows(base: str) -> None:
    for prefix, power in PREFIXES.items():
        known = ureg.Quantity(7.0, prefix + base).to(base).magnitude
        assert to_unit(f"7 {prefix}{base}", base) == pytest.approx(known, rel=1e-12)
        assert to_unit(f"7{prefix}{base}", base) == float(f"7e{power}")
        assert to_unit(f"7 {base}", prefix + base) == float(f"7e{-power}")


def test_units_at_their_ends() -> None:
    assert to_unit("0 mW", "dBm") == -math.inf
    assert to_unit("5 kOhm", "Ω") == to_unit("5 kΩ", "Ohm") == to_unit("5 kohm", "ohm") == 5000.0
    assert to_unit("1e99999999999999999999 mW", "W") == math.inf
    assert to_unit("0e99999999999999999999 mW", "W") == 0.0
    for text, unit in (("-5 mW", "dBm"), ("1 dB", "dBm"), ("1 m", "W"), ("1 mw", "W")):
        with pytest.raises(ValueError, match="cannot be converted"):
            to_unit(text, unit)


def test_degrees_are_written_as_people_do_and_read_either_way() -> None:
    found = {"value": 25.31, "uncertainty": 0.02, "unit": "degC"}
    assert measured(found) == "25.310 ± 0.020 °C"
    assert [unit_text(unit) for unit in ("degC/s", "%/degC", "mW", "", None)] == [
        "°C/s", "%/°C", "mW", "", ""
    ]  # fmt: skip
    assert to_unit("25 °C", "degC") == to_unit("25°C", "degC") == 25.0
    codecs.register_error("plainly", plainly)
    assert measured(found).encode("ascii", "plainly") == b"25.310 +- 0.020 degC"
    assert "x – µΩ".encode("ascii", "plainly") == b"x - u\\u03a9"
