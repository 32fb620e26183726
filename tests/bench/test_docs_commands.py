"""Every `labctl ...` on every page is one that the program takes, with parameters that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from labctl.cli.arguments import request
from labctl.cli.parser import build_parser
from labctl.run.request import check

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def written(page):
    """Complete commands in the unmarked code blocks of a page, without prompt and remark."""
    blocks = re.findall(
        r"^```(?:sh|console|text)?\n(.*?)^```$", page.read_text("utf-8"), re.S | re.M
    )
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    found = [
        match[1] for line in lines if (match := re.match(r"(?:\$ )?(?:\w+=\S+ )*labctl (.+)", line))
    ]
    return [re.split(r"\s+#\s|\s+[>|&]", line)[0] for line in found]


def mentioned(page):
    """What the running text calls `labctl something`, complete or not."""
    text = page.read_text("utf-8")
    return [" ".join(words.split()) for words in re.findall(r"(?<!`)`labctl ([^`]+)`(?!`)", text)]


WRITTEN = [(page.name, line) for page in PAGES for line in written(page)]
MENTIONED = [(page.name, line) for page in PAGES for line in mentioned(page)]


def test_there_are_commands():
    assert len(WRITTEN) > 50
    assert len(MENTIONED) > 30


@pytest.mark.parametrize(("page", "line"), WRITTEN, ids=[f"{p}: {c}" for p, c in WRITTEN])
def test_a_command_is_taken(page, line):
    arguments = build_parser().parse_args(shlex.split(line))
    if not hasattr(arguments, "procedure") or not hasattr(arguments, "seed"):
        return
    mine = arguments.bench.endswith(".toml") or ":" in arguments.procedure
    if not mine:  # names of parameters, their units and limits
        check(request(arguments))


def complaint(capsys, words):
    """What the parser has against these words, nothing if it takes them or shows help."""
    try:
        build_parser().parse_args(words)
    except SystemExit:
        return capsys.readouterr().err
    return ""


@pytest.mark.parametrize(("page", "line"), MENTIONED, ids=[f"{p}: {c}" for p, c in MENTIONED])
def test_a_command_that_is_mentioned_exists(capsys, page, line):
    """Options that do not exist and unknown names are slips; that something is left out is not."""
    first, *rest = shlex.split(line)
    for choice in first.split("|"):
        said = complaint(capsys, [choice, *rest])
        assert not said or "are required" in said or "expected one argument" in said
