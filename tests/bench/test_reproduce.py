"""labctl reproduce: runs made once, failures named, one report that embeds nothing unescaped."""

from __future__ import annotations

import json
import signal
from html.parser import HTMLParser

import pytest
import toybench
from commandline import call

from labctl.manager import Manager
from labctl.run.folder import RunFolder
from labctl.run.locate import numbered

pytestmark = pytest.mark.usefixtures("place")

PAPER = """
[paper]
title = "Warm & <b>rooms</b>"
authors = "A. <script>alert(1)</script>"
reference = "J. \\"Quoted\\" 1"
link = "https://example.org/?a=1&b=2"
bench = "toy.toml"
remark = "<img src=x onerror=alert(2)>"
missing = [{ figure = "Fig. <i>9</i>", why = "a drawing </ul>" }]

[entries.mean]
figure = "Fig. 1"
title = "temperature of a </section> room"
procedure = "toybench:Watch"
parameters = { steps = 4 }
world = { start = 19.9 }
quick = { steps = 3 }
rows = [
    { name = "mean <u>", result = "mean", unit = "K", printed = "20.0 ± 0.5", where = "p. <1>" },
    { name = "again", result = "mean", scale = 1000, unit = "m<K>", printed = "2e4 ± 5e2", where = "p" },
    { name = "warm", result = "warm", printed = "yes", where = "p. 1", follows = "yes", because = "<x>" },
    { name = "coldest", array = "sorted", at = [0], unit = "K", printed = "< 30", where = "p. 1" },
    { name = "first", column = "temperature (K)", take = "first", unit = "K" },
    { name = "odd", result = "mean", printed = "5", where = "p. 1", follows = "3.6 ± 0.1", because = "b", comparable = false, remark = "r" },
    { name = "absent", array = "nothing", at = [0], unit = "K", printed = "3", where = "p. 1" },
]
plots = [{ title = "T", x = "index", y = "T (K)", ours = [
    { label = "here", x = "index", y = "temperature (K)" },
    { label = "part", x = "index", y = "temperature (K)", only = { step = 2 } },
], published = [{ label = "theirs", x = [1], y = ["20.1 ± 0.3"] }] }]

[entries.same]
figure = "Fig. 2"
title = "the same run"
procedure = "toybench:Watch"
parameters = { steps = 4 }
world = { start = 19.9 }
quick = { steps = 3 }
figures = ["temperature", "none"]
rows = [{ name = "far off", result = "mean", unit = "K", printed = "30 ± 1", where = "p. 2" }]

[entries.long]
figure = "Fig. 3"
title = "another seed"
rows = [{ name = "never in a hurry", result = "mean", unit = "K" }]
procedure = "toybench:Watch"
parameters = { steps = 4 }
world = { start = 19.9 }
seed = 1
in_a_hurry = false
"""
BROKEN = """
[entries.broken]
figure = "Fig. 4"
title = "fails"
procedure = "toybench:Watch"
parameters = { fail_at = 1 }
rows = [{ name = "nothing", result = "mean", unit = "K", printed = "20 ± 1", where = "p. 4" }]
"""


@pytest.fixture
def paper(place):
    path = place / "warm.toml"
    path.write_text(PAPER, encoding="utf-8")
    return path


def runs(place):
    return [RunFolder.open(path) for _, path in sorted(numbered(place / "out" / "runs"))]


def reproduce(capsys, *words):
    return call(capsys, "reproduce", *words, "-o", "out")


def rows(document, entry):
    (found,) = [e for p in document["papers"] for e in p["entries"] if e["name"] == entry]
    return {row["name"]: row for row in found["rows"]}


