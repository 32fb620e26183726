"""Wrong requests and awkward surroundings: one line, the right exit code, no half-made run."""

from __future__ import annotations

import contextlib
import io
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import toybench
from commandline import call, watch

from labctl.run.folder import RunFolder

pytestmark = pytest.mark.usefixtures("place")
SUPPORT = str(Path(toybench.__file__).parent)
WATCH = ("run", "toybench:Watch", "--bench", "toy.toml")


def runs():
    return [path for path in Path().glob("runs*/*") if (path / "run.jsonl").exists()]


def complaint(err):
    """The one line on standard error."""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("labctl")
    return lines[0]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("run", ":Watch"), "must be written their_module:TheirProcedure"),
        (("run", ".toybench:Watch"), "must be written their_module:TheirProcedure"),
        (("run", "a..b:Watch"), "must be written their_module:TheirProcedure"),
        (("run", "toybench:"), "must be written their_module:TheirProcedure"),
        (("run", "no_such_module:Watch"), "cannot be imported: No module named 'no_such_module'"),
        (("run", "boom:Watch"), "cannot be imported: ZeroDivisionError"),
        (("run", "syntax:Watch"), "cannot be imported: SyntaxError"),
        (("run", "toybench:Wach"), "did you mean 'Watch'"),
        (("run", "toybench:Thermometer"), "has no procedure class 'Thermometer'"),
        (("run", "toybench:Watch"), "needs a bench: say --bench NAME"),
        (("run", "toybench:Watch", "--bench", "none.toml"), "none.toml: cannot read"),
        (("run", "toybench:Watch", "--bench", "."), "no bench '.'"),
        ((*WATCH, "--mode", "fake"), "--mode: unknown 'fake'; there are real, sim"),
        (("analyse", "last", "--vacuum", "3"), "--vacuum: unknown '3.0'; there are 1.0, 0.5, 0.25"),
        (("export", "last", "--format", "cvs", "-o", "x"), "--format: unknown 'cvs', did you mean"),
        (("list", "procs"), "unknown 'procs', did you mean 'procedures'"),
        (("queue", "ad"), "unknown 'ad', did you mean 'add'"),
        ((*WATCH, "--set", "steps=2.5"), "2.5 is not an integer"),
        ((*WATCH, "--set", "steps=0"), "below the minimum 1"),
        ((*WATCH, "--set", "pause=1e400"), "not a finite number"),
        ((*WATCH, "--set", "pause=1 kg"), "cannot be converted to s"),
        ((*WATCH, "--set", "pause="), "is not a number"),
        ((*WATCH, "--set", "pause=1_000"), "is not a number"),
        ((*WATCH, "--set", "=3"), "NAME=VALUE"),
        ((*WATCH, "--world", "start=2000"), "outside 0 to 1000 K"),
        ((*WATCH, "--world", "strat=1"), "did you mean 'start'"),
        ((*WATCH, "--world", "rate=fast"), "'fast' is not a number"),
        ((*WATCH, "--title", "two\nlines"), "one line"),
        ((*WATCH, "--seed", "1.5"), "invalid int value"),
        ((*WATCH, "--runs", "toy.toml"), "toy.toml is a file"),
        ((*WATCH, "--runs", "toy.toml/below"), "toy.toml is a file"),
        (("show", "last", "--runs", "toy.toml"), "toy.toml is a file"),
        (("runs", "--runs", "toy.toml"), "toy.toml is a file"),
        (("queue", "list", "--runs", "toy.toml"), "toy.toml is a file"),
        (("serve", "toy.toml", "--seed", "-1"), "must not be negative"),
        (("export", "last", "--format", "xml", "-o", "x"), "--format: unknown 'xml'; there are csv"),
        (("queue", "add", "toybench:Watch", "--bench", "toy.toml", "--set", "steps=0"), "minimum"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_refused_before_anything_is_made(capsys, place, words, text):
    (place / "boom.py").write_text("1 / 0\n", encoding="utf-8")
    (place / "syntax.py").write_text("def (:\n", encoding="utf-8")
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    assert text in complaint(err)
    assert runs() == []
    assert not Path("runs/queue.jsonl").exists()


def test_a_slip_that_asks_for_too_many_points(capsys, monkeypatch):
    monkeypatch.setattr("labctl.procedure.MOST_POINTS", 1000)
    assert watch(capsys, "--set", "steps=1000")[0] == 0
    code, _, err = watch(capsys, "--set", "steps=1e30")
    assert code == 2
    assert "watch: more than 1000 points" in complaint(err)
    assert len(runs()) == 1


BENCH_FAULTS = [
    ("toybench:Thermometer", "toybench:Thermomter", "toy.toml:9: driver: module toybench has no 'Thermomter', did you mean"),
    ("toybench:Thermometer", "nosuch:Thermometer", "toy.toml:9: driver 'nosuch:Thermometer' cannot be imported"),
    ("toybench:Thermometer", "json:JSONDecoder", "toy.toml:9: <class 'json.decoder.JSONDecoder'> is no driver"),
    ("toybench:Thermometer", "math:pi", "toy.toml:9: driver 'math:pi' is no class"),
    ("toybench:SimThermometer", "toybench:SimThermomete", "toy.toml:11: simulator: module toybench has no"),
    ('simulator = "toybench:SimThermometer"\n', "", "toy.toml:8: instrument 'thermometer' has no simulator"),
    ("toybench:ToyWorld", "toybench:ToyWord", "toy.toml:6: class: module toybench has no 'ToyWord'"),
    ("toybench:ToyWorld", "math:floor", "toy.toml:6: class 'math:floor' is no world"),
    ('"toybench:ToyWorld"\n', '"toybench:ToyWorld"\nstart = true\n', "toy.toml:7: world parameter 'start': True is not a number"),
    ('"toybench:ToyWorld"\n', '"toybench:ToyWorld"\nstart = [3]\n', "toy.toml:7: world parameter 'start': [3] is not a number"),
    ('"toybench:ToyWorld"\n', '"toybench:ToyWorld"\nsatrt = 3\n', "toy.toml:7: unknown world parameter 'satrt', did you mean"),
    ('"tcp://127.0.0.1:9"\n', '"tcp://127.0.0.1:9"\nsettings = {gain = 3}\n', "toy.toml:11: driver toybench:Thermometer refuses its settings"),
    ('"tcp://127.0.0.1:9"\n', '"tcp://127.0.0.1:9"\nfaults = {lose = 3}\n', "toy.toml:11: unknown fault 'lose'"),
    ('"tcp://127.0.0.1:9"\n', '"tcp://127.0.0.1:9"\nidentity = "(("\n', "toy.toml:11: identity = '((' is no regular expression"),
    ("[bench]\n", '[bench]\nprocedures = [3]\n', "toy.toml:2: procedures = [3] must be a list of texts"),
    ("[bench]\n", '[[interlocks]]\nread = "thermometer.tempratur"\n[bench]\n', "toy.toml:2: interlock: 'thermometer' has no quantity 'tempratur', did you mean"),
    ('mode = "sim"', "", "toy.toml: say --mode real or --mode sim"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "text"), BENCH_FAULTS)
@pytest.mark.parametrize("command", [WATCH, ("queue", "add", *WATCH[1:])])
def test_a_wrong_bench_file_is_refused_before_anything_is_made(
    capsys, place, old, new, text, command
):
    assert old in toybench.BENCH
    (place / "toy.toml").write_text(toybench.BENCH.replace(old, new, 1), encoding="utf-8")
    code, _, err = call(capsys, *command)
    assert code == 2
    assert complaint(err).startswith(f"labctl: {text}")
    assert runs() == []


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("tcpp://127.0.0.1:9", "unknown scheme 'tcpp', did you mean 'tcp'?"),
        ("127.0.0.1:9", "has no scheme"),
        ("tcp://127.0.0.1", "needs a port"),
        ("tcp://127.0.0.1:99999", "needs a port from 1 to 65535"),
        ("", "has no address"),
    ],
)
def test_a_wrong_address_is_refused_before_anything_is_made(capsys, place, address, text):
    bench = toybench.BENCH.replace("tcp://127.0.0.1:9", address)
    (place / "toy.toml").write_text(bench, encoding="utf-8")
    code, _, err = watch(capsys, "--mode", "real")
    assert code == 2
    assert text in complaint(err)
    assert runs() == []


