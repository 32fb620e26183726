"""Quantities in steps: which value holds when, growing, and forgetting what is old."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulated_instruments.physics import steps
from simulated_instruments.physics.steps import Steps


def test_a_step_holds_from_its_time_on():
    history = Steps(1.0, 2.0)
    history.add(3.0, (4.0, 5.0))
    assert history.last.tolist() == [4.0, 5.0]
    assert history.at(2.9)[1].tolist() == [1.0, 2.0]
    assert history.at(3.0)[1].tolist() == [4.0, 5.0]
    assert history.at(3.0, just_before=True)[1].tolist() == [1.0, 2.0]
    begun, rows = history.at(np.array([0.0, 3.0, 9.0]))
    assert begun.tolist() == [-np.inf, 3.0, 3.0]
    assert rows[:, 0].tolist() == [1.0, 4.0, 4.0]


@given(st.lists(st.integers(1, 200), max_size=9), st.lists(st.floats(0.0, 2000.0), max_size=20))
def test_any_number_of_steps(portions, times):
    history, count = Steps(-1.0), 0
    for portion in portions:
        numbers = np.arange(count, count + portion)
        history.add(numbers.astype(float), numbers)
        count += portion
    for t in times:
        expected = min(int(t), count - 1) if count else -1
        assert history.at(t)[1][0] == expected


def test_old_steps_are_forgotten_and_the_oldest_known_one_reaches_back(monkeypatch):
    monkeypatch.setattr(steps, "REMEMBERED", 100)
    history = Steps(-1.0)
    for n in range(2000):
        history.add(float(n), float(n))
    assert history._times.size < 1000
    assert history.at(1999.5)[1][0] == 1999.0
    assert history.at(1950.0)[1][0] == 1950.0
    begun, (oldest,) = history.at(0.0)
    assert begun == -np.inf
    assert 0.0 < oldest <= 1900.0
