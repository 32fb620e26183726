"""Wrong requests and failing instruments of the magnomechanics bench, from the command line."""

from __future__ import annotations

import pytest
from commandline import call

from labctl.run.folder import RunFolder


@pytest.fixture
def run(tmp_path, capsys):
    def command(procedure, *words):
        code, _, error = call(
            capsys, "run", procedure, "--bench", "magnomechanics", "--runs", str(tmp_path), *words
        )
        folders = [p for p in tmp_path.iterdir() if p.is_dir()]
        last = [line for line in error.splitlines() if line][-1]
        return code, last, folders

    return command


@pytest.mark.parametrize(
    ("procedure", "options", "message"),
    [
        (
            "microwave-covariance",
            ["bandwidth=30"],
            "60 MHz wide, wider than the modes are apart (20",
        ),
        ("microwave-covariance", ["error=0.005"], "an error of 0.005 takes 2"),
        ("microwave-covariance", ["load_temperature=20"], "differ by 0 quanta"),
        ("microwave-covariance", ["load_temperature=100"], "ask for a load_temperature of 1000 mK"),
        ("microwave-covariance", ["coupling=12"], "it is stable up to G = 9.583 MHz"),
        ("microwave-covariance", ["detuning_1=40"], "above the maximum 25 MHz"),
        ("drive-calibration", ["powers=0.5,80"], "at 80 mW: unstable operating point"),
        ("drive-calibration", ["powers=1"], "give two powers at least"),
        ("detuning-map", ["coupling=40"], "unstable operating point"),
        ("coupling-map", ["g_lowest=1.5"], "g_lowest must be below g_highest"),
        ("temperature-sweep", ["temperatures=20"], "give two temperatures at least"),
        ("mode-spectroscopy", ["lowest=5", "highest=5"], "lowest must be below highest"),
    ],
)
def test_refused_before_anything_is_opened(run, procedure, options, message):
    words = [word for option in options for word in ("--set", option)]
    code, error, folders = run(procedure, *words)
    assert code == 2
    assert message in error
    assert not folders


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--set", "ramp_rate=0.5"], 2, "ramp rate 0.5 T/s is outside this magnet's range"),
        (["--world", "quench_current=20"], 3, "quench"),
        (["--world", "base_temperature=60"], 1, "mK 600 s after 20 mK were asked for"),
        (["--world", "chain_gain=0.05"], 1, "stand at the end of the converter"),
        (["--set", "detuning_1=-25", "--world", "cavity_1=9975"], 2,
         "cavity 1 cannot be tuned to -25 MHz from the drive"),
    ],
)  # fmt: skip
def test_what_only_the_instruments_can_say(run, words, code, message):
    """One line, and nothing is left on."""
    found, error, folders = run("microwave-covariance", "--set", "records=20000", *words)
    assert found == code
    assert message in error
    (folder,) = folders
    recorded = RunFolder.open(folder)
    assert recorded.status in ("failed", "aborted")
    assert not any(row["kind"] == "state" for row in recorded.rows)
    wire = (folder / "wire.jsonl").read_bytes()
    for on, off in ((b":OUTP 1\\n", b":OUTP 0\\n"), (b"DIO2_P,1", b"DIO2_P,0")):
        assert wire.rfind(off) > wire.rfind(on)
    assert wire.rfind(b"RANGE 0,0") > wire.rfind(b"RANGE 0,8")
