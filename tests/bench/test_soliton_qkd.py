"""From a cold ring to keys, through every wire: what is found, what is lost, what is refused."""

from __future__ import annotations

import contextlib
import io
import json
import re

import numpy as np
import pytest
from commandline import call

from labctl.cli import main
from labctl.keys.store import KeyStore
from labctl.run.folder import RunFolder
from procedures import decoy_bb84
from procedures.decoy_bb84 import DecoyBb84
from procedures.demux_crosstalk import DemuxCrosstalk
from procedures.soliton_generation import SolitonGeneration
from procedures.soliton_source import SolitonSource
from procedures.soliton_watch import drift
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.microring_source import MicroringSource

BENCH = ("--bench", "soliton-qkd", "--runs")


def document(capsys, *words):
    code, out, err = call(capsys, *words, "--json")
    assert code == 0, err
    return json.loads(out)


def notes_of(folder):
    return [e["text"] for e in folder.events if e["entry"] == "note"]


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


@pytest.fixture(scope="module")
def side_by_side(tmp_path_factory):
    """Results of both links at once on adjacent, and on distant channels; the same seed."""
    found = {}
    for channels in ("1,2", "1,5"):
        words = ["--set", "link=both", "--set", "duration=300", "--set", "interval=15"]
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main(
                ["run", "decoy-bb84", *BENCH, str(tmp_path_factory.mktemp("runs")), *words,
                 "--set", f"channels={channels}", "--json"]
            )  # fmt: skip
        assert code == 0
        found[channels] = json.loads(out.getvalue())
    return found


def test_both_links_reach_the_published_rates(side_by_side):
    found = side_by_side["1,2"]
    for name, rate, sifted in (("TR1", 78_764, 3.821e5), ("TR2", 195_360, 9.034e5)):
        error = found["results"][f"secret_rate_{name}"]["uncertainty"]
        assert value(found, f"secret_rate_{name}") == pytest.approx(
            rate, abs=0.02 * rate + 2 * error
        )
        assert value(found, f"sifted_rate_{name}") == pytest.approx(sifted, rel=5e-3)
        spread = found["results"][f"qber_{name}"]["uncertainty"]
        assert 0.01 < spread < 0.15  # the interferometer's drift, not counting statistics
        assert value(found, f"qber_{name}") == pytest.approx(2.66, abs=0.1 + 2 * spread)
    assert value(found, "y1_TR1") == pytest.approx(1.7173e-3, rel=5e-3)
    assert value(found, "e1_TR2") == pytest.approx(2.591, abs=0.2)
    assert value(found, "restored") == 0
    none = {"value": 0, "uncertainty": None, "unit": "bit"}  # nothing is distilled from statistics
    assert found["results"]["final_key_bits"] == none


def test_neighbouring_channels_do_not_matter(side_by_side):
    """Adjacent against distant channels, the same seed: crosstalk is below the drift's scatter."""
    near, far = (side_by_side[c]["results"]["secret_rate_TR1"] for c in ("1,2", "1,5"))
    difference = far["value"] - near["value"]
    assert 0 < difference < 0.03 * far["value"]
    assert difference < 3 * near["uncertainty"]


def test_longer_fibre_and_finite_keys(capsys, runs):
    words = ("--set", "distance=50", "--set", "duration=40", "--set", "finite_key=true")
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


@pytest.fixture(scope="module")
def distilled(tmp_path_factory):
    """Two seconds of real bits, without drift of the interferometer; the folder of its keys."""
    base = tmp_path_factory.mktemp("distilled")
    words = ["run", "decoy-bb84", *BENCH, str(base / "runs"), "--set", "keys=distil", "--set",
             "duration=2", "--set", "interval=2", "--world", "misalignment_drift_1=0",
             "--no-record", "--json"]  # fmt: skip
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setenv("LABCTL_KEYS", str(base / "keys"))
        assert main(words) == 0
    return json.loads(out.getvalue()), base


def test_real_bits_give_as_much_key_as_the_estimate(capsys, distilled):
    found, base = distilled
    bits = value(found, "final_key_bits")
    assert bits > 50_000
    assert value(found, "correction_efficiency") == pytest.approx(1.14, abs=0.04)
    again = document(
        capsys, "analyse", found["run"], "--set", "keys=statistics",
        "--set", f"efficiency={value(found, 'correction_efficiency')}",
    )  # fmt: skip
    estimate = value(again, "secret_rate")
    assert value(found, "secret_rate") == pytest.approx(estimate, rel=0.01)
    row = RunFolder.open(found["run"]).columns()
    assert row["key bits TR1"][0] == bits
    assert row["error rate (%) TR1"][0] == pytest.approx(row["QBER (%) TR1"][0], abs=1e-9)
    stored = KeyStore(base / "keys").blocks()
    assert [8 * block.size for block in stored] == [bits]  # what the store grew by