@contextlib.contextmanager
def somebody_else():
    """An instrument on a socket that says that it is another one."""

    def answer(server):
        with contextlib.suppress(OSError):
            connection, _ = server.accept()
            with connection:
                while connection.recv(100):
                    connection.sendall(b"OTHER,THING,2,1.0\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"


def test_another_instrument_at_the_address(capsys, place):
    with somebody_else() as address:
        bench = toybench.BENCH.replace("tcp://127.0.0.1:9", address)
        (place / "toy.toml").write_text(bench, encoding="utf-8")
        code, _, err = watch(capsys, "--mode", "real")
    assert code == 1
    line = complaint(err)
    for part in ("thermometer", "'OTHER,THING,2,1.0'", "'TOY,THERMOMETER'", "check the address"):
        assert part in line
    (path,) = runs()  # what was found is on record
    assert RunFolder.open(path).status == "failed"


def test_an_instrument_that_is_not_there(capsys):
    code, _, err = watch(capsys, "--mode", "real")
    assert code == 1
    assert "thermometer: no connection to 127.0.0.1:9" in complaint(err)


def test_titles_are_text_and_no_markup(capsys):
    title = "Grüße 量子 [bold]x[/bold] [/] :smile:"
    assert watch(capsys, "--title", title)[0] == 0
    assert title in call(capsys, "runs")[1]
    assert title in call(capsys, "show", "last")[1]


WARNING = """
import logging
from labctl.parameters import integer
from labctl.procedure import LabProcedure

class Warns(LabProcedure):
    \"\"\"Says something on the way.\"\"\"
    count: int = integer("Count", 3)
    def points(self):
        yield from ({} for _ in range(self.count))
    def measure_point(self, point):
        logging.getLogger("somebody").warning("the [lamp] is\\nold")
        self.show("lamp [/]", 3.0, "W")
        return {}
"""


def test_warnings_are_notes_of_the_run(capsys, place, monkeypatch):
    (place / "warns.py").write_text(WARNING, encoding="utf-8")
    monkeypatch.syspath_prepend(str(place))
    code, out, err = call(capsys, "run", "warns:Warns", "--bench", "toy.toml")
    assert (code, err) == (0, "")
    assert out.count("labctl: the [lamp] is old\n") == 3
    assert call(capsys, "show", "last")[1].count("note: the [lamp] is old") == 3


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_narrow_terminal(capsys, place, monkeypatch):
    from labctl.cli import progress

    (place / "warns.py").write_text(WARNING, encoding="utf-8")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("COLUMNS", "60")
    screen = Terminal()
    monkeypatch.setattr(progress, "watcher", lambda quiet: progress.Rich(screen))
    assert call(capsys, "run", "warns:Warns", "--bench", "toy.toml")[0] == 0
    assert "the [lamp] is old" in screen.getvalue()


def test_only_the_latest_figures_that_fit_are_shown():
    from labctl.cli.progress import Rich
    from labctl.run.outcome import Event

    screen = Rich(Terminal())
    for number in range(50):
        screen(Event("show", (f"[{number % 20}]", float(number), "dB")))
    line = screen.latest(40)
    assert line.endswith("[8] 48 dB   [9] 49 dB")
    assert len(line) <= 40 < len(line) + len("[6] 46 dB   ")


@pytest.mark.parametrize("command", [("runs",), ("show", "last"), ("list",), ("list", "--json")])
def test_a_reader_that_goes_away_is_no_error(capsys, place, command):
    watch(capsys)
    code = f"import sys; sys.path.insert(0, {SUPPORT!r}); from labctl.cli import script; script()"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", code, *command], stdout=write, stderr=subprocess.PIPE, text=True,
        cwd=place, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_run_that_nobody_watches_ends_as_it_would(place):
    code = f"import sys; sys.path.insert(0, {SUPPORT!r}); from labctl.cli import script; script()"
    for extra, wanted in (((), 0), (("--set", "fail_at=3"), 1)):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-c", code, *WATCH, *extra], stdout=write, stderr=subprocess.PIPE,
            text=True, cwd=place, check=False,
        )  # fmt: skip
        os.close(write)
        assert done.returncode == wanted
        assert len(done.stderr.splitlines()) == wanted
    assert [RunFolder.open(path).status for path in sorted(runs())] == ["finished", "failed"]


