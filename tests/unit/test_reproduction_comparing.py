"""What a printed number says, and how far ours is from it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.errors import RequestError
from labctl.reproduction import comparing
from labctl.reproduction.comparing import Ours, compare, contradict, pull
from labctl.reproduction.printed import Printed, parse

NUMBERS = st.floats(-1e6, 1e6)
ERRORS = st.floats(1e-6, 1e6)


@pytest.mark.parametrize(
    ("text", "kind", "value", "error", "step"),
    [
        ("3.08 ± 0.07", "value", 3.08, 0.07, 0.01), ("3.04 ± 0.10", "value", 3.04, 0.10, 0.01),
        ("15", "value", 15.0, None, 1.0), ("140", "value", 140.0, None, 1.0),
        ("~140", "value", 140.0, None, 10.0), ("~15", "value", 15.0, None, 1.0),
        ("~ 20e6", "value", 20e6, None, 1e7), ("20e6", "value", 20e6, None, 1e6),
        ("195.360", "value", 195.36, None, 0.001), ("−11", "value", -11.0, None, 1.0),
        ("-0.50", "value", -0.5, None, 0.01), ("~0", "value", 0.0, None, 1.0),
        ("< 1", "below", 1.0, None, 1.0), ("> 200", "above", 200.0, None, 1.0),
        ("< -20", "below", -20.0, None, 1.0), ("1.5e-3 ± 2e-4", "value", 1.5e-3, 2e-4, 1e-4),
        ("4.7 to 5.2", "range", 4.7, None, 0.1), ("yes", "word", 1.0, None, 0.0),
    ],
)  # fmt: skip
def test_forms_of_printed_numbers(text, kind, value, error, step):
    printed = parse(text)
    assert (printed.text, printed.kind, printed.value, printed.error) == (text, kind, value, error)
    assert printed.step == pytest.approx(step)


@pytest.mark.parametrize(
    "text",
    ["", "about 3", "3.08 +- 0.07", "3 ± 0", "3 ± -1", "5.2 to 4.7", "< 1 ± 2", "1.2.3", "3,1",
     "nan", "inf", "maybe", "3 dB", "1 to", "0x10"],
)  # fmt: skip
def test_what_is_no_printed_number(text):
    with pytest.raises(RequestError) as caught:
        parse(text)
    assert repr(text) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_number_without_error_is_known_to_its_last_digit():
    assert parse("15").sigma == pytest.approx(1 / math.sqrt(12))
    assert parse("1.50 ± 0.02").sigma == 0.02
    assert parse("< 1").sigma == 0.0


@given(value=NUMBERS, theirs=NUMBERS, error=ERRORS, their_error=ERRORS)
def test_the_difference_is_in_combined_sigmas(value, theirs, error, their_error):
    printed = parse(f"{theirs:.6f} ± {their_error:.7f}")
    distance = pull(Ours(value, error), printed)
    combined = math.sqrt(error**2 + printed.sigma**2)
    assert distance * combined == pytest.approx(value - printed.value, abs=1e-9, rel=1e-9)
    # exchanging what is compared changes the sign and nothing else
    exchanged = Printed("", "value", value, value, error, 1.0)
    assert pull(Ours(printed.value, printed.sigma), exchanged) == pytest.approx(-distance)


@given(value=NUMBERS, theirs=NUMBERS, error=ERRORS, their_error=ERRORS)
def test_the_verdict_is_that_of_the_number(value, theirs, error, their_error):
    printed = parse(f"{theirs:.6f} ± {their_error:.7f}")
    found = compare(Ours(value, error), printed)
    wanted = comparing.AGREES if abs(found.pull) <= 2 else comparing.DIFFERS
    assert (found.verdict, found.follows_verdict) == (wanted, "")


@given(value=NUMBERS, bound=st.integers(-1000, 1000), error=ERRORS)
def test_bounds(value, bound, error):
    below, above = parse(f"< {bound}"), parse(f"> {bound}")
    assert pull(Ours(value, error), below) == max(0.0, (value - bound) / error)
    assert pull(Ours(value, error), above) == min(0.0, (value - bound) / error)
    assert pull(Ours(value), below) == (math.inf if value > bound else 0.0)


def test_a_range_is_a_bound_on_both_sides():
    printed = parse("4.7 to 5.2")
    sigma = math.hypot(0.1, 0.1 / math.sqrt(12))
    for value, wanted in (
        (4.7, 0.0),
        (5.0, 0.0),
        (5.2, 0.0),
        (5.4, 0.2 / sigma),
        (4.5, -0.2 / sigma),
    ):
        assert pull(Ours(value, 0.1), printed) == pytest.approx(wanted)


def test_words():
    assert compare(Ours(1.0), parse("yes")).verdict == comparing.AGREES
    assert compare(Ours(0.0), parse("no")).verdict == comparing.AGREES
    differs = compare(Ours(0.0), parse("yes"))
    assert (differs.verdict, differs.pull) == (comparing.DIFFERS, None)
    both = compare(Ours(0.0), parse("yes"), parse("no"))
    assert (both.verdict, both.follows_verdict) == (comparing.INCONSISTENT, comparing.AGREES)


def test_what_contradicts_itself_is_found_from_the_numbers():
    """The key of C50&C30: printed, and what its own columns give."""
    printed, follows = parse("454.6"), parse("309.5 ± 0.9")
    assert contradict(printed, follows)
    ours = compare(Ours(337.0, 7.0), printed, follows)
    assert ours.verdict == comparing.INCONSISTENT
    assert ours.follows_verdict == comparing.DIFFERS
    assert ours.pull == pytest.approx((337 - 454.6) / math.hypot(7, 0.1 / math.sqrt(12)))
    assert ours.follows_pull == pytest.approx((337 - 309.5) / math.hypot(7, 0.9))
    # what follows within rounding contradicts nothing
    assert not contradict(parse("1230.6"), parse("1225.7 ± 3.1"))
    assert compare(Ours(1230.0, 1.0), parse("1230.6"), parse("1225.7 ± 3.1")).verdict == "agrees"


def test_without_a_printed_number_what_follows_decides():
    assert compare(Ours(0.160, 0.001), None).verdict == comparing.NOT_GIVEN
    found = compare(Ours(0.160, 0.001), None, parse("0.16035"))
    assert (found.verdict, found.pull) == (comparing.AGREES, None)
    assert compare(Ours(0.2, 0.001), None, parse("0.16035")).verdict == comparing.DIFFERS


def test_no_value_is_never_an_agreement():
    for ours in (Ours(None), Ours(math.nan, 0.1), Ours(math.inf)):
        for follows in (None, parse("2")):
            found = compare(ours, parse("2"), follows)
            assert (found.verdict, found.pull) == (comparing.NO_VALUE, None)


def test_not_comparable_shows_no_difference():
    found = compare(Ours(1.0, 0.1), parse("5"), comparable=False)
    assert (found.verdict, found.pull, found.follows_verdict) == (
        comparing.NOT_COMPARABLE,
        None,
        "",
    )
    # that a publication contradicts itself does not depend on us
    found = compare(Ours(None), parse("~5"), parse("3.63 ± 0.10"), comparable=False)
    assert found.verdict == comparing.INCONSISTENT