def test_single_detections_and_statistics_count_the_same(capsys, runs, distilled):
    """Through every wire: frames of single clicks against blocks of counts, each intensity."""
    single = RunFolder.open(distilled[0]["run"]).columns()
    words = ("--set", "duration=30", "--set", "interval=30", "--world", "misalignment_drift_1=0")
    blocks = RunFolder.open(
        document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)["run"]
    ).columns()
    for what in ("clicks", "sifted", "wrong"):
        for level in ("mu", "nu1", "nu2"):
            counted = float(single[f"{what} {level} TR1"][0])
            expected = float(blocks[f"{what} {level} TR1"][0]) / 15.0
            sigma = np.sqrt(expected * (1 + 1 / 15.0))
            assert abs(counted - expected) < 4 * sigma + 0.004 * expected, (what, level)


def test_a_block_too_small_for_a_finite_key_gives_none(capsys, runs, tmp_path):
    words = ("--set", "keys=distil", "--set", "duration=1", "--set", "interval=1", "--set",
             "finite_key=true")  # fmt: skip
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    assert value(found, "final_key_bits") == 0
    assert value(found, "secret_rate") == 0
    assert value(found, "block_needed") > 3e6
    (said,) = [text for text in notes_of(RunFolder.open(found["run"])) if "too small" in text]
    assert "it takes" in said
    assert KeyStore(tmp_path / "keys").blocks() == []


def lose(patch, times):
    """The soliton is lost `times` times, as far as the procedure can tell."""
    left = [2 * times]  # asked by `hold`, and by who calls it

    def alive(source, comb):
        left[0] -= 1
        return left[0] < 0

    patch.setattr(SolitonSource, "alive", alive)


def test_no_key_of_a_block_in_which_the_soliton_was_lost(capsys, runs, tmp_path, monkeypatch):
    lose(monkeypatch, 1)
    words = ("--set", "keys=distil", "--set", "duration=1", "--set", "interval=1", "--no-record")
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    assert value(found, "restored") == 1
    stored = KeyStore(tmp_path / "keys").blocks()
    assert [8 * block.size for block in stored] == [value(found, "final_key_bits")]


def test_a_soliton_that_is_lost_again_and_again_ends_the_run_safe(capsys, runs, monkeypatch):
    lose(monkeypatch, 100)
    monkeypatch.setattr(decoy_bb84, "RESTORES", 1)
    words = ("--set", "duration=2", "--set", "interval=1")
    code, _, err = call(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    assert code == 1
    assert "the soliton was lost 2 times in one interval" in err
    shown = document(capsys, "show", "last", "--runs", runs)
    assert shown["status"] == "failed"
    lines = (RunFolder.open(shown["run"]).path / "wire.jsonl").read_text().splitlines()
    sent = [(e["i"], e.get("s", "")) for e in map(json.loads, lines) if e.get("d") == ">"]
    last = {}
    for number, (name, text) in enumerate(sent):
        if text.startswith((":DRIV:APC:STAT:CH1 0", ":DRIV:MCTRL 0", "TX:OUTP 0")) or (
            "cc:enabled #f" in text
        ):
            last.setdefault(name, number)
    # Boards dark, then the boosters, and only then the laser that feeds one of them.
    first_off = [name for name, _ in sorted(last.items(), key=lambda item: item[1])]
    assert first_off.index("pump_amplifier") < first_off.index("pump"), first_off


@pytest.mark.parametrize("procedure", [SolitonGeneration, DecoyBb84])
def test_a_run_that_broke_off_goes_on_with_a_new_soliton(capsys, runs, monkeypatch, procedure):
    """Each point is there once; attempts that are recorded are not made again."""
    plain, left = procedure.measure_point, [4]

    def break_off(self, point):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return plain(self, point)

    words = {
        "soliton-generation": ("--set", "hold=40", "--set", "verify=false"),
        "decoy-bb84": ("--set", "duration=8", "--set", "interval=1"),
    }[procedure.name()]
    monkeypatch.setattr(procedure, "measure_point", break_off)
    code, _, _ = call(capsys, "run", procedure.name(), *BENCH, runs, *words)
    assert code != 0
    monkeypatch.setattr(procedure, "measure_point", plain)
    found = document(capsys, "resume", "last", "--runs", runs)
    assert found["status"] == "finished"
    rows = RunFolder.open(found["run"]).rows
    assert sorted(row["index"] for row in rows) == list(range(len(rows)))
    if procedure is SolitonGeneration:
        assert [row["kind"] for row in rows] == ["attempt", *["hold"] * 8]
        assert value(found, "solitons") == 1
    else:
        assert len(rows) == 8
        assert value(found, "sifted_rate") == pytest.approx(3.821e5, rel=0.01)
        counts = [row["clicks mu TR1"] for row in rows]
        assert counts[:4] != counts[4:]  # what was measured before is not drawn again


def test_a_lost_soliton_is_made_anew(capsys, runs):
    """The resonances drift so fast that holding cannot follow."""
    words = ("--world", "pump_drift=-24e9", "--set", "duration=90", "--set", "interval=30")
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words)
    assert value(found, "restored") >= 1
    events = RunFolder.open(found["run"]).events
    notes = [e["text"] for e in events if e["entry"] == "note"]
    assert any("the soliton was lost" in text for text in notes)


