"""Further connections of an instrument: simulated, recorded, replayed, disturbed, and by address."""

import pytest

from labctl import benchfile
from labctl.adapter import Framing
from labctl.bench import Bench, simulators
from labctl.errors import BenchFileError, ConnectionLost
from labctl.transport.replaying import Transcript
from labctl.transport.wirelog import WireLog
from simulated_instruments.server import address_of, serving

BENCH = """
[bench]
[instruments.laser]
driver = "drivers.toptica_dlcpro:TopticaDlcPro"
address = "tcp://127.0.0.1:1998"
simulator = "simulated_instruments.toptica_dlcpro:SimTopticaDlcPro"
"""
LINES = Framing(banner=b"", read=b"\n", unasked=True)
HEALTH = "(add 'system-health 100 0.1)\n"


def bench_file(tmp_path, more=""):
    return benchfile.parse(BENCH + more, tmp_path / "bench.toml")


def ask_both(bench):
    """What the command line and the monitoring line say, and the time at which they have said it."""
    laser = bench["laser"]
    monitor = laser.adapter.port("monitor", "tcp://127.0.0.1:1999", LINES)
    monitor.write_bytes(HEALTH.encode())
    reply = b""
    while b"system-health" not in reply:
        reply += monitor.receive()
    return laser.identify(), reply, bench.clock.now()


def test_a_port_is_recorded_under_its_own_name_and_replayed(tmp_path):
    log = WireLog(tmp_path / "wire.jsonl")
    with Bench.open(bench_file(tmp_path), "sim", record=log) as bench:
        first = ask_both(bench)
    log.close()
    assert first[1].endswith(b" 0)\r\n")
    assert '"i":"laser.monitor"' in (tmp_path / "wire.jsonl").read_text()
    transcript = Transcript(tmp_path / "wire.jsonl")
    replayed = Bench.open(bench_file(tmp_path), "replay", replay=transcript)
    assert ask_both(replayed) == first


def test_a_port_is_closed_with_the_bench(tmp_path):
    with Bench.open(bench_file(tmp_path), "sim") as bench:
        port = bench["laser"].adapter.port("monitor", "", LINES)
        transport = port.connection
    with pytest.raises(ConnectionLost):
        transport.receive(0.0)


def test_a_port_suffers_the_faults_of_its_instrument(tmp_path):
    file = bench_file(tmp_path, "faults = { hang = [30] }\n")
    with Bench.open(file, "sim") as bench:
        ask_both(bench)
        plan = bench["laser"].adapter.port("monitor", "", LINES).connection._endpoint._plan
        assert plan is bench["laser"].adapter.connection._endpoint._plan


def test_the_bench_file_says_where_a_port_is(tmp_path):
    with serving(simulators(bench_file(tmp_path), 0, {}), pace=0) as addresses:
        clock = address_of(addresses, "clock").replace("tcp://", "stepped://")
        command, monitor = (address_of(addresses, "laser", p) for p in ("command", "monitor"))
        text = BENCH.replace("[bench]", f'[bench]\nclock = "{clock}"')
        text = text.replace("tcp://127.0.0.1:1998", command)
        file = benchfile.parse(text + f'ports = {{ monitor = "{monitor}" }}\n', tmp_path / "b.toml")
        with Bench.open(file, "real") as bench:
            assert b"system-health" in ask_both(bench)[1]


def test_a_port_that_is_no_address_is_refused_with_its_line(tmp_path):
    with pytest.raises(BenchFileError, match=r"bench.toml:7: port monitor = 1999 must be"):
        bench_file(tmp_path, "ports = { monitor = 1999 }\n")
