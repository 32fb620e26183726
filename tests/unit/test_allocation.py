"""Wavelength plans: the known minima, and the counting arguments checked by enumeration."""

from __future__ import annotations

import json

import pytest

from labctl.analysis.allocation import Correlations, fewest_channels, plan_channels
from labctl.cli import main

MINIMA = {2: 2, 3: 3, 4: 6, 5: 10, 6: 12, 7: 16, 8: 24, 9: 27, 10: 32}
THREE_PUMPS = {2: 2, 3: 3, 4: 4, 5: 6, 6: 10, 7: 14, 8: 16, 9: 18, 10: 22}


def check(plan):
    """Every claim of a plan, from the definition of correlation alone."""
    owner = {label: user for user, labels in enumerate(plan.labels) for label in labels}
    assert len(owner) == plan.channels  # nobody shares a label
    sums = {a + b for a in plan.pumps for b in plan.pumps}
    stray = {a + b - c for a in plan.pumps for b in plan.pumps for c in plan.pumps}
    assert not stray & set(owner)
    pairs = {
        (owner[x], owner[y]) for x in owner for y in owner if x + y in sums and owner[x] < owner[y]
    }
    assert pairs == {(a, b) for a, b, _, _ in plan.links}
    assert len(pairs) == plan.users * (plan.users - 1) // 2
    for a, b, x, y in plan.links:
        assert x in plan.labels[a]
        assert y in plan.labels[b]
        assert x + y in sums


@pytest.mark.parametrize("users", range(2, 15))
def test_two_pumps_reach_the_minimum(users):
    plan = plan_channels(users)
    check(plan)
    assert plan.linked()
    assert plan.proved_optimal
    q, rest = divmod(users - 1, 3)
    known = MINIMA.get(users, users * q + 2 if rest == 0 else users * (q + 1))
    assert plan.channels == plan.lower_bound == known


@pytest.mark.parametrize("users", [16, 20])
def test_the_largest_networks(users):
    plan = plan_channels(users)
    check(plan)
    assert plan.channels == {16: 82, 20: 140}[users]
    assert plan.proved_optimal


@pytest.mark.parametrize("users", THREE_PUMPS)
def test_three_pumps_do_as_well_as_is_known_or_better(users):
    plan = plan_channels(users, (0, 10, 20))
    check(plan)
    assert plan.lower_bound <= plan.channels <= THREE_PUMPS[users]
    assert plan.proved_optimal == (plan.channels == plan.lower_bound)


@pytest.mark.parametrize("pumps", [(0, 6), (5, -5), (0, 1000), (0, 4, 10)])
def test_other_pumps(pumps):
    plan = plan_channels(4, pumps)
    check(plan)
    assert plan.pumps == tuple(sorted(pumps))


def test_the_network_of_the_publication():
    """C34 and C46 pump, every second channel: A {2} B {4} C {10, 8} D {-2, -4} gives 7 links."""
    correlated = Correlations.of((0, 6))
    users = {2: "A", 4: "B", 10: "C", 8: "C", -2: "D", -4: "D"}
    links = {
        tuple(sorted((x, y)))
        for x in users
        for y in correlated.partners(x)
        if y in users and users[x] != users[y]
    }
    assert len(links) == 7
    assert len({frozenset((users[x], users[y])) for x, y in links}) == 6
    assert correlated.forbidden == {-6, 0, 6, 12}  # C22 and C58 are the stimulated lines
    assert fewest_channels(4, correlated) == 6


def test_the_plan_of_the_shared_facts_for_ten_users():
    plan = (
        (-12, 2, 72, 88), (-48, 8, 52), (-68, -22, 58), (12, 28, 78), (-58, 18, 48),
        (-42, -38, -2), (-78, -62, 38, 68), (-32, -28, 22), (-8, 32, 62), (-52, -18, 42),
    )  # fmt: skip
    correlated = Correlations.of((0, 10))
    owner = {label: user for user, labels in enumerate(plan) for label in labels}
    assert len(owner) == 32 == fewest_channels(10, correlated)
    pairs = {
        frozenset((user, owner[other]))
        for label, user in owner.items()
        for other in correlated.partners(label)
        if owner.get(other, user) != user
    }
    assert len(pairs) == 45  # every two of ten
    assert not correlated.forbidden & owner.keys()


@pytest.mark.parametrize(("pumps", "lost"), [((0, 10), 3), ((0, 10, 20), 8)])
def test_every_set_of_labels_loses_that_many_ends(pumps, lost):
    """All subsets of the innermost labels of each class; further out they only lose more."""
    correlated = Correlations.of(pumps)
    reach, least = len(correlated.sums), {}
    for residue in range(1, 6):
        labels = sorted(
            (x for x in range(-45, 66) if x % 10 in (residue, 10 - residue)),
            key=lambda x: abs(x - sum(pumps) / len(pumps)),
        )[:14]
        place = {label: i for i, label in enumerate(labels)}
        masks = [sum(1 << place[p] for p in correlated.partners(x) if p in place) for x in labels]
        for subset in range(1, 1 << len(labels)):
            size = subset.bit_count()
            if size > 1:
                ends = sum(
                    (masks[i] & subset).bit_count() for i in range(len(labels)) if subset >> i & 1
                )
                half_way = residue == 5
                least[half_way] = min(least.get(half_way, 99), reach * size - ends)
    assert least[True] == lost  # labels half-way between pumps
    assert least[False] >= lost
    assert min(least.values()) == lost


def test_the_same_plan_every_time():
    assert plan_channels(12) == plan_channels(12)


@pytest.mark.parametrize(
    ("users", "pumps", "argument"),
    [
        (1, (0, 10), "users"),
        (31, (0, 10), "users"),
        (2.5, (0, 10), "users"),
        (4, (0,), "pumps"),
        (4, (0, 0), "pumps"),
        (4, (0, 1, 2, 3), "pumps"),
        (4, (0, 1.5), "pumps"),
    ],
)
def test_wrong_arguments_are_named(users, pumps, argument):
    with pytest.raises(ValueError, match=f"^{argument}"):
        plan_channels(users, pumps)


def test_command(capsys):
    assert main(["plan-channels", "--users", "10"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("32 channels for 10 users, pumps 0, 10: fewer are impossible")
    assert "45 pairs of users linked" in text
    assert main(["plan-channels", "--users", "10", "--pumps", "0,10,20", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["users"] == 10
    assert document["proved_optimal"] is False
    assert sum(map(len, document["labels"].values())) == document["channels"]


@pytest.mark.parametrize(
    "arguments",
    [["--users", "1"], ["--users", "4", "--pumps", "0"], ["--users", "4", "--pumps=a,b"]],
)
def test_wrong_requests(arguments, capsys):
    assert main(["plan-channels", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "plan-channels" in error or "--pumps" in error
