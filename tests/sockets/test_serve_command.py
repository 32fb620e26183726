"""`labctl serve`: its JSON lines are a contract, and what it names must answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toybench

from labctl.transport.stepped import SteppedClock, open_stepped_transport

COMMAND = "import sys; from labctl.cli import main; sys.exit(main())"


@pytest.fixture
def serve(tmp_path):
    """Start the command on the toy bench; gives the process and what it said until ready."""
    bench = tmp_path / "toy.toml"
    bench.write_text(toybench.BENCH, encoding="utf-8")
    support = str(Path(toybench.__file__).parent)
    path = os.pathsep.join([support, *filter(None, [os.environ.get("PYTHONPATH")])])
    processes = []

    def started(*options):
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "serve", str(bench), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        processes.append(process)
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def announced(process):
    """The lines of `--json`, up to and with the last one."""
    lines = []
    while not lines or "ready" not in lines[-1]:
        lines.append(json.loads(process.stdout.readline()))
    return lines


def test_one_line_per_endpoint_then_ready(serve, dial):
    process = serve("--json")
    *endpoints, ready = announced(process)
    assert ready == {"ready": True}
    assert [entry["instrument"] for entry in endpoints] == ["thermometer", "clock"]
    for entry in endpoints:
        assert {"instrument", "protocol", "address"} <= set(entry)
        assert entry["address"].startswith("tcp://127.0.0.1:")
    client = dial(endpoints[0]["address"])
    assert client.ask("*IDN?") == "TOY,THERMOMETER,1,1.0"
    assert json.loads(dial(endpoints[1]["address"]).ask('{"do": "now"}'))["pace"] == 1


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be sent to one process on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_it_without_noise(serve, number):
    process = serve("--json")
    announced(process)
    process.send_signal(number)
    rest, errors = process.communicate(timeout=20)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_stepped_time_from_another_process(serve):
    endpoints = announced(serve("--json", "--pace", "0"))
    clock = SteppedClock(endpoints[1]["address"])
    transport = open_stepped_transport(endpoints[0]["address"], clock)
    clock.sleep(100.0)
    transport.send(b"TEMP?\n")
    warm = float(transport.receive(1.0))
    assert warm == pytest.approx(30.0, abs=0.1)  # 20 K and 0.1 K/s
    assert clock.now() == 100.001
    transport.close()
    clock.close()


def test_a_wrong_request_is_one_line_and_exit_code_2(serve):
    for options in (("--pace", "-1"), ("--host", "198.51.100.7")):
        process = serve("--json", *options)
        output, errors = process.communicate(timeout=20)
        assert (process.returncode, output) == (2, "")
        assert errors.count("\n") == 1
        assert options[1] in errors