def test_report_and_document(place, paper, capsys):
    code, out, err = reproduce(capsys, "warm.toml", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert json.loads((place / "out" / "report.json").read_text(encoding="utf-8")) == document
    assert (place / "out" / "report.html").stat().st_size > 10_000
    found = runs(place)
    assert [run.start["seed"] for run in found] == [0, 1]  # the first serves two entries
    mean = found[0].result["mean"]
    table = rows(document, "warm/mean")
    row = table["mean <u>"]
    assert row["ours"] == {"value": mean["value"], "uncertainty": mean["uncertainty"]}
    assert row["printed"]["uncertainty"] == 0.5
    combined = (0.25 + mean["uncertainty"] ** 2) ** 0.5
    assert row["difference_sigma"] == pytest.approx((mean["value"] - 20.0) / combined)
    assert table["again"]["ours"]["value"] == pytest.approx(1e3 * mean["value"])
    assert table["again"]["difference_sigma"] == pytest.approx(row["difference_sigma"])
    assert table["coldest"]["ours"]["value"] == found[0].derived()["sorted"][0]
    assert table["first"]["ours"]["value"] == found[0].rows[0]["temperature (K)"]
    assert table["absent"]["trouble"] == "the run has no array 'nothing'"
    verdicts = {name: row["verdict"] for name, row in table.items()}
    assert verdicts == {
        "mean <u>": "agrees", "again": "agrees", "warm": "agrees", "coldest": "agrees",
        "first": "not printed", "odd": "paper inconsistent", "absent": "no value",
    }  # fmt: skip
    assert rows(document, "warm/same")["far off"]["verdict"] == "differs"
    assert document["counts"] == {
        "agrees": 4, "differs": 1, "paper inconsistent": 1, "not printed": 2, "no value": 1,
    }  # fmt: skip
    (same,) = [e for e in document["papers"][0]["entries"] if e["name"] == "warm/same"]
    assert same["troubles"] == ["the procedure draws no figure 'none'"]


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.attributes = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *one) for one in attributes]
        if tag not in ("meta", "br", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_nothing_enters_the_page_unescaped(place, paper, capsys):
    reproduce(capsys, "warm.toml")
    page = Page((place / "out" / "report.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert not {"script", "b>", "i", "u", "x", "1"} & set(page.tags)
    assert page.tags.count("style") == 1
    words = "".join(page.words)
    for text in ("Warm & <b>rooms</b>", "A. <script>alert(1)</script>", 'J. "Quoted" 1',
                 "<img src=x onerror=alert(2)>", "Fig. <i>9</i>", "a drawing </ul>",
                 "temperature of a </section> room", "mean <u>", "m<K>", "p. <1>", "<x>"):  # fmt: skip
        assert text in words
    for tag, name, value in page.attributes:
        assert not name.startswith("on")
        if name == "src":
            assert (tag, value[:11]) == ("img", "data:image/")
        if name == "href":
            assert value[0] == "#" or value == "https://example.org/?a=1&b=2"


def test_what_is_finished_is_not_run_again(place, paper, capsys):
    code, out, _ = reproduce(capsys, "warm.toml")
    assert (code, "agrees" in out) == (0, True)
    before = [(run.path, run.start["time"]) for run in runs(place)]
    code, out, _ = reproduce(capsys, "warm.toml", "--json")
    assert (code, [(run.path, run.start["time"]) for run in runs(place)]) == (0, before)
    assert all(entry["reused"] for entry in json.loads(out)["papers"][0]["entries"])
    paper.write_text(PAPER.replace("seed = 1", "seed = 2"), encoding="utf-8")
    reproduce(capsys, "warm.toml")
    assert [run.start["seed"] for run in runs(place)] == [0, 1, 2]


def test_another_version_or_bench_is_another_run(place, paper, capsys, monkeypatch):
    reproduce(capsys, "warm.toml")
    monkeypatch.setattr("labctl.reproduction.running.__version__", "99")
    reproduce(capsys, "warm.toml")
    assert len(runs(place)) == 4
    monkeypatch.undo()
    monkeypatch.chdir(place)
    (place / "toy.toml").write_text(toybench.BENCH + "# moved\n", encoding="utf-8")
    reproduce(capsys, "warm.toml")
    assert len(runs(place)) == 6


def test_runs_of_different_states_of_the_program_are_told(place, paper, capsys, monkeypatch):
    reproduce(capsys, "warm.toml", "--quick")
    page = place / "out" / "report.html"
    assert "different states of the program" not in page.read_text(encoding="utf-8")
    monkeypatch.setattr("labctl.run.provenance.commit", lambda procedure: "0123456789abcdef+")
    paper.write_text(PAPER.replace("steps = 3", "steps = 5", 1), encoding="utf-8")
    reproduce(capsys, "warm.toml", "--quick")
    text = page.read_text(encoding="utf-8")
    assert "different states of the program: " in text
    assert "012345678" in text


def test_an_unfinished_run_is_finished(place, paper, capsys):
    reproduce(capsys, "warm.toml")
    first = runs(place)[0]
    lines = (first.path / "run.jsonl").read_bytes().splitlines(keepends=True)
    after = [n for n, line in enumerate(lines) if b'"row"' in line][2]
    (first.path / "run.jsonl").write_bytes(b"".join(lines[:after]))  # as kill -9 leaves it
    (first.path / "rows.arrow").unlink()
    assert RunFolder.open(first.path).status == "interrupted"
    code, _, _ = reproduce(capsys, "warm.toml")
    again = runs(place)
    assert (code, len(again)) == (0, 2)
    assert (again[0].status, again[0].stretches) == ("finished", 2)
    assert sorted(row["index"] for row in again[0].rows) == [0, 1, 2, 3]


def test_ctrl_c_and_again(place, paper, capsys, monkeypatch):
    measure = toybench.Watch.measure_point

    def interrupted(self, point):
        if point["step"] == 2:
            signal.raise_signal(signal.SIGINT)
        return measure(self, point)

    monkeypatch.setattr(toybench.Watch, "measure_point", interrupted)
    code, _, err = reproduce(capsys, "warm.toml")
    assert code == 3
    assert "0 of 2 runs are done; the same command goes on there" in err
    assert Manager(place / "out" / "runs").waiting() == []
    assert not (place / "out" / "report.html").exists()
    monkeypatch.undo()
    monkeypatch.chdir(place)
    code, _, _ = reproduce(capsys, "warm.toml")
    assert (code, [run.status for run in runs(place)]) == (0, ["finished", "finished"])


def test_a_failed_run_is_named_and_the_others_run(place, paper, capsys):
    paper.write_text(PAPER.replace("\n[entries.mean]", BROKEN + "\n[entries.mean]"), "utf-8")
    code, _, err = reproduce(capsys, "warm.toml")
    assert code == 1
    assert [run.status for run in runs(place)] == ["failed", "finished", "finished"]
    (line,) = [one for one in err.splitlines() if one.startswith("labctl: ")]
    assert line.startswith("labctl: warm/broken (")
    assert ") failed: " in line
    assert "ZeroDivisionError: the procedure is broken" in line
    assert runs(place)[0].path.name in line
    document = json.loads((place / "out" / "report.json").read_text(encoding="utf-8"))
    (broken,) = [e for e in document["papers"][0]["entries"] if e["name"] == "warm/broken"]
    assert broken["status"] == "failed"
    assert [row["verdict"] for row in broken["rows"]] == ["no value"]
    assert rows(document, "warm/mean")["mean <u>"]["verdict"] == "agrees"
    html = (place / "out" / "report.html").read_text(encoding="utf-8")
    assert "Without a finished run: warm/broken (failed)." in html
    assert "the procedure is broken" in html
    code, _, _ = reproduce(capsys, "warm.toml")  # tried again in its folder
    assert (code, len(runs(place)), runs(place)[0].stretches) == (1, 3, 2)


def test_what_others_put_into_the_queue_is_left_alone(place, paper, capsys):
    queue = Manager(place / "out" / "runs")
    with queue._working():
        code, _, err = reproduce(capsys, "warm.toml")
    assert code == 2
    assert "another process makes runs here; wait, or choose another -o" in err
    assert queue.items() == []


def test_quick(place, paper, capsys):
    code, out, _ = reproduce(capsys, "warm.toml", "--quick", "--json")
    document = json.loads(out)
    assert (code, document["quick"]) == (0, True)
    assert [len(run.rows) for run in runs(place)] == [3]
    states = {e["name"]: e["status"] for e in document["papers"][0]["entries"]}
    assert states == {"warm/mean": "finished", "warm/same": "finished", "warm/long": "left out"}
    html = (place / "out" / "report.html").read_text(encoding="utf-8")
    assert "left out: not part of a quick reproduction" in html
    assert "Without a finished run" not in html
    assert document["counts"]["no value"] == 1  # what it left out is not counted


def test_a_real_entry_in_a_hurry(place, capsys):
    code, out, err = reproduce(capsys, "magnomechanics/device", "--quick", "--json")
    assert (code, err) == (0, "")
    table = rows(json.loads(out), "magnomechanics/device")
    assert {row["verdict"] for row in table.values()} == {"agrees"}
    assert table["coupling g1"]["ours"]["value"] == pytest.approx(3.8, abs=0.01)
    assert {row["origin"] for row in table.values()} == {"put in"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["warm"], "nothing to reproduce is called 'warm'"),
        (["magnomechanic"], "did you mean 'magnomechanics'?"),
        (["magnomechanics/fig9"], "magnomechanics has no entry 'fig9'"),
        (["other.toml"], "other.toml: cannot read the description"),
        (["warm.toml"], "warm/mean: watch has no parameter 'stips', did you mean 'steps'?"),
    ],
)
def test_wrong_requests(place, paper, capsys, words, message):
    paper.write_text(PAPER.replace("steps", "stips"), encoding="utf-8")
    code, out, err = reproduce(capsys, *words)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert runs(place) == []


def test_a_place_that_is_no_folder(place, paper, capsys):
    (place / "file").write_text("", encoding="utf-8")
    code, _, err = call(capsys, "reproduce", "warm.toml", "-o", "file")
    assert (code, err.count("\n")) == (2, 1)
    assert "file: cannot be made" in err


def test_list(place, paper, capsys):
    code, out, _ = reproduce(capsys, "--list")
    assert code == 0
    assert "  cluster-microcomb/fig2d" in out
    assert "phonon-pair: Nonclassical phonon pair" in out
    code, out, _ = reproduce(capsys, "warm.toml", "--list", "--json")
    assert [entry["name"] for entry in json.loads(out)] == ["warm/mean", "warm/same", "warm/long"]
    assert not (place / "out").exists()
