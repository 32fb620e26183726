"""What one exchange with an instrument costs, and what recording adds.

    python benchmarks/bench_query.py

Queries are measured in turns in the same process, so that ratios hold on a busy machine. The
TCP peer is a process of its own. pyvisa-py is the yardstick: its bare query, and a pymeasure
property on top of it. The traffic of a sweep is that between drivers and endpoints alone, without
what the simulators and the analysis cost.
"""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyvisa
from pymeasure.adapters import VISAAdapter
from pymeasure.instruments import Instrument

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import RealClock, VirtualClock
from labctl.http import HttpClient
from labctl.instrument import LabInstrument
from labctl.transport.link import Link
from labctl.transport.replaying import Transcript
from labctl.transport.tcp import TcpTransport
from labctl.transport.wirelog import WireLog, recording
from simulated_instruments.protocol.http import HttpEndpoint
from simulated_instruments.world import World

ROUNDS, PER_ROUND = 25, 200


class Driver(LabInstrument):
    """One property, as every driver has them."""

    power = Instrument.measurement("READ:POW?", "Get the power in mW.")


class PlainDriver(Instrument):
    """The same with pymeasure alone."""

    power = Instrument.measurement("READ:POW?", "Get the power in mW.")


class Meter:
    """The least an endpoint can do."""

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        return [(now, b"1.25E-03\n")] if data else []