def test_a_pipe_that_knows_few_characters(capsys, place):
    watch(capsys, "--title", "Grüße 量子")
    code = f"import sys; sys.path.insert(0, {SUPPORT!r}); from labctl.cli import script; script()"
    done = subprocess.run(
        [sys.executable, "-c", code, "show", "last"], capture_output=True, cwd=place, check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"Gr\xfc\xdfe \u91cf\u5b50" in done.stdout


def test_without_standard_output(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    from labctl.cli import main

    assert main(WATCH) == 0
    assert main(["show", "17"]) == 2
    (path,) = runs()
    assert RunFolder.open(path).status == "finished"


def test_json_alone_is_on_standard_output(capsys, place):
    (place / "warns.py").write_text(WARNING, encoding="utf-8")
    code, out, err = call(capsys, "run", "warns:Warns", "--bench", "toy.toml", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["status"] == "finished"


@pytest.mark.parametrize(
    "words", [("plot", "last", "-o"), ("export", "last", "--format", "csv", "-o")]
)
def test_places_where_nothing_can_be_written(capsys, place, words):
    watch(capsys)
    (place / "folder.svg").mkdir()
    for target in ("no/such/folder/out.svg", "folder.svg", "toy.toml/out.svg"):
        code, _, err = call(capsys, *words, target)
        assert code == 2
        assert target.rpartition("/")[0] in complaint(err)
    assert not Path("no").exists()


def test_an_analysis_that_fails_leaves_no_run(capsys, monkeypatch):
    watch(capsys)
    code, _, err = call(capsys, "analyse", "last", "--set", "steps=0")
    assert code == 2
    assert "below the minimum" in complaint(err)

    def broken(self, data):
        raise KeyError("no\nsuch thing")

    monkeypatch.setattr(toybench.Watch, "analyse", broken)
    code, _, err = call(capsys, "analyse", "last")
    assert code == 1
    assert "the analysis failed: KeyError" in complaint(err)
    assert len(runs()) == 1


def test_a_date_that_is_none(capsys):
    watch(capsys)
    code, _, err = call(capsys, "runs", "--since", "yesterday")
    assert code == 2
    assert "'yesterday' is no date" in complaint(err)


def test_help_of_every_command(capsys):
    from labctl.cli.parser import build_parser

    def commands(parser, path=()):
        yield path
        for action in parser._actions:
            if isinstance(getattr(action, "choices", None), dict):
                for name, sub in action.choices.items():
                    yield from commands(sub, (*path, name))

    found = list(commands(build_parser()))
    assert len(found) > 20
    for path in found:
        code, out, err = call(capsys, *path, "--help")
        assert (code, err) == (0, "")
        assert out.startswith(f"usage: labctl {' '.join(path)}".rstrip())
        assert max(map(len, out.splitlines())) < 110


def test_every_argument_says_what_it_is():
    from labctl.cli.parser import build_parser

    def silent(parser):
        for action in parser._actions:
            if isinstance(getattr(action, "choices", None), dict):
                for sub in action.choices.values():
                    yield from silent(sub)
            elif not action.help:
                yield f"{parser.prog} {action.dest}"

    assert list(silent(build_parser())) == []
