"""The command line as users and scripts meet it: documents, exit codes, one-line errors."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import toybench
from commandline import call, watch

from labctl.run.folder import RunFolder

pytestmark = pytest.mark.usefixtures("place")
SUPPORT = str(Path(toybench.__file__).parent)


def test_run_document(capsys):
    code, out, err = watch(capsys, "--json", "--set", "steps=4", "--seed", "2")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert Path(document["run"]).is_dir()
    assert document["id"] == 1
    assert document["procedure"] == "watch"
    assert document["status"] == "finished"
    assert set(document["results"]["mean"]) >= {"value", "uncertainty", "unit"}
    assert document["results"]["warm"]["uncertainty"] is None


def test_show_document_and_text(capsys):
    watch(capsys, "--title", "warm room", "--world", "start=300 K", "--set", "pause=500 ms")
    code, out, _ = call(capsys, "show", "last", "--json")
    document = json.loads(out)
    assert code == 0
    assert document["parameters"]["pause"] == 0.5
    assert document["world"] == {"start": 300.0}
    assert document["bench"] == "toy"
    assert document["seed"] == 0
    assert document["versions"]["labctl"]
    assert document["settings"]["thermometer"] == {"heater": 0}
    assert document["results"]["warm"]["value"] is True
    _, out, _ = call(capsys, "show", "1")
    assert "warm room" in out
    assert "TOY,THERMOMETER" in out


def test_show_names_damage_of_journal_and_arrays(capsys):
    watch(capsys, "--set", "steps=3")
    assert json.loads(call(capsys, "show", "last", "--json")[1])["damage"] == []
    (run,) = (path for path in Path("runs").iterdir() if path.is_dir())
    (arrays,) = (run / "arrays").iterdir()
    cited = RunFolder.open(run).source().citations(1)
    data = bytearray(arrays.read_bytes())
    (place,) = (citation["end"] for citation in cited.values())
    data[place - 9] ^= 1  # inside the second trace
    arrays.write_bytes(data)
    _, out, _ = call(capsys, "show", "last")
    assert "DAMAGE: " in out
    assert arrays.name in out


def test_runs_catalogue(capsys):
    watch(capsys, "--title", "first")
    watch(capsys, "--title", "second", "--set", "steps=3")
    call(capsys, "run", "toybench:Ramp")
    _, out, _ = call(capsys, "runs", "--json")
    assert [run["id"] for run in json.loads(out)] == [1, 2, 3]
    _, out, _ = call(capsys, "runs", "--procedure", "watch", "--search", "second", "--json")
    (run,) = json.loads(out)
    assert (run["title"], run["rows"], run["status"]) == ("second", 3, "finished")
    _, out, _ = call(capsys, "runs")
    assert "toybench:Ramp" in out
    _, out, _ = call(capsys, "runs", "--since", "2999-01-01")
    assert "no runs" in out


def test_replay_documents_and_exit_code(capsys):
    watch(capsys)
    code, out, _ = call(capsys, "replay", "last", "--json")
    assert code == 0
    assert json.loads(out)["identical"] is True
    code, out, _ = call(capsys, "replay", "last", "--mode", "sim")
    assert code == 0
    assert "all 10 rows identical" in out
    (folder,) = [p for p in Path("runs").iterdir() if p.is_dir()]
    text = (folder / "wire.jsonl").read_text(encoding="utf-8")
    (folder / "wire.jsonl").write_text(
        "".join(text.splitlines(keepends=True)[:20]), encoding="utf-8"
    )
    code, out, err = call(capsys, "replay", "last", "--json")
    assert code == 4
    assert json.loads(out)["identical"] is False
    assert len(err.splitlines()) == 1
    assert "thermometer" in err


def test_analyse_makes_a_new_run_that_cites_the_old(capsys):
    watch(capsys)
    code, out, _ = call(capsys, "analyse", "last", "--set", "steps=10", "--json")
    assert code == 0
    document = json.loads(out)
    folder = RunFolder.open(document["run"])
    assert folder.status == "finished"
    assert folder.start["analysis_of"].endswith(Path(document["analysis_of"]).name)
    assert len(folder.rows) == 10
    assert folder.trace("trace (K)", 3).shape == (5,)
    assert document["results"]["mean"]["value"] == pytest.approx(20.5, abs=0.2)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "html"])
def test_plot(capsys, suffix):
    watch(capsys)
    code, out, _ = call(capsys, "plot", "last", "-o", f"figure.{suffix}")
    assert (code, out) == (0, f"figure.{suffix}\n")
    assert Path(f"figure.{suffix}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("form", "suffix"), [("csv", "csv"), ("parquet", "parquet"), ("hdf5", "h5"), ("netcdf", "nc")]
)
def test_export(capsys, form, suffix):
    watch(capsys)
    code, out, _ = call(capsys, "export", "last", "--format", form, "-o", f"rows.{suffix}")
    assert code == 0
    assert out.splitlines()[0] == f"rows.{suffix}"
    assert Path(f"rows.{suffix}").stat().st_size > 100


def test_queue(capsys):
    arguments = ("toybench:Watch", "--bench", "toy.toml", "--set")
    assert call(capsys, "queue", "add", *arguments, "steps=2")[1] == "queued as item 1\n"
    call(capsys, "queue", "add", *arguments, "fail_at=1")
    call(capsys, "queue", "add", *arguments, "steps=4")
    call(capsys, "queue", "add", *arguments, "steps=5")
    assert call(capsys, "queue", "move", "4", "1")[0] == 0
    assert call(capsys, "queue", "remove", "3")[0] == 0
    _, out, _ = call(capsys, "queue", "list", "--json")
    assert [item["number"] for item in json.loads(out)] == [4, 1, 2]
    code, _, err = call(capsys, "queue", "run")
    assert code == 1  # one item failed; the others ran all the same
    assert "ZeroDivisionError" in err
    _, out, _ = call(capsys, "queue", "--json")
    items = {item["number"]: item for item in json.loads(out)}
    assert {n: i["status"] for n, i in items.items()} == {4: "finished", 1: "finished", 2: "failed"}
    assert len(RunFolder.open(items[4]["run"]).rows) == 5
    assert call(capsys, "queue", "move", "1", "1")[0] == 2
    assert call(capsys, "queue", "remove", "9")[0] == 2
    assert "nothing waits" in call(capsys, "queue", "run")[1]


def test_check(capsys):
    code, out, _ = call(capsys, "check", "toy.toml", "--json")
    assert code == 0
    assert json.loads(out)["instruments"][0]["identity"] == "TOY,THERMOMETER,1,1.0"
    code, out, err = call(capsys, "check", "toy.toml", "--mode", "real")
    assert code == 1
    assert "BAD  thermometer" in out
    assert "not ready: thermometer" in err


def test_describe_and_list(capsys):
    _, out, _ = call(capsys, "describe", "toybench:Watch", "--json")
    document = json.loads(out)
    assert document["parameters"]["pause"]["unit"] == "s"
    assert document["results"]["mean"] == {"unit": "K", "meaning": "mean temperature"}
    assert document["instruments"] == ["thermometer"]
    _, out, _ = call(capsys, "describe", "toy.toml", "--json")
    assert json.loads(out)["world"]["rate"]["source"] == "assumed"
    for word in ("toybench:Watch", "toy.toml"):
        code, out, _ = call(capsys, "describe", word)
        assert (code, out.count("\n") > 5) == (0, True)
    _, out, _ = call(capsys, "describe", "cluster-microcomb")  # into a pipe: one line, whole names
    assert "laser_power_noise  0.002" in out
    assert "drivers.spectrum_analyser:SpectrumAnalyser" in out
    _, out, _ = call(capsys, "list", "--json")
    assert set(json.loads(out)) == {"procedures", "benches", "drivers"}
    assert "covariance-sweep" in call(capsys, "list", "procedures")[1]


def test_doctor(capsys):
    code, out, _ = call(capsys, "doctor")
    assert code == 0, out
    assert "BAD" not in out
    assert not list(Path().glob(".labctl*"))  # nothing is left of its trial


@pytest.mark.parametrize("folder", ["no_folder/runs", "no_folder"])
def test_doctor_finds_that_runs_have_no_place(capsys, monkeypatch, folder):
    Path("no_folder").write_text("", encoding="utf-8")
    monkeypatch.setenv("LABCTL_RUNS", folder)
    monkeypatch.setattr("labctl.cli.doctor._modules", lambda: "as above")
    code, out, _ = call(capsys, "doctor", "--json")
    assert code == 1
    (bad,) = (one for one in json.loads(out) if not one["ok"])
    assert bad["check"] == "runs"
    assert "no_folder is no folder; set LABCTL_RUNS" in bad["text"]


def test_doctor_finds_what_is_too_new_and_what_is_missing(capsys, monkeypatch):
    def version(name):
        if name == "qtpy":
            raise metadata.PackageNotFoundError
        return "99.0"

    monkeypatch.setattr(metadata, "version", version)
    out = call(capsys, "doctor")[1]
    assert re.search(r"^BAD  dependencies: .*numpy 99.0, needed ", out, re.M)
    assert re.search(r"^BAD  window: .*qtpy is not installed", out, re.M)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("rnu", "x"), 2, "unknown 'rnu', did you mean 'run'?"),
        (("run",), 2, "PROCEDURE"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--set", "steps"), 2, "NAME=VALUE"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--set", "steps=1", "--set", "steps=2"), 2, "twice"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--set", "stesp=3"), 2, "did you mean 'steps'"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--set", "pause=nan"), 2, "not a finite number"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--set", "pause=3 Hz"), 2, "cannot be converted to s"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--seed", "-1"), 2, "must not be negative"),
        (("run", "toybench:Watch", "--bench", "toy.tml"), 2, "no bench 'toy.tml'"),
        (("run", "toybench:Watch"), 2, "say --bench NAME"),
        (("run", "covarianc-sweep", "--bench", "toy.toml"), 2, "did you mean 'covariance-sweep'"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--fsync", "-3"), 2, "milliseconds"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--set", "fail_at=0"), 1, "failed: ZeroDivisionError"),
        (("run", "toybench:Watch", "--bench", "toy.toml", "--mode", "real"), 1, "thermometer"),
        (("show", "last"), 2, "no run"),
        (("show", "17"), 2, "17"),
        (("resume", "nowhere"), 2, "nowhere"),
        (("describe", "nothing"), 2, "no procedure or bench 'nothing'"),
        (("describe", "cluster-microcom"), 2, "did you mean 'cluster-microcomb'"),
        (("serve", "toy.toml", "--pace", "-1"), 2, "--pace"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(capsys, words, code, complaint):
    got, _, err = call(capsys, *words)
    assert got == code
    lines = [line for line in err.splitlines() if line]
    assert len(lines) == 1, err
    assert complaint in lines[0]
    assert "Traceback" not in err


def test_control_of_a_run_that_does_not_run(capsys):
    watch(capsys)
    for verb in ("pause", "continue", "abort"):
        code, _, err = call(capsys, verb, "last")
        assert code == 2
        assert "does not run (finished)" in err


def test_a_wrong_output_file(capsys):
    watch(capsys)
    code, _, err = call(capsys, "plot", "last", "-o", "figure.bmp")
    assert code == 2
    assert ".png" in err
    code, _, err = call(capsys, "export", "last", "--format", "csv", "-o", "no/such/dir/rows.csv")
    assert code in (1, 2)
    assert len(err.splitlines()) == 1


def test_an_internal_fault_is_one_line_too(capsys, monkeypatch):
    def broken(arguments):
        raise KeyError("oops")

    monkeypatch.setattr("labctl.cli.looking.list_things", broken)
    code, _, err = call(capsys, "list")
    assert code == 1
    assert err.startswith("labctl: internal error: KeyError")
    assert len(err.splitlines()) == 1


ENDLESS = """\
import sys
sys.path.insert(0, sys.argv[1])
from labctl.cli import main
sys.exit(main(["run", "toybench:Watch", "--bench", "toy.toml", "--set", "steps=1000000"]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process; see docs")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_is_safe_and_resumable(place, signum):
    process = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, SUPPORT], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, cwd=place,
    )  # fmt: skip
    assert process.stdout is not None
    first = process.stdout.readline()
    assert "running" in first
    path = Path(first.split("running ")[1].strip())
    wait_for_rows(place / path, 5, process)
    process.send_signal(signum)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3, err
    assert err.strip().splitlines()[-1].startswith("labctl: aborted: interrupted by")
    folder = RunFolder.open(place / path)
    assert folder.status == "aborted"
    wire = (folder.path / "wire.jsonl").read_text(encoding="utf-8")
    sent = [entry["s"] for entry in map(json.loads, wire.splitlines()) if entry.get("d") == ">"]
    assert sent[-2:] == ["HEAT 0\n", "HEAT?\n"]


def wait_for_rows(path, count, process):
    """Follow the journal until it has some rows; gives up when the process ends."""
    while process.poll() is None:
        if (path / "run.jsonl").exists() and len(RunFolder.open(path).rows) >= count:
            return
    raise AssertionError(f"the run ended too early: {process.communicate()}")


def test_importing_the_command_line_is_cheap():
    code = "import sys, labctl.cli, labctl.cli.parser; print(len(sys.modules)); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    heavy = {"numpy", "pandas", "pymeasure", "pyarrow", "scipy", "rich", "matplotlib", "pyvisa"}
    assert not heavy & set(done.split())


def test_a_parameter_that_the_analysis_does_not_use_is_named(capsys):
    watch(capsys, "--set", "pause=0.5")
    code, out, err = call(capsys, "analyse", "last", "--set", "pause=2", "--json")
    assert (code, json.loads(out)["status"]) == (0, "finished")
    assert err.endswith(
        "its analysis does not use pause; what was measured with pause=0.5 stands\n"
    )
    assert len(err.splitlines()) == 1
    assert "does not use pause" in call(capsys, "show", "last")[1]
    code, _, err = call(capsys, "analyse", "1")
    assert (code, err) == (0, "")
