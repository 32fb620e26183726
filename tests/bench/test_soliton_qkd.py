"""From a cold ring to keys, through every wire: what is found, what is lost, what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from commandline import call

from labctl.run.folder import RunFolder

BENCH = ("--bench", "soliton-qkd", "--runs")


def document(capsys, *words):
    code, out, err = call(capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def value(found, name):
    return found["results"][name]["value"]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("LABCTL_KEYS", str(tmp_path / "keys"))
    return str(tmp_path / "runs")


@pytest.mark.parametrize("seed", ["1", "18"])  # 18: the last solitons go together at first
def test_a_single_soliton_from_measurements_alone(capsys, runs, seed):
    found = document(
        capsys, "run", "soliton-generation", *BENCH, runs, "--seed", seed, "--set", "hold=30"
    )
    assert value(found, "fwhm") == pytest.approx(3.2, rel=0.02)
    assert value(found, "residual") < 0.5
    assert found["status"] == "finished"
    assert value(found, "solitons") == 1
    assert value(found, "steps_seen") >= 3
    assert 6 <= value(found, "born") <= 13
    # One soliton of the equation at a detuning of 13 to 16, 1 % of 50 mW per unit of energy.
    assert value(found, "comb_power") == pytest.approx(0.1831 * 500, rel=0.03)
    data = RunFolder.open(found["run"]).columns()
    held = data["comb (W)"][np.asarray(data["kind"]) == "hold"]
    assert held.std() / held.mean() < 5e-3


def test_several_solitons_may_be_asked_for(capsys, runs):
    words = ("--set", "target=3", "--set", "hold=0", "--seed", "4")
    found = document(capsys, "run", "soliton-generation", *BENCH, runs, *words)
    assert value(found, "solitons") == 3
    assert value(found, "comb_power") == pytest.approx(0.534 * 500, rel=0.06)


def test_without_the_auxiliary_laser_it_fails_and_says_so(capsys, runs):
    words = ("--set", "auxiliary=false", "--set", "attempts=2", "--set", "hold=0")
    code, _, err = call(capsys, "run", "soliton-generation", *BENCH, runs, *words)
    assert code == 1
    assert "not reached in 2 attempts" in err
    assert "went out when chaos ended" in err
    shown = document(capsys, "show", "last", "--runs", runs)
    assert shown["status"] == "failed"


def test_both_links_reach_the_published_rates(capsys, runs):
    words = ("--set", "link=both", "--set", "duration=900", "--set", "interval=30")
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    for name, rate, sifted in (("TR1", 78_764, 3.821e5), ("TR2", 195_360, 9.034e5)):
        error = found["results"][f"secret_rate_{name}"]["uncertainty"]
        assert value(found, f"secret_rate_{name}") == pytest.approx(
            rate, abs=0.02 * rate + 2 * error
        )
        assert value(found, f"sifted_rate_{name}") == pytest.approx(sifted, rel=5e-3)
        spread = found["results"][f"qber_{name}"]["uncertainty"]
        assert 0.01 < spread < 0.1  # the interferometer's drift, not counting statistics
        assert value(found, f"qber_{name}") == pytest.approx(2.66, abs=0.1 + 2 * spread)
    assert value(found, "y1_TR1") == pytest.approx(1.7173e-3, rel=5e-3)
    assert value(found, "e1_TR2") == pytest.approx(2.591, abs=0.15)
    assert value(found, "restored") == 0


def test_neighbouring_channels_do_not_matter(capsys, runs):
    """Adjacent against distant channels, the same seed: crosstalk is below the drift's scatter."""
    rates = []
    for channels in ("1,2", "1,5"):
        found = document(
            capsys, "run", "decoy-bb84", *BENCH, runs, "--set", "link=both", "--set",
            "duration=200", "--set", f"channels={channels}",
        )  # fmt: skip
        rates.append(found["results"]["secret_rate_TR1"])
    difference = rates[1]["value"] - rates[0]["value"]
    assert 0 < difference < 0.03 * rates[0]["value"]
    assert difference < 3 * rates[0]["uncertainty"]


def test_longer_fibre_and_finite_keys(capsys, runs):
    words = ("--set", "distance=50", "--set", "duration=100", "--set", "finite_key=true")
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    needed = value(found, "block_needed")
    # The attenuator is right to 0.05 dB.
    assert value(found, "sifted_rate") == pytest.approx(1.280e5, rel=0.04)
    rate = value(found, "secret_rate")
    assert (rate > 0) == (needed == 0)
    short = document(
        capsys, "run", "decoy-bb84", *BENCH, runs, "--set", "link=TR2", "--set", "duration=10",
        "--set", "finite_key=true",
    )  # fmt: skip
    assert value(short, "secret_rate") == 0
    assert 5e7 < value(short, "block_needed") < 3e8  # of both bases; the sheet: above 5e7 each


