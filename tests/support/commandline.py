"""The command line in tests: one call, and a run of the toy bench."""

from __future__ import annotations

from labctl.cli import main


def call(capsys, *words):
    """Exit code, standard output and standard error of one command."""
    try:
        code = main(words)
    except SystemExit as stop:
        code = stop.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def watch(capsys, *words):
    return call(capsys, "run", "toybench:Watch", "--bench", "toy.toml", *words)
