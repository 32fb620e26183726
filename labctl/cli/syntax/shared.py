"""What several commands take, and how a command names the function that does it."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from typing import Any, TypeAlias

#: Adds a command: its name, the function that does it, one line about it; options of the parser.
AddCommand: TypeAlias = Callable[..., argparse.ArgumentParser]


def function_of(target: str) -> Callable[[Any], int]:
    """A function that imports "module:function" of this package only when it is called."""

    def call(arguments: Any) -> int:
        module, _, function = target.partition(":")
        return int(getattr(importlib.import_module(f"labctl.cli.{module}"), function)(arguments))

    return call


def json_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--json", action="store_true", help="one JSON document on standard output")


def runs_option(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--runs", metavar="DIR", help="folder of runs (default: $LABCTL_RUNS, else ./runs)"
    )


def run_argument(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("run", metavar="RUN", help='run folder, number, or "last"')
    runs_option(sub)


def world_options(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--world", action="append", default=[], metavar="NAME=VALUE",
        help="a parameter of the simulated world (repeatable)",
    )  # fmt: skip
    sub.add_argument("--seed", type=int, default=0, metavar="N", help="seed of everything random")


def request_arguments(sub: argparse.ArgumentParser) -> None:
    """The arguments of `run`, which `queue add` takes as well."""
    sub.add_argument(
        "procedure", metavar="PROCEDURE", help="a name, or their_module:TheirProcedure"
    )
    sub.add_argument("--bench", default="", metavar="BENCH", help="TOML file or shipped bench")
    sub.add_argument("--mode", choices=["real", "sim"], help="hardware or simulators")
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
        help='a parameter, with or without unit: --set "span=500 MHz" (repeatable)',
    )  # fmt: skip
    world_options(sub)
    sub.add_argument("--title", default="", metavar="T", help="for the catalogue")
    sub.add_argument(
        "--fsync", type=float, metavar="MS",
        help="force rows to the disk every MS ms (survives power loss, slower)",
    )  # fmt: skip
    sub.add_argument("--no-record", action="store_true", help="do not keep the wire transcript")
    runs_option(sub)
