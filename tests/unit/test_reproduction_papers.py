"""Descriptions of publications: the shipped ones are true, wrong ones are one clear line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from labctl.bench import shipped_benches
from labctl.errors import RequestError
from labctl.reproduction import description, running, selection
from labctl.reproduction.comparing import VERDICTS
from labctl.reproduction.papers import ORIGINS, TAKES
from labctl.run.loading import load_procedure

ROOT = Path(__file__).resolve().parents[2]
PAPERS = {name: description.load(path) for name, path in selection.find_papers().items()}
ENTRIES = [entry for paper in PAPERS.values() for entry in paper.entries]
NAMES = [entry.full_name for entry in ENTRIES]


def test_every_bench_has_its_publication():
    assert set(PAPERS) == set(shipped_benches())


def test_every_procedure_of_the_laboratory_is_used():
    from labctl.run.loading import all_procedures

    assert {entry.procedure for entry in ENTRIES} == set(all_procedures())


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_what_is_named_exists(entry):
    """Procedures, parameters, world, columns and results; arrays show only when it runs."""
    jobs, _ = running.plan([entry], quick=False)
    assert len(jobs) == 1
    assert len(running.plan([entry], quick=True)[0]) == (entry.quick is not None)
    cls = load_procedure(entry.procedure)
    results = {result.name for result in cls().result_list()}
    for row in entry.rows:
        if row.source.kind == "result":
            assert row.source.name in results, row.name
        elif row.source.kind == "column":
            assert row.source.name in cls.DATA_COLUMNS, row.name


@pytest.mark.parametrize("entry", ENTRIES, ids=NAMES)
def test_units_are_those_of_the_results(entry):
    """A row shows a result in its own unit, or says by which factor it is another."""
    units = {result.name: result.unit for result in load_procedure(entry.procedure)().result_list()}
    for row in entry.rows:
        if row.source.kind == "result" and row.scale == 1.0:
            assert row.unit == units[row.source.name], row.name


def test_tables_are_complete():
    table = {e.name: e for e in PAPERS["entanglement-network"].entries}
    assert len(table["table1"].rows) == 24
    assert len(table["table2"].rows) == 7 * 4 + 1


def test_the_printed_total_is_the_sum_of_the_printed_keys():
    (entry,) = [e for e in ENTRIES if e.full_name == "entanglement-network/table2"]
    keys = [row for row in entry.rows if row.name.endswith("secret key") and ":" in row.name]
    (total,) = [row for row in entry.rows if row.name == "total secret key"]
    assert sum(row.printed.value for row in keys) == pytest.approx(total.printed.value)
    assert sum(row.follows.value for row in keys) == pytest.approx(total.follows.value, abs=0.4)


def test_selection():
    everything = selection.select([])
    assert [paper.name for paper, _ in everything] == sorted(PAPERS)
    assert [e for _, chosen in everything for e in chosen] == ENTRIES
    chosen = selection.select(["phonon-pair/fig3d", "cluster-microcomb", "phonon-pair/fig3c"])
    assert [(paper.name, len(entries)) for paper, entries in chosen] == [
        ("phonon-pair", 2), ("cluster-microcomb", len(PAPERS["cluster-microcomb"].entries)),
    ]  # fmt: skip
    assert [e.name for e in chosen[0][1]] == ["fig3c", "fig3d"]  # as in the publication
    again = selection.select(["phonon-pair/fig3d", "phonon-pair/fig3d", "phonon-pair"])
    assert again[0][1] == PAPERS["phonon-pair"].entries


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cluster-microcom", "did you mean 'cluster-microcomb'?; see labctl reproduce --list"),
        ("cluster-microcomb/fig2", "no entry 'fig2', did you mean 'fig2d'?"),
        ("nowhere.toml", "nowhere.toml: cannot read the description"),
        ("", "nothing to reproduce is called ''"),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(RequestError) as caught:
        selection.select([name])
    assert message in str(caught.value)


def test_the_description_in_the_documentation_is_one(tmp_path):
    text = (ROOT / "docs" / "reproduce.md").read_text(encoding="utf-8")
    path = tmp_path / "rooms.toml"
    path.write_text("\n".join(re.findall(r"```toml\n(.*?)```", text, re.S)), encoding="utf-8")
    (entry,) = description.load(path).entries
    assert entry.rows[0].printed.error == 0.07
    assert [series.label for series in entry.plots[0].series] == ["here", "printed"]
    for verdict in VERDICTS:
        assert f"| {verdict} |" in text
    for key in (*ORIGINS, *TAKES):
        assert f"`{key}`" in text or f'"{key}"' in text


HEAD = """
[paper]
title = "A"
authors = "B"
reference = "C"
bench = "cluster-microcomb"
"""
ENTRY = """
[entries.fig1]
figure = "Fig. 1"
title = "something"
procedure = "squeezing-spectrum"
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks 'paper'"),
        ("[paper]\ntitle = ", "not valid TOML"),
        (HEAD, "lacks 'entries'"),
        (HEAD.replace("title", "titel") + ENTRY, "lacks 'title'"),
        (HEAD + 'link = "javascript:alert(1)"\n' + ENTRY, "must begin with https://"),
        (HEAD + ENTRY.replace("fig1", '"fig 1"'), "small letters"),
        (HEAD + ENTRY + "sed = 1", "entry fig1: unknown key 'sed', did you mean 'seed'?"),
        (HEAD + ENTRY + "seed = -1", "must not be negative"),
        (HEAD + ENTRY + "seed = true", "seed = True must be an integer"),
        (HEAD + ENTRY + 'parameters = "pair"', "must be a table"),
        (HEAD + ENTRY + 'rows = [{ result = "x" }]', "rows 1: lacks 'name'"),
        (HEAD + ENTRY + 'rows = [{ name = "n" }]', "(n): needs one of 'result', 'array'"),
        (HEAD + ENTRY + 'rows = [{ name = "n", result = "x", column = "y" }]', "needs one of"),
        (HEAD + ENTRY + 'rows = [{ name = "n", result = "x", printed = "3 dB", where = "T" }]',
         "(n): printed: '3 dB' is not written like one of"),
        (HEAD + ENTRY + 'rows = [{ name = "n", result = "x", printed = "3" }]', "lacks 'where'"),
        (HEAD + ENTRY + 'rows = [{ name = "n", result = "x", follows = "3" }]', "go together"),
        (HEAD + ENTRY + 'rows = [{ name = "n", result = "x", origin = "fit" }]', "'fit' is none of"),
        (HEAD + ENTRY + 'rows = [{ name = "n", result = "x", comparable = false }]',
         "needs a remark"),
        (HEAD + ENTRY + 'rows = [{ name = "n", array = "x" }]', "'at' says which element"),
        (HEAD + ENTRY + 'rows = ["x"]', "rows 1: must be a table"),
        (HEAD + ENTRY + 'plots = [{ title = "t", x = "x", y = "y", published = [{ label = "l", '
         'x = [1, 2], y = ["3"] }] }]', "as many numbers x as printed numbers y"),
    ],
)  # fmt: skip
def test_wrong_descriptions(tmp_path, text, message):
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RequestError) as caught:
        description.load(path)
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
