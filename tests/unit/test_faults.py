"""Faults must hit exactly the replies they were asked to hit, and repeat for the same seed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated_instruments.faults import KINDS, plan, wrap


class Replies:
    """Replies to each feed with what it was fed; remembers it."""

    def __init__(self):
        self.heard = []

    def feed(self, data, now):
        self.heard.append(data)
        return [(now + 0.5, data)] if data else []


def say(table, seed=0, count=4):
    """What comes of `count` replies under a table of faults."""
    endpoint = wrap(Replies(), table, seed)
    return [endpoint.feed(b"reply%d" % n, float(n)) for n in range(1, count + 1)]


def test_without_faults_nothing_changes():
    assert say({}) == [[(n + 0.5, b"reply%d" % n)] for n in range(1, 5)]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"drop": 2}, []),
        ({"late": 2, "late_by": 3.0}, [(5.5, b"reply2")]),
        ({"late": [2]}, [(3.5, b"reply2")]),
        ({"double": 2}, [(2.5, b"reply2"), (2.5, b"reply2")]),
        ({"truncate": 2}, [(2.5, b"rep")]),
        (
            {"split": 2, "split_by": 0.25},
            [(2.5 + 0.25 * i, bytes([c])) for i, c in enumerate(b"reply2")],
        ),
    ],
)
def test_only_the_second_reply_suffers(table, expected):
    said = say(table)
    assert said[1] == expected
    assert said[0] + said[2] + said[3] == [(n + 0.5, b"reply%d" % n) for n in (1, 3, 4)]


def test_garbled_bytes_are_not_ascii_and_line_ends_stay():
    endpoint = wrap(Replies(), {"garble": 1})
    [(_, reply)] = endpoint.feed(b"1550.12\r\n", 0.0)
    assert len(reply) == 9
    assert reply.endswith(b"\r\n")
    assert reply[0] == ord("1") | 0x80
    with pytest.raises(UnicodeDecodeError):
        reply.decode()


def test_hang_silences_the_connection_but_commands_are_still_executed():
    inner = Replies()
    endpoint = wrap(inner, {"hang": 2})
    assert [len(endpoint.feed(b"x", 0.0)) for _ in range(4)] == [1, 0, 0, 0]
    assert not endpoint.closed
    assert len(inner.heard) == 4


def test_disconnect_ends_the_connection_and_a_new_one_goes_on_counting():
    faults, inner = plan({"disconnect": [2, 4]}), Replies()
    first = wrap(inner, faults)
    assert first.feed(b"1", 0.0)
    assert not first.closed
    assert first.feed(b"2", 0.0) == []
    assert first.closed
    assert first.feed(b"lost", 0.0) == []
    second = wrap(inner, faults)
    assert second.feed(b"3", 0.0)
    assert second.feed(b"4", 0.0) == []
    assert second.closed
    assert inner.heard == [b"1", b"2", b"3", b"4"]


def test_requests_to_be_fed_again_are_no_replies():
    class Busy:
        def feed(self, data, now):
            return [(now + 1.0, b""), (now + 2.0, b"done")]

    endpoint = wrap(Busy(), {"drop": 1})
    assert endpoint.feed(b"x", 0.0) == [(1.0, b"")]
    assert endpoint.feed(b"x", 0.0) == [(1.0, b""), (2.0, b"done")]


def test_what_the_instrument_closes_is_closed():
    inner = Replies()
    endpoint = wrap(inner, {})
    assert not endpoint.closed
    inner.closed = True
    assert endpoint.closed


@pytest.mark.parametrize("kind", ["drop", "garble", "late", "double", "truncate"])
def test_probabilities_are_met_and_belong_to_the_seed(kind):
    said = say({kind: 0.25}, seed=7, count=2000)
    plain = [[(n + 0.5, b"reply%d" % n)] for n in range(1, 2001)]
    hit = [n for n, (one, two) in enumerate(zip(said, plain, strict=True)) if one != two]
    assert 400 < len(hit) < 600  # 500 +- 5 sigma
    assert said == say({kind: 0.25}, seed=7, count=2000)
    assert said != say({kind: 0.25}, seed=8, count=2000)


@given(st.sampled_from(sorted(KINDS)), st.integers(1, 20))
def test_other_replies_never_change(kind, number):
    if kind in ("disconnect", "hang"):
        return
    said = say({kind: number}, count=20)
    assert [r for n, r in enumerate(said, 1) if n != number] == [
        [(n + 0.5, b"reply%d" % n)] for n in range(1, 21) if n != number
    ]


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"lose": 1}, "unknown fault 'lose'; there are drop, garble"),
        ({"drop": 0}, "drop = 0 must be numbers of replies"),
        ({"drop": True}, "drop = True must be"),
        ({"drop": 1.5}, "drop = 1.5 must be"),
        ({"drop": [1, "x"]}, "must be numbers of replies"),
        ({"late_by": -1}, "late_by = -1 must be a number of seconds"),
        ({"late_by": float("nan")}, "late_by = nan must be"),
    ],
)
def test_bad_tables_say_what_is_wrong(table, complaint):
    with pytest.raises(ValueError, match=r"must be|unknown") as caught:
        plan(table)
    assert complaint in str(caught.value)