def serve(server: socket.socket) -> None:
    """Answer every line on every connection, one connection after the other in a thread each."""
    import threading

    def answer(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(4096):
            if data.endswith(b"\n"):
                connection.sendall(b"1.25E-03\n")

    while True:
        connection, _ = server.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def microseconds(cases: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median time of a call of each case, measured in turns."""
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, call in cases.items():
            started = time.perf_counter()
            for _ in range(PER_ROUND):
                call()
            times[name].append((time.perf_counter() - started) / PER_ROUND * 1e6)
    return {name: statistics.median(values) for name, values in times.items()}


def queries() -> None:
    """Print what a query costs, in-process and over TCP."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    process = multiprocessing.get_context("fork").Process(target=serve, args=(server,), daemon=True)
    process.start()
    virtual, real = VirtualClock(), RealClock()
    linked = Driver(ByteAdapter(lambda: Link(Meter(), virtual), virtual, name="dut"))
    wired = Driver(ByteAdapter(lambda: TcpTransport("127.0.0.1", port), real, name="dut"))
    resource = f"TCPIP::127.0.0.1::{port}::SOCKET"
    ends = {"read_termination": "\n", "write_termination": "\n"}
    bare = pyvisa.ResourceManager("@py").open_resource(resource, **ends)
    plain = PlainDriver(VISAAdapter(resource, visa_library="@py", **ends), "x", includeSCPI=False)
    got = microseconds(
        {
            "link: adapter.query": lambda: linked.adapter.query("READ:POW?"),
            "link: driver property": lambda: linked.power,
            "TCP: adapter.query": lambda: wired.adapter.query("READ:POW?"),
            "TCP: driver property": lambda: wired.power,
            "TCP: pyvisa-py query": lambda: bare.query("READ:POW?"),
            "TCP: pymeasure property on pyvisa-py": lambda: plain.power,
        }
    )
    process.terminate()
    yardstick = got["TCP: pyvisa-py query"]
    print(f"{'one query':40} {'us':>8} {'vs pyvisa-py':>14} {'more by us':>11}")
    for name, value in got.items():
        print(f"{name:40} {value:8.1f} {value / yardstick:14.2f} {value - yardstick:11.1f}")


def profiles(count: int) -> list[bytes]:
    """Bodies like those of filter profiles: 5026 lines, four bands differ from call to call."""
    rng = np.random.default_rng(1)
    frequency = 191.25 + 0.001 * np.arange(5026)
    bodies = []
    for _ in range(count):
        attenuation, phase = np.full(5026, 60.0), np.zeros(5026)
        attenuation[np.arange(5026) % 70 < 25] = 0.0
        for band in rng.choice(70, 4, replace=False) * 70:
            attenuation[band : band + 25] = rng.choice([0.0, 3.0103])
            phase[band : band + 25] = rng.uniform(0, 2 * np.pi)
        rows = zip(frequency, attenuation, phase, strict=True)
        text = "".join(f"{f:.4f}\\t{a:.4f}\\t{p:.4f}\\t1\\n" for f, a, p in rows)
        bodies.append(b'{"type": "wsp", "wsp": "' + text.encode() + b'"}')
    return bodies


def recordings() -> None:
    """Print what a sweep's traffic costs with and without recording, and its size."""
    bodies = profiles(200)
    last = [b""]

    def shaper(
        method: str, path: str, headers: dict[str, str], body: bytes, now: float
    ) -> tuple[float, int, dict[str, str], bytes]:
        if method == "POST":
            last[0] = body
        return 0.0, 200, {}, b'{"rc": 0}' if method == "POST" else last[0].replace(b"\\n", b"\n")

    def sweep(log: WireLog | None) -> float:
        """832 uploads, 832 read-backs and 15 000 small queries; the processor time in s."""
        clock = VirtualClock()

        def opener(make: Callable[[], Link], name: str) -> Callable[[], object]:
            return make if log is None else recording(make, clock, log, name)

        client = HttpClient(
            ByteAdapter(
                opener(lambda: Link(HttpEndpoint(World(), shaper), clock), "shaper"),
                clock,
                name="shaper",
                framing=Framing(write=b"", read=b""),
            )
        )
        meter = Driver(ByteAdapter(opener(lambda: Link(Meter(), clock), "meter"), clock, name="m"))
        started = time.process_time()
        for k in range(832):
            client.post("/waveshaper/loadprofile", bodies[k % len(bodies)])
            client.get("/waveshaper/getprofile")
            for _ in range(9):
                _ = meter.power
            if log is not None:
                log.flush()
        return time.process_time() - started

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "wire.jsonl"
        sweep(None)
        without = sweep(None)
        log = WireLog(path)
        with_log = sweep(log)
        log.close()
        size = path.stat().st_size
        started = time.perf_counter()
        Transcript(path)
        reading = time.perf_counter() - started
    uploads = 1664
    print(f"\n{'traffic of a sweep (832 loads)':40} {'CPU s':>8} {'ratio':>14}")
    print(f"{'without recording':40} {without:8.2f} {1:14.2f}")
    print(f"{'with recording':40} {with_log:8.2f} {with_log / without:14.2f}")
    print(f"recording adds {with_log - without:.2f} s and {size / 1e6:.1f} MB", end="; ")
    print(
        f"{(with_log - without) / uploads * 1e6:.0f} us a profile; opening it takes {reading:.2f} s"
    )


def posts() -> None:
    """Print what an upload of a profile costs in client and server."""
    clock = VirtualClock()

    def accept(
        method: str, path: str, headers: dict[str, str], body: bytes, now: float
    ) -> tuple[float, int, dict[str, str], bytes]:
        return 0.0, 200, {}, b'{"rc": 0}'

    client = HttpClient(
        ByteAdapter(
            lambda: Link(HttpEndpoint(World(), accept), clock),
            clock,
            name="shaper",
            framing=Framing(write=b"", read=b""),
        )
    )
    [body] = profiles(1)
    text = body.decode()
    got = microseconds(
        {
            f"POST of {len(body) / 1e3:.0f} kB": lambda: client.post("/x", body),
            "the same, encoded as JSON": lambda: client.post_json("/x", text),
            "GET of 9 bytes": lambda: client.get("/x"),
        }
    )
    print(f"\n{'HTTP over the link, both ends':40} {'us':>8}")
    for name, value in got.items():
        print(f"{name:40} {value:8.1f}")


if __name__ == "__main__":
    queries()
    posts()
    recordings()
