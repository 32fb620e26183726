"""The parser of the command line: its families of commands are in `syntax`."""

from __future__ import annotations

import argparse
import sys
from typing import Any, NoReturn

from labctl import __version__
from labctl.cli.syntax import (
    benches,
    keys,
    looking,
    queueing,
    reproducing,
    running,
    showing,
    stored,
    tags,
)
from labctl.cli.syntax.shared import function_of

EPILOG = """\
RUN is a run folder, its number, or "last". BENCH is a TOML file or the name of a shipped bench.
Exit codes: 0 finished; 1 failed; 2 wrong request; 3 aborted by user or interlock; 4 replay differs.
Start with:  labctl list  |  labctl run covariance-sweep --bench cluster-microcomb
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        name, _, refused = message.partition(": invalid choice: ")
        if refused:
            from labctl.errors import nearest

            wrong = refused.partition(" (choose from")[0].strip("'\"")
            name = name.removeprefix("argument ")
            known = [
                str(choice)
                for action in self._actions
                if name in ("/".join(action.option_strings), action.metavar, action.dest)
                for choice in action.choices or ()
            ]
            option = f"argument {name}: " if name.startswith("-") else ""
            close = "" if wrong[:1].isdigit() else nearest(wrong, known)
            hint = close or f"; there are {', '.join(known)}"
            message = f"{option}unknown {wrong!r}{hint}"
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="labctl",
        description="Run quantum-optics measurements: bench, simulators, or recordings.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"labctl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, target: str, summary: str, **options: Any) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=summary, description=summary, **options)
        sub.set_defaults(call=function_of(target))
        return sub

    for family in (
        looking, running, stored, reproducing, queueing, benches, tags, keys, showing
    ):  # fmt: skip
        family.add(command)
    return parser
