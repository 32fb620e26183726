"""The user's own pump lines: what they make, what is refused, and that the ring gets them."""

from __future__ import annotations

import cmath
from pathlib import Path
from typing import Any

import pytest

from labctl.bench import Bench, find_bench
from labctl.errors import RequestError
from labctl.run import run
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.runner import start
from procedures.covariance_sweep import CovarianceSweep, settings
from procedures.graphs import graph, parse_pumps
from procedures.squeezing_spectrum import SqueezingSpectrum


def test_known_topologies_are_those_of_the_paper() -> None:
    for topology, lines, sums, modes, weight in (
        ("single", {0: 1.0}, (0,), 60, 1.0),
        ("1d", {0: 1.0, -1: 0.2}, (-1, 0), 60, 0.65),
        ("2d", {-1: 1.0, 0: 0.2, 1: 0.16}, (-2, -1, 0), 56, 0.5),
    ):
        made = graph(topology)
        assert {line: share for line, share, _ in made.lines} == lines
        assert (made.sums, len(made.modes), made.weight) == (sums, modes, weight)


def test_a_graph_follows_from_the_users_lines() -> None:
    same = graph("2d", "0:1.0,-1:0.2")
    assert (same.sums, same.modes, same.detuning) == (
        graph("1d").sums, graph("1d").modes, graph("1d").detuning,
    )  # fmt: skip
    made = graph("1d", "0:2, -1:0.4@0.5, 2:0.2")
    assert made.lines == ((0, 1.0, 0.0), (-1, 0.2, 0.5), (2, 0.1, 0.0))
    assert made.sums == (-1, 0, 2)
    assert made.minor == (-2, 1, 4)
    assert all(i + j in made.sums for i, j in made.connected)
    assert min(abs(k) for k in made.modes) == 10


def test_description_names_edges_settings_and_distance_to_threshold() -> None:
    text = graph("1d", "0:1,-1:0.2").describe(3.0, -11.85, 416)
    assert "60 modes, 59 edges with k + l = -1 (0.89), 0 (1.00)" in text
    assert "weaker: -2 (0.20)" in text
    assert "416 settings" in text
    assert "threshold 4.0 dB away" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0", "not line:power"),
        ("0:one", "not line:power"),
        ("0:1,0:0.2", "named twice"),
        ("0:1,0.3:0.2", "closer than 10 GHz"),
        ("0:1,5:0.2", "would reach the detector"),
        ("0:1,-1:-0.2", "power above 0"),
        ("0:1,-1:0.2@inf", "finite phase"),
        ("nan:1", "no line of the comb"),
    ],
)
def test_impossible_pumps_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(RequestError, match=message) as caught:
        parse_pumps(text)
    assert "\n" not in str(caught.value)


def test_pumps_above_threshold_are_refused_before_anything_is_switched_on(tmp_path: Path) -> None:
    request = Request("squeezing-spectrum", {"pump_attenuation": 0.0}, bench="cluster-microcomb")
    with pytest.raises(RequestError, match=r"\+0\.21 .* raise pump_attenuation by 1\.0 dB"):
        start(request, tmp_path)
    assert not list(tmp_path.glob("*squeezing*"))
    remedy = SqueezingSpectrum(pump_attenuation=1.0)
    assert remedy.count_points() > 0


def test_enough_pump_raises_every_configuration_above_threshold() -> None:
    for topology in ("single", "1d", "2d"):
        made = graph(topology)
        room = made.headroom(3.0, made.detuning)
        assert 1 < room < 20
        assert made.growth(3.0 - room, made.detuning) >= 0 > made.growth(3.2 - room, made.detuning)


def test_the_ring_is_pumped_as_asked_and_the_note_comes_first(tmp_path: Path) -> None:
    bench = Bench.open(find_bench("cluster-microcomb"), "sim", seed=2)
    procedure = CovarianceSweep(pumps="0:1,-2:0.3@0.5", sweep_time=0.5)
    run(procedure, bench, tmp_path, stop_after=8)
    procedure.switch_on(70.0)
    procedure.load({}, pumped=True)
    world: Any = bench.world
    lines = dict(world.filtered.light_of(-1.0, 0.0).pumps.lines)
    assert set(lines) == {0, -2}
    assert abs(lines[-2] / lines[0]) ** 2 == pytest.approx(0.3, rel=2e-3)
    assert cmath.phase(lines[-2] / lines[0]) == pytest.approx(0.5, abs=2e-3)
    with pytest.raises(RequestError, match="line -2 is wanted as pump and as local oscillator"):
        procedure.load({-2: 0.0}, pumped=True)
    bench.close()
    (folder,) = (RunFolder.open(path) for path in tmp_path.iterdir() if path.is_dir())
    entries = [event for event in folder.events if event["entry"] == "note"]
    assert "edges with k + l = -2 (1.00), 0 (0.91)" in str(entries[0])
    assert f"{settings(procedure.graph, 'selective')} settings" in str(entries[0])
