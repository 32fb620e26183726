"""Standard output as the commands use it: tables for people, plain text for pipes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

#: Columns of a table that must keep one line per row where it goes into a pipe, as for grep.
PIPE_WIDTH = 200


def console(stream: Any = None, *, one_line_per_row: bool = False) -> Console:
    """A rich console that prints text as it is: titles and notes are no markup."""
    from rich.console import Console

    class Quiet(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # rich would end the program here, with an exit code of its own

    stream = stream or sys.stdout
    width = PIPE_WIDTH if one_line_per_row and not stream.isatty() else None
    return Quiet(file=stream, width=width, highlight=False, markup=False, emoji=False)


def have_streams() -> None:
    """Give a process whose output was closed (`>&-`, pythonw) a place to write to."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115


def drop_stdout() -> None:
    """Let everything that is still written to standard output vanish: its reader went away."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # no real file, as under a test
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    finally:
        os.close(nowhere)
