"""The entanglement network through wire and tags: rates, fringes, keys, and what goes wrong."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.analysis.qkd import bbm92_key_rate, max_qber, minimum_visibility
from labctl.errors import RequestError
from labctl.procedure import RunData
from labctl.run.folder import RunFolder
from labctl.run.reanalysis import reanalyse
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import start
from procedures.bbm92_network import Bbm92Network
from procedures.franson_fringe import FransonFringe
from procedures.laser_lock import LaserLock
from procedures.network_plan import LINKS, TABLE_2, parse_pair
from procedures.pair_rates import PairRates
from procedures.pump_optimum import PumpOptimum
from procedures.visibility_table import VisibilityTable
from simulated_instruments.worlds.entanglement_network import EntanglementNetworkWorld

EFFICIENCY = {38: 0.0918, 42: 0.0918, 54: 0.04364, 30: 0.07023, 50: 0.04529, 26: 0.04426}
CHANNELS = ((38,), (42,), (54, 50), (30, 26))
TAU = 3.2e-9
CAPTURED = 1.0 - math.exp(-math.pi * 200e6 * TAU)
INTO = 0.867e6 * (1 + 2 * 0.2945)


def expected(link, power: float = 0.4) -> tuple[float, float]:
    """Sifted bits per s and visibility, as the shared facts calculate them."""
    relative = power / 0.4
    singles = [
        sum(EFFICIENCY[c] for c in CHANNELS[user]) * INTO * (relative**2 + 0.1 * relative)
        for user in link.users
    ]
    a, b = link.channels
    rate = 0.867e6 * (1.0 if a + b == 80 else 0.2945) * relative**2
    true = EFFICIENCY[a] * EFFICIENCY[b] * rate * CAPTURED / 4
    sifted = true + singles[0] * singles[1] * TAU / 2
    return sifted, 0.99 * true / sifted


def run(
    kind: type, place: Path, world: dict[str, Any] | None = None, seed: int = 0, **options: Any
) -> RunData:
    request = Request(
        kind.name(), options, bench="entanglement-network", world=world or {}, seed=seed,
        record=False,
    )  # fmt: skip
    outcome = start(request, place)
    assert outcome.status == "finished", outcome.reason
    return run_data(kind(**options), RunFolder.open(outcome.path))


def notes(place: Path) -> list[str]:
    return RunFolder.open(next(place.glob("0001-*"))).notes


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunData]:
    place = tmp_path_factory.mktemp("keys")
    return place, run(Bbm92Network, place, duration=5.0)


def test_rates_and_visibilities_are_those_of_the_model(keys: tuple[Path, RunData]) -> None:
    results = keys[1].results
    for link in LINKS:
        sifted, visibility = expected(link)
        value, error, _ = results[f"sifted_{link.name}"]
        assert abs(value - sifted) < 4 * error + 0.01 * sifted, link.name
        value, error, _ = results[f"visibility_{link.name}"]
        assert abs(value - visibility) < 4 * error + 0.003, link.name
        assert results[f"qber_{link.name}"][0] == pytest.approx((1 - value) / 2)
    for user, channels in zip("ABCD", CHANNELS, strict=True):
        clicks = sum(EFFICIENCY[c] for c in channels) * INTO * 1.1
        assert results[f"singles_{user}"][0] == pytest.approx(clicks, rel=0.01)
    assert results["power"][0] == pytest.approx(0.4, rel=0.01)
    total = sum(bbm92_key_rate(n, (1 - v) / 2) for n, v in map(expected, LINKS))
    assert abs(results["secret_total"][0] - total) < 4 * results["secret_total"][1] + 0.02 * total


def test_distilled_keys_are_shorter_than_asymptotic_ones_and_delivered(
    keys: tuple[Path, RunData],
) -> None:
    place, data = keys
    for link in LINKS:
        bits = data.results[f"key_bits_{link.name}"][0]
        secret, error, _ = data.results[f"secret_{link.name}"]
        assert 0 <= bits <= 5.0 * (secret + error), link.name
    assert data.results["key_bits_A-B"][0] > 0.9 * 5.0 * data.results["secret_A-B"][0]
    assert data.results["key_rate_total"][0] > 0.8 * data.results["secret_total"][0]
    delivered = [
        entry for entry in (next(place.glob("0001-*")) / "run.jsonl").read_text().splitlines()
        if '"entry":"key"' in entry
    ]  # fmt: skip
    assert len(delivered) == sum(data.results[f"key_bits_{link.name}"][0] >= 8 for link in LINKS)


def test_table_2_is_shown_as_printed_and_from_its_own_columns(
    keys: tuple[Path, RunData],
) -> None:
    """Shared facts, section 4.2: from the visibility, and from the printed error rate."""
    again = keys[1].derived["recomputed"]
    assert again[:, 1] == pytest.approx([1225.7, 34.0, 97.7, 40.4, 22.6, 309.5, 67.4], abs=0.06)
    assert again[:, 2] == pytest.approx([1236.6, 34.0, 96.0, 39.3, 22.6, 309.5, 67.4], abs=0.06)
    assert again[:, 1].sum() == pytest.approx(1797.3, abs=0.1)
    assert again[:, 2].sum() == pytest.approx(1805.4, abs=0.1)
    printed = keys[1].derived["printed"]
    assert printed[:, 3].sum() == pytest.approx(1946.9, abs=0.01)
    off = np.abs(printed[:, 3] / again[:, 1] - 1)
    assert [LINKS[n].name for n in np.flatnonzero(off > 0.05)] == ["C-D:50-30"]
    assert list(TABLE_2) == [link.name for link in LINKS]


def test_thresholds_of_the_key_rate() -> None:
    assert 100 * max_qber() == pytest.approx(9.5494, abs=1e-4)
    assert 100 * minimum_visibility() == pytest.approx(80.901, abs=1e-3)


def test_tags_are_the_clicks_of_the_rows(keys: tuple[Path, RunData]) -> None:
    data = keys[1]
    assert sorted(data.tag_names) == ["A", "B", "C", "D"]
    for user in "ABCD":
        for row in range(len(data)):
            tags = data.tags(user, row=row)
            assert len(tags["time (ps)"]) == data[f"clicks {user}"][row]
            assert (np.diff(tags["time (ps)"]) >= 0).all()
            assert set(np.unique(tags["channel"])) == {0, 1, 2, 3}


def test_another_window_finds_other_bits_in_the_same_tags(keys: tuple[Path, RunData]) -> None:
    place, data = keys
    again = reanalyse(next(place.glob("0001-*")), {"window": 1.6, "keys": False}, place)
    narrow = RunFolder.open(again).result
    captured = (1 - math.exp(-math.pi * 200e6 * 1.6e-9)) / CAPTURED
    assert narrow["sifted_A-B"]["value"] / data.results["sifted_A-B"][0] == pytest.approx(
        captured, rel=0.03
    )
    assert narrow["qber_B-D"]["value"] < data.results["qber_B-D"][0]


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [(PairRates, {"pairs": "C38-C42", "powers": [0.4], "dwell": 1.0}, "coincidences_C38-C42"),
     (FransonFringe, {"points": 6, "dwell": 0.5}, "coincidences"),
     (VisibilityTable, {"pairs": "C38-C42", "points": 5, "dwell": 0.5}, "visibility_C38-C42")],
)  # fmt: skip
def test_stored_tags_are_counted_again_with_another_window(
    tmp_path: Path, kind: type, options: dict[str, Any], name: str
) -> None:
    first = run(kind, tmp_path, keep_tags=True, **options)
    source = next(tmp_path.glob("0001-*"))
    for window in (3.2, 0.2):
        reanalyse(source, {"window": window}, tmp_path)
    same, narrow = (
        run_data(kind(**options), RunFolder.open(next(tmp_path.glob(f"000{number}-*"))))
        for number in (2, 3)
    )
    assert same.results == first.results
    assert narrow.results[name] != first.results[name]
    if "coincidences" in name:  # what a window of 0.2 ns holds of a peak of 200 MHz
        kept = narrow.results[name][0] / first.results[name][0]
        assert kept == pytest.approx((1 - math.exp(-math.pi * 200e6 * 0.2e-9)) / CAPTURED, rel=0.1)


def test_fringe_of_a_pair(tmp_path: Path) -> None:
    data = run(FransonFringe, tmp_path, points=8, dwell=0.5, beta=math.pi / 2)
    value, error, _ = data.results["visibility"]
    assert abs(value - 0.9710) < 4 * error + 0.003
    assert error == pytest.approx(math.sqrt((2 - value**2) / (3226 * 4)), rel=0.25)
    offsets = data.derived["fringes"][:, 2]
    assert math.cos(offsets[0] + math.pi / 2) > 0.99  # alpha + beta = 0: equal outcomes
    assert math.cos(offsets[1] - math.pi / 2) > 0.99  # and pi: different ones
    variation, spread, _ = data.results["singles_variation"]
    assert variation < 0.005 + 4 * spread
    assert abs(data.results["coincidences"][0] - 3226) < 4 * data.results["coincidences"][1] + 32


def test_rates_over_power(tmp_path: Path) -> None:
    data = run(PairRates, tmp_path, powers="0.2, 0.4, 1.0", pairs="C38-C42, C38-C54", dwell=1.0)
    shown = ("coincidences (1/s)", "coincidences error (1/s)", "CAR", "CAR error")
    assert np.stack([data[name] for name in shown], axis=1) == pytest.approx(data.derived["rates"])
    rows = {
        (pair, power): n
        for n, (pair, power) in enumerate(
            zip(data["pair"].tolist(), data["set power (mW)"].tolist(), strict=True)
        )
    }
    for pair, one, ratio in (((38, 42), 42, 1.0), ((38, 54), 54, 0.2945)):
        for power in (0.2, 0.4, 1.0):
            row = rows[f"C{pair[0]}-C{pair[1]}", power]
            relative = data["power (mW)"][row] / 0.4
            into = INTO * (relative**2 + 0.1 * relative)
            single = data["clicks B"][row]
            assert single == pytest.approx(EFFICIENCY[one] * into, rel=0.015)
            true = EFFICIENCY[pair[0]] * EFFICIENCY[pair[1]] * 0.867e6 * ratio * relative**2
            true *= CAPTURED
            found, error, car, car_error = data.derived["rates"][row]
            # the skirts of neighbouring peaks reach into each peak: 2 x 2 x exp(-10 ns / 0.8 ns)
            assert abs(found - true) < 4 * error + 0.015 * true
            accidental = EFFICIENCY[38] * EFFICIENCY[one] * into**2 * TAU
            assert abs(car - true / accidental) < 4 * car_error + 0.03 * car
    assert data.results["exponent_C38-C42"][0] == pytest.approx(2.0, abs=0.05)
    for name, unit in (("singles_first", "1/s"), ("coincidences", "1/s"), ("car", "")):
        assert data.results[f"{name}_C38-C54"][2] == unit
    asked = {result.name for result in PairRates(pairs="C36-C44").result_list()}
    assert "car_C36-C44" in asked
    assert "car_C38-C42" not in asked


def test_visibilities_of_pairs(tmp_path: Path) -> None:
    data = run(VisibilityTable, tmp_path, pairs="C36-C44, C32&C36", points=4, dwell=1.0)
    for name, expected_value in (("C36-C44", 0.971), ("C32-C36", 0.928)):
        value, error, _ = data.results[f"visibility_{name}"]
        assert abs(value - expected_value) < 4 * error
    assert data.derived["table"][:, 4] == pytest.approx([0.949, 0.911])  # beside it: Table 1


def test_best_powers(tmp_path: Path) -> None:
    """Shared facts: B-D is best at 0.31 to 0.32 mW and dies at 0.462 mW."""
    data = run(PumpOptimum, tmp_path, powers="0.2, 0.3, 0.4, 0.8", dwell=1.0, samples=50)
    fair, error, _ = data.results["optimum_fair"]
    assert abs(fair - 0.314) < 4 * error + 0.003
    total, error, _ = data.results["optimum_total"]
    assert abs(total - 0.983) < 4 * error + 0.01
    assert data.results["poorest"][0] == "B-D"
    assert data.results["power_limit"][0] == pytest.approx(0.462, abs=0.03)
    assert data.results["minimum_visibility"][0] == pytest.approx(0.80901, abs=1e-5)


def test_lasers_are_held_within_a_megahertz(tmp_path: Path) -> None:
    data = run(LaserLock, tmp_path, duration=60.0, interval=0.5)
    for n in (1, 2):
        rms, error, _ = data.results[f"rms_{n}"]
        assert 0.2 < rms < 1.0
        assert error == pytest.approx(rms / math.sqrt(240))
    assert data.results["temperature_rms"][0] < 1.5  # mK


def test_lost_phases_pause_the_run_and_are_brought_back(tmp_path: Path) -> None:
    world = {"phase_kicks": 0.08}
    data = run(Bbm92Network, tmp_path, world, duration=4.0, keys=False, keep_tags=False)
    said = notes(tmp_path)
    assert any("the phase of interferometer" in text for text in said)
    assert sum("continued after" in text for text in said) == sum("paused" in t for t in said)
    assert data.results["lost"][0] > 0.0
    value, error, _ = data.results["visibility_A-B"]
    assert abs(value - 0.971) < 4 * error + 0.01
    assert data["dwell (s)"].sum() == pytest.approx(4.0)


def test_a_mode_hop_is_noticed_and_the_laser_tuned_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = EntanglementNetworkWorld.__init__

    def hopping(self: EntanglementNetworkWorld, *args: Any, **values: Any) -> None:
        build(self, *args, **values)
        laser = self.lasers[1]
        laser._hop_times, laser._hop_sums = [75.5, 75.501], [0.0, 5e9, 10e9]
        laser._hop_totals = np.array(laser._hop_sums)

    monkeypatch.setattr(EntanglementNetworkWorld, "__init__", hopping)
    data = run(Bbm92Network, tmp_path, duration=4.0, keys=False, keep_tags=False)
    said = notes(tmp_path)
    assert any(text.startswith("paused: laser 2 is lost") for text in said), said
    assert any("laser 2 is lost" in text and "tuned anew" in text for text in said)
    assert any(text.startswith("continued") for text in said)
    sifted, _ = expected(LINKS[0])
    value, error, _ = data.results["sifted_A-B"]
    assert abs(value - sifted) < 4 * error + 0.015 * sifted


def test_latched_detectors_get_their_bias_back(tmp_path: Path) -> None:
    data = run(Bbm92Network, tmp_path, duration=6.0, bias=19.6, keys=False, keep_tags=False)
    said = notes(tmp_path)
    assert any("had latched" in text for text in said), said
    assert data["dwell (s)"].sum() == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("world", "options", "message"),
    [
        ({"readout_rate": 1e5, "readout_buffer": 1e5}, {}, "tagger_.: its buffer overflowed"),
        ({}, {"bias": 21.0}, "snspd_a: detector .* has latched"),
        ({}, {"sensitivity": -0.5}, "wavemeter: the lasers are .* MHz from their set points"),
    ],
)
def test_what_cannot_go_on_fails_in_one_line(
    tmp_path: Path, world: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    options = {"duration": 2.0, "keys": False, "keep_tags": False} | options
    request = Request("bbm92-network", options, bench="entanglement-network", world=world,
                      record=False)  # fmt: skip
    outcome = start(request, tmp_path)
    assert outcome.status == "failed"
    assert re.search(message, outcome.reason)
    assert "\n" not in outcome.reason
    assert "NOT SAFE" not in outcome.reason


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Bbm92Network, {"window": 10.0}, "not narrower than the path delay"),
        (Bbm92Network, {"delays": "C54:10"}, "C-D:50-30 and C-D:54-26 have peaks within"),
        (Bbm92Network, {"delays": "C54=50"}, "is no delay of a channel"),
        (Bbm92Network, {"keep_tags": False}, "keys are made from the stored tags"),
        (FransonFringe, {"window": 12.0}, "not narrower than the path delay"),
        (FransonFringe, {"pair": "C38-C40"}, "energy conservation"),
        (FransonFringe, {"pair": "C22-C58"}, "C22 carries stimulated light"),
        (FransonFringe, {"pair": "C34-C46"}, "C34 carries a pump"),
        (FransonFringe, {"pair": "38 42"}, "no pair of channels"),
        (VisibilityTable, {"pairs": " "}, "no pair of channels was given"),
        (PairRates, {"powers": ""}, "no powers"),
        (PairRates, {"delays": "C54:190"}, "would contain pairs"),
        (PumpOptimum, {"powers": "0.1, 0.2"}, "at least 3 different powers"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_switched_on(
    tmp_path: Path, kind: type, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        start(Request(kind.name(), options, bench="entanglement-network"), tmp_path)
    assert not list(tmp_path.glob("0*"))


def test_pairs_are_written_in_several_ways() -> None:
    assert parse_pair("C38-C42") == parse_pair("38&42") == parse_pair(" c38 - c42 ") == (38, 42)