def test_real_bits_give_as_much_key_as_the_estimate(capsys, runs, tmp_path):
    words = ("--set", "keys=distil", "--set", "duration=2", "--set", "interval=2", "--no-record")
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    bits = value(found, "final_key_bits")
    assert bits > 50_000
    assert value(found, "correction_efficiency") == pytest.approx(1.14, abs=0.04)
    again = document(
        capsys, "analyse", "last", "--runs", runs, "--set", "keys=statistics",
        "--set", f"efficiency={value(found, 'correction_efficiency')}",
    )  # fmt: skip
    estimate = value(again, "secret_rate")
    assert value(found, "secret_rate") == pytest.approx(estimate, rel=0.01)
    folder = RunFolder.open(found["run"])
    row = folder.columns()
    assert row["key bits TR1"][0] == bits
    assert row["error rate (%) TR1"][0] == pytest.approx(row["QBER (%) TR1"][0], abs=1e-9)
    assert list((tmp_path / "keys").iterdir())


def test_a_lost_soliton_is_made_anew(capsys, runs):
    """The resonances drift so fast that holding cannot follow."""
    words = ("--world", "pump_drift=-24e9", "--set", "duration=120", "--set", "interval=20")
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    assert value(found, "restored") >= 1
    events = RunFolder.open(found["run"]).events
    notes = [e["text"] for e in events if e["entry"] == "note"]
    assert any("the soliton was lost" in text for text in notes)


def test_spectrum_of_one_soliton(capsys, runs):
    found = document(capsys, "run", "comb-spectrum", *BENCH, runs, "--set", "sweeps=1")
    assert value(found, "fwhm") == pytest.approx(3.2, rel=0.02)
    assert value(found, "lines_20db") >= 200
    assert value(found, "residual") < 0.5


def test_crosstalk_of_five_channels(capsys, runs):
    found = document(capsys, "run", "demux-crosstalk", *BENCH, runs)
    assert -25 < value(found, "adjacent_crosstalk") < -20
    assert -45 < value(found, "other_crosstalk") < -40
    assert value(found, "insertion_loss_best") == pytest.approx(4.7, abs=0.2)
    assert value(found, "insertion_loss_worst") == pytest.approx(5.2, abs=0.2)


def test_feedback_holds_what_drift_would_lose(capsys, runs):
    """A drift of 1 GHz/h takes the soliton within half an hour; held, it stays."""
    words = ("--world", "pump_drift=-1e9", "--set", "duration=1", "--set", "interval=30")
    free = document(
        capsys, "run", "comb-stability", *BENCH, runs, *words, "--set", "feedback=false"
    )
    assert value(free, "lost") is True
    assert 0.2 < value(free, "hours_held") < 0.8
    held = document(capsys, "run", "comb-stability", *BENCH, runs, *words)
    assert value(held, "lost") is False
    assert value(held, "hours_held") > 0.95
    assert value(held, "pump_moved") == pytest.approx(1000, rel=0.2)
    assert value(held, "power_deviation") < 1.0


def test_a_booster_without_input_and_a_chip_out_of_range(capsys, runs):
    code, _, err = call(
        capsys, "run", "soliton-generation", *BENCH, runs, "--set", "temperature=60"
    )
    assert code == 2
    assert "temperature" in err


def test_replay_gives_the_same_rows(capsys, runs):
    words = ("--set", "duration=20", "--set", "interval=10", "--set", "link=TR2")
    document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    code, _, err = call(capsys, "replay", "last", "--runs", runs)
    assert code == 0, err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["intensities_1=0.5,0.3,0.25"], "bounds on single photons do not hold"),
        (["intensities_1=0.1,0.2,0.3"], "strictly descending"),
        (["distance=10"], "cannot shorten a fibre"),
        (["link=both", "channels=2,2"], "cannot use the same one"),
        (["interval=1.5"], "whole seconds"),
        (["channels=1,7"], "channels"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_on(capsys, runs, words, says):
    sets = [part for word in words for part in ("--set", word)]
    code, _, err = call(capsys, "run", "decoy-bb84", *BENCH, runs, *sets)
    assert code == 2
    assert says in err
    assert err.strip().count("\n") == 0