def test_a_soliton_is_looked_for_where_the_resonance_has_gone(capsys, runs):
    """Within minutes it leaves the 9 GHz that are searched at first; looked for on both sides."""
    words = ("--world", "pump_drift=40e9", "--set", "duration=60", "--set", "interval=30")
    found = document(capsys, "run", "decoy-bb84", *BENCH, runs, *words, "--seed", "1")
    assert value(found, "restored") >= 1
    notes = notes_of(RunFolder.open(found["run"]))
    assert any("attempt 1 of 5: no comb from 1556.050 to 1556.123 nm" in text for text in notes)


def test_nowhere_a_comb_says_where_and_how_long_it_was_looked_for(capsys, runs, monkeypatch):
    """The pump never couples: five places are searched, none further off than half a spacing."""
    monkeypatch.setattr(MicroringSource, "comb_power", lambda self, t: 0.0 * np.asarray(t))
    code, _, err = call(capsys, "run", "comb-stability", *BENCH, runs, "--seed", "1", "--no-record")
    assert code == 1
    assert "1 soliton(s) not reached in 5 attempts within" in err
    folder = RunFolder.open(document(capsys, "show", "last", "--runs", runs)["run"])
    notes = notes_of(folder)
    places = [float(text.split("no comb from ")[1].split()[0]) for text in notes]
    assert len(set(places)) == 5
    assert max(places) - min(places) < 0.4  # nm, 49 GHz
    (seconds,) = re.findall(r"within (\d+) s", folder.stop_entry["reason"])
    assert 800 < float(seconds) < 1200
    assert folder.row_count == 0
    assert folder.bench_time > float(seconds)  # although no row was recorded


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


def test_with_a_duration_the_spectrum_is_repeated_and_drifts_are_told(capsys, runs):
    words = ["--set", "duration=15 min", "--set", "interval=300", "--seed", "2"]
    found = document(capsys, "run", "comb-spectrum", *BENCH, runs, *words)
    for name, largest in (("fwhm", 0.2), ("centre_line", 0.5), ("comb_power", 10.0)):
        change = found["results"][f"{name}_drift"]
        assert abs(change["value"]) < largest + 4 * change["uncertainty"]
    data = RunFolder.open(found["run"]).columns()
    assert np.diff(data["time (s)"]) == pytest.approx([300, 300], abs=60)
    mean = found["results"]["fwhm"]["value"]
    assert data["fwhm (THz)"].mean() == pytest.approx(mean, rel=1e-9)
    assert (data["fwhm error (THz)"] > 0).all()


def test_ports_go_round_for_a_duration():
    ports = [point["port"] for point in DemuxCrosstalk(duration=0.5, interval=600).points()]
    assert ports == [point["port"] for point in DemuxCrosstalk().points()] * 3


def test_a_drift_is_that_since_the_clock_began_anew():
    hours = np.array([7.0, 8.0, 0.0, 1.0, 2.0, 3.0])
    slope, error = drift(3600 * hours, np.array([50.0, 90.0, 1.0, 3.1, 4.9, 7.0]))
    assert slope == pytest.approx(1.98)
    assert 0.01 < error < 0.1
    assert drift(3600 * hours[:4], hours[:4]) is None


def test_feedback_holds_what_drift_would_lose(capsys, runs):
    """A drift of 4 GHz/h takes the soliton within ten minutes; held, it stays."""
    words = ("--world", "pump_drift=-4e9", "--set", "duration=0.25", "--set", "interval=10")
    free = document(
        capsys, "run", "comb-stability", *BENCH, runs, *words, "--set", "feedback=false"
    )
    assert value(free, "lost") is True
    assert 0.04 < value(free, "hours_held") < 0.2
    held = document(capsys, "run", "comb-stability", *BENCH, runs, *words)
    assert value(held, "lost") is False
    assert value(held, "hours_held") > 0.235
    assert value(held, "pump_moved") == pytest.approx(1000, rel=0.2)
    assert value(held, "power_deviation") < 1.0


def test_a_chip_out_of_range(capsys, runs):
    words = ("--set", "temperature=60")
    code, _, err = call(capsys, "run", "soliton-generation", *BENCH, runs, *words)
    assert code == 2
    assert "temperature" in err
    assert err.strip().count("\n") == 0


def test_a_booster_without_input_is_not_pumped(capsys, runs, monkeypatch):
    """The pump laser is told to emit and says so, but its fibre is not connected."""
    monkeypatch.setattr(CtlLaserModel, "power_mw", lambda self, t: 0.0 * np.asarray(t))
    code, _, err = call(capsys, "run", "soliton-generation", *BENCH, runs)
    assert code == 1
    failed = [line for line in err.splitlines() if "failed" in line and "pump_amplifier" in line]
    assert len(failed) == 1
    assert "input" in failed[0]


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
