"""The command that measures again what publications print."""

from __future__ import annotations

from labctl.cli.syntax.shared import AddCommand, json_option


def add(command: AddCommand) -> None:
    sub = command(
        "reproduce",
        "reproducing:reproduce",
        "The publications' figures and tables measured again: one report, ours beside theirs.",
        epilog="NAME is a publication, one of its entries (cluster-microcomb/fig2d), or a "
        "description file of your own. What is finished in DIR already is not run again.",
    )
    sub.add_argument("names", nargs="*", metavar="NAME", help="default: everything")
    sub.add_argument(
        "-o", "--output", default="reproduction", metavar="DIR",
        help="for runs and report (default: reproduction)",
    )  # fmt: skip
    sub.add_argument("--list", action="store_true", help="what can be reproduced; runs nothing")
    sub.add_argument(
        "--quick", action="store_true", help="shorter runs, without the longest; larger errors"
    )
    json_option(sub)
