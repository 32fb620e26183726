"""Attenuators, wavemeter, phase shifters, pulse generators and analyser as instruments of a bench.

Whatever their wire is (SCPI, calls of a library, frames, JSON-RPC with a second port): runs are
recorded, replay to the bit, and survive bad lines.
"""

from __future__ import annotations

import re
from pathlib import Path

import lightbench
import pytest

from labctl import benchfile
from labctl.bench import Bench
from labctl.errors import LabError
from labctl.run import runner
from labctl.run.folder import RunFolder
from labctl.run.replay import replay
from labctl.run.request import Request


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("light")
    (place / "light.toml").write_text(lightbench.BENCH, encoding="utf-8")
    request = Request("lightbench:Ask", {"steps": "3"}, str(place / "light.toml"), seed=3)
    outcome = runner.start(request, place / "runs")
    assert outcome.status == "finished", outcome.reason
    return outcome.path


def test_a_run_with_all_of_them(run):
    folder = RunFolder.open(run)
    rows = list(folder.rows)
    assert [row["voa (dB)"] for row in rows] == [0.0, 3.0, 6.0]
    assert [row["osa (nm)"] for row in rows] == pytest.approx([1555.0, 1556.0, 1557.0])
    assert all(abs(row["frequency (THz)"] - 193.4) < 3e-5 for row in rows)
    assert {row["state"] for row in rows} == {"streaming"}
    wire = (run / "wire.jsonl").read_text(encoding="utf-8")
    assert '"i":"wavemeter","d":">","s":"[\\"GetFrequencyNum\\",1,0.0]\\n"' in wire
    assert '"i":"pulses.binary"' in wire


@pytest.mark.parametrize("mode", ["wire", "sim"])
def test_it_replays_to_the_bit(run, mode):
    comparison = replay(run, mode)
    assert comparison.identical, comparison.difference


FAULTS = [
    (name, fault) for name in lightbench.NAMES for fault in ("drop", "garble", "late", "truncate")
]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_a_bad_line_is_an_error_of_one_line_or_nothing(name, fault, tmp_path):
    """Every fourth reply suffers; what is measured nevertheless is right."""
    replies = list(range(6, 200, 4))  # the first ones are for who it is
    line = f"[instruments.{name}]\nfaults = {{ {fault} = {replies} }}\n"
    text = lightbench.BENCH.replace(f"[instruments.{name}]\n", line)
    bench = Bench.open(benchfile.parse(text, tmp_path / "bad.toml"), "sim", seed=1)
    complaints = []
    for index in range(3):
        try:
            row = lightbench.ask(bench, index)
        except LabError as error:
            complaints.append(str(error))
        else:
            assert row["voa (dB)"] == 3.0 * index
            assert row["aom (dBm)"] == pytest.approx(10.0 + 0.1 * index, abs=0.051)
    assert not [text for text in complaints if "\n" in text or name not in text]
    if fault in ("drop", "garble", "truncate") and name != "photodiodes":
        assert complaints
    bench.close()


def test_the_page_about_them_runs(tmp_path, monkeypatch):
    page = Path(__file__).resolve().parents[2] / "docs" / "light-and-pulses.md"
    text = page.read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.S)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    (tmp_path / "light.toml").write_text(toml, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(code, names)
    assert names["held"] == pytest.approx(193.4, abs=2e-5)
    assert names["heat"] == pytest.approx(4.2**2 / 0.5, rel=0.1)
    assert len(names["wavelengths"]) == len(names["levels"]) == 1001
