"""`labctl web`: what the page shows, who may see it, and that nothing can be changed or reached."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import toybench
from commandline import call

from labctl.filelock import FileLock
from labctl.manager import Manager
from labctl.run import runner, safety
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.units import measured
from labctl.web.pictures import drawn
from labctl.web.server import WebServer
from labctl.web.state import View

TOKEN = "a-token-of-this-test"
BOUND = 60.0  # s
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


def request(place, **parameters):
    words = {name: str(value) for name, value in parameters.items()}
    return Request("toybench:Watch", words, str(place / "toy.toml"), title="<b>of the page</b>")


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """A folder of runs with a finished one, and one that waits."""
    monkeypatch.setenv("PYTHONPATH", str(Path(toybench.__file__).parent))
    (tmp_path / "toy.toml").write_text(toybench.BENCH, encoding="utf-8")
    outcome = runner.start(request(tmp_path, steps=5), tmp_path / "runs")
    assert outcome.status == "finished"
    Manager(tmp_path / "runs").submit(request(tmp_path, steps=7))
    return tmp_path


@contextlib.contextmanager
def shown(runs):
    server = WebServer(View(runs), TOKEN)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(BOUND)
        assert not thread.is_alive()


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=BOUND)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def state(server):
    response, body = ask(server, f"/{TOKEN}/state.json")
    assert response.status == 200
    return json.loads(body)


def until(condition, what):
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


def test_state_results_queue_and_figures(lab):
    with shown(lab / "runs") as server:
        document = state(server)
        run = document["run"]
        assert (run["status"], run["points"], run["part"]) == ("finished", "5 of 5", 1.0)
        assert run["mode"] == "simulated"
        assert run["left"] == ""
        mean = RunFolder.open(next((lab / "runs").glob("0001-*"))).result["mean"]
        (shown_mean,) = (r["value"] for r in run["results"] if r["name"] == "mean")
        assert shown_mean == measured(mean)
        assert len(document["queue"]) == 1
        assert document["queue"][0].startswith("1 toybench:Watch · ")
        assert re.search(r" · about [\d.]+ m?s$", document["queue"][0])
        assert document["waiting"] == 1
        assert " in all; finished about " in document["outlook"]
        (figure,) = until(lambda: state(server)["run"]["figures"], "a figure")
        assert figure["title"] == "temperature"
        response, body = ask(server, f"/{TOKEN}/figure/0.png?v={figure['version']}")
        assert response.getheader("Content-Type") == "image/png"
        assert body.startswith(b"\x89PNG\r\n\x1a\n")
        assert ask(server, f"/{TOKEN}/figure/1.png")[0].status == 404


def test_the_outlook_follows_the_queue(lab):
    """What is unknown is said, more than fits is counted, and nothing is asked twice."""
    runs = lab / "runs"
    manager = Manager(runs)
    with shown(runs) as server:
        manager.submit(Request("toybench:Ramp", {"steps": 3}))
        assert "at least" in state(server)["outlook"]
        assert "1 item unknown; finished not before" in state(server)["outlook"]
        manager.submit_all([request(lab, steps=2) for _ in range(14)])
        document = state(server)
        assert (document["waiting"], len(document["queue"])) == (16, 12)
        shutil.rmtree(next(runs.glob("0001-*")))
        (runs / "catalogue.sqlite").unlink()
        manager.remove(*(item.number for item in manager.waiting()[1:]))
        assert state(server)["outlook"] == "time unknown, no earlier run tells"
        manager.remove(1)
        assert (state(server)["waiting"], state(server)["outlook"]) == (0, "")


def test_a_run_that_goes_on_and_one_that_was_stopped(lab):
    """The writer is this test: a start entry, two rows, then a stop."""
    runs = lab / "runs"
    start = RunFolder.open(next(runs.glob("0001-*"))).start
    entry = {name: start[name] for name in start if name not in ("entry", "time")} | {"points": 4}
    with shown(runs) as server, RunFolder.create(runs, "watch", entry) as folder:
        folder.opened({"t": 0.0, "seed": 0, "identities": {}, "settings": {}})
        for index in range(2):
            folder.emit({"index": index, "step": index, "temperature (K)": 20.0, "draw": 0.5}, 0.0)
        run = state(server)["run"]
        assert (run["status"], run["points"], run["part"]) == ("running", "2 of 4", 0.5)
        assert run["left"]
        assert run["until"]
        folder.paused("lunch")
        run = state(server)["run"]
        assert (run["status"], run["reason"], run["left"]) == ("paused", "lunch", "")
        safety.begin(folder.path, "STOP", ["thermometer"])
        safety.confirm(folder.path, "thermometer", safety.UNREACHABLE, "no answer")
        (said,) = state(server)["run"]["safety"]
        assert said == {
            "instrument": "thermometer", "state": "unreachable", "detail": "no answer"
        }  # fmt: skip
        folder.stop("aborted", "STOP")
        assert state(server)["run"]["status"] == "aborted"
        folder.close()
        assert state(server)["run"]["points"] == "2 of 4"
        with RunFolder.resume(folder.path) as again:  # and ended while nobody looked
            again.opened({"t": 0.0, "seed": 0, "identities": {}, "settings": {}})
            again.emit({"index": 2, "step": 2, "temperature (K)": 20.0, "draw": 0.5}, 1.0)
            again.stop("failed", "no light")
        run = state(server)["run"]
        assert (run["status"], run["reason"], run["points"]) == ("failed", "no light", "3 of 4")


def test_only_who_knows_the_token_may_look(lab):
    with shown(lab / "runs") as server:
        for path in ("/", "/state.json", f"/{TOKEN[:-1]}/", f"/{TOKEN}x/", f"/x/{TOKEN}/",
                     f"//{TOKEN}/", f"/?{TOKEN}/", "/%ff/", f"/{TOKEN.upper()}/"):  # fmt: skip
            response, body = ask(server, path)
            assert response.status == 403, path
            assert TOKEN.encode() not in body
        response, body = ask(server, f"/{TOKEN}/")
        assert response.status == 200
        assert response.getheader("Referrer-Policy") == "no-referrer"
        assert response.getheader("Cache-Control") == "no-store"
        assert "default-src 'none'" in response.getheader("Content-Security-Policy")
        assert not re.search(rb"https?://", body)  # nothing from elsewhere
        response, _ = ask(server, f"/{TOKEN}")
        assert (response.status, response.getheader("Location")) == (301, f"/{TOKEN}/")


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1:8750", 200), ("localhost", 200), ("LOCALHOST:1", 200), ("[::1]:8750", 200),
     ("rebound.example:8750", 421), ("127.0.0.1.rebound.example", 421), ("localhost.example", 421),
     ("x@127.0.0.1", 421), ("", 421), ("127.0.0.1:8750:1", 421)],
)  # fmt: skip
def test_a_foreign_name_for_this_machine_shows_nothing(lab, host, status):
    """A page of another site may resolve its own name to 127.0.0.1; it still says that name."""
    with shown(lab / "runs") as server:
        response, body = ask(server, f"/{TOKEN}/state.json", Host=host)
        assert response.status == status
        assert (b"points" in body) == (status == 200)
        assert response.getheader("Cross-Origin-Resource-Policy") == "same-origin"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "stop"])
def test_nothing_can_be_changed(lab, method):
    with shown(lab / "runs") as server:
        response, _ = ask(server, f"/{TOKEN}/state.json", method)
        assert (response.status, response.getheader("Allow")) == (405, "GET, HEAD")
        assert ask(server, "/wrong/", method)[0].status == 403
        head, body = ask(server, f"/{TOKEN}/", "HEAD")
        assert (head.status, body) == (200, b"")
        assert int(head.getheader("Content-Length")) > 1000


@pytest.mark.parametrize(
    "place",
    ["../toy.toml", "..%2ftoy.toml", "figure/../../toy.toml", "figure/%2e%2e/0.png", "/etc/passwd",
     "figure/-1.png", "figure/99.png", "figure/0.png/", "figure/0.svg", "queue.jsonl", "\\..\\x",
     "figure/0.png%00.txt", "figure/%D9%A3.png", "state.json/x"],
)  # fmt: skip
def test_no_path_leads_to_a_file(lab, place):
    with shown(lab / "runs") as server:
        response, body = ask(server, f"/{TOKEN}/{place}")
        assert response.status == 404
        assert body == b"nothing here\n"


@pytest.mark.parametrize(
    "sent",
    [b"GARBAGE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 50000 + b" HTTP/1.1\r\n",
     b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n" + b"x" * 200000, b"\x16\x03\x01",
     b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
)  # fmt: skip
def test_nonsense_is_turned_away_and_others_are_served(lab, sent):
    with shown(lab / "runs") as server:
        client = socket.create_connection(("127.0.0.1", server.port), timeout=BOUND)
        with client, contextlib.suppress(OSError):  # it may hang up before all is sent
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(100)
            assert answer == b"" or re.match(rb"HTTP/1.1 4\d\d ", answer)
        assert state(server)["run"]["status"] == "finished"


def test_no_run_yet_and_a_broken_one(tmp_path):
    with shown(tmp_path / "runs") as server:
        assert state(server)["run"] is None
        broken = tmp_path / "runs" / "0001-watch-20260101-000000"
        broken.mkdir(parents=True)
        (broken / "run.jsonl").write_bytes(b"\xff\x00 no journal\n")
        assert "error" not in state(server)


def test_figures_of_a_broken_procedure_cost_one_line(lab):
    path = next((lab / "runs").glob("0001-*"))
    broken = path.parent / "0007-broken"
    shutil.copytree(path, broken)
    journal = (broken / "run.jsonl").read_bytes().replace(b"toybench:Watch", b"toybench:Witch")
    (broken / "run.jsonl").write_bytes(journal)
    found, trouble = drawn(broken)
    assert found == []
    assert trouble.count("\n") == 0
    assert trouble
    assert drawn(path, patience=0.001) == ([], "its figures were not drawn within 0.001 s")


def test_the_command(lab, capsys):
    code, _, err = call(capsys, "web", "--port", "70000", "--runs", str(lab / "runs"))
    assert (code, err.count("\n")) == (2, 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, err = call(capsys, "web", "--port", port, "--runs", str(lab / "runs"))
    assert (code, err.count("\n")) == (2, 1)
    assert "choose another --port" in err
    with subprocess.Popen(
        [sys.executable, "-c", "from labctl.cli import script; script()", "web", "--port", "0",
         "--json", "--runs", str(lab / "runs")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "LABCTL_WEB_TOKEN": ""},
    ) as process:  # fmt: skip
        ready = json.loads(process.stdout.readline())
        match = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([A-Za-z0-9_-]{32})/", ready["address"])
        assert match
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=BOUND)
        assert (process.returncode, said) == (0, "")


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")
def test_in_a_browser(lab, tmp_path):
    """The page as a phone draws it: state, results, figure; its own policy refuses nothing."""
    with shown(lab / "runs") as server:
        until(lambda: state(server)["run"]["figures"], "a figure")
        done = subprocess.run(
            [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
             f"--user-data-dir={tmp_path / 'profile'}", "--window-size=420,1200",
             "--virtual-time-budget=6000", "--dump-dom", server.address],
            capture_output=True, text=True, timeout=3 * BOUND, check=False,
        )  # fmt: skip
    page = done.stdout
    assert '<span id="status" class="status good">finished</span>' in page
    assert '<b id="points">5 of 5</b>' in page
    assert re.search(
        r'<section id="ahead"><b id="count">1 waiting: </b><span id="outlook">[\d.]+ s', page
    )
    assert "&lt;b&gt;of the page&lt;/b&gt;" in page  # a title is text
    assert re.search(r'<img[^>]*src="figure/0.png\?v=\d+"[^>]*style="min-width: \d', page)  # loaded
    assert re.search(r"<td>mean</td><td>\d+\.\d+ ± [\d.]+ K</td>", page)
    for complaint in ("Refused", "Content Security Policy", "Uncaught"):
        assert complaint not in done.stderr


def test_a_run_without_rows_yet_is_running(lab):
    """Locked and without a row: nothing to draw, nothing to foretell, no complaint."""
    runs = lab / "runs"
    start = RunFolder.open(next(runs.glob("0001-*"))).start
    with shown(runs) as server, RunFolder.create(runs, "watch", {**start, "points": 4}) as folder:
        assert not FileLock(folder.path / "writer.lock").acquire()
        run = state(server)["run"]
        assert (run["points"], run["left"], run["figures"]) == ("0 of 4", "", [])
