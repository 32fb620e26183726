"""Commands that need no run: what there is, what is wrong, what a network would need."""

from __future__ import annotations

from labctl.cli.syntax.shared import AddCommand, json_option


def add(command: AddCommand) -> None:
    sub = command("list", "looking:list_things", "What there is: procedures, benches, drivers.")
    sub.add_argument("what", nargs="?", choices=["procedures", "benches", "drivers"],
                     help="only these (default: all three)")  # fmt: skip
    json_option(sub)
    sub = command(
        "describe",
        "looking:describe",
        "Parameters, columns and results of a procedure, or a bench.",
    )
    sub.add_argument("name", metavar="PROCEDURE|BENCH", help="as labctl list names it, or a file")
    json_option(sub)
    sub = command("doctor", "doctor:doctor", "What is wrong with this installation.")
    json_option(sub)
    sub = command(
        "plan-channels",
        "channels:plan_channels",
        "Fewest wavelength channels that connect every two users of a network.",
    )
    sub.add_argument("--users", type=int, required=True, metavar="N", help="2 to 30")
    sub.add_argument(
        "--pumps", default="0,10", metavar="P,Q[,R]",
        help="labels of the two or three pumps (default: 0,10); --pumps=-5,5 if one is negative",
    )  # fmt: skip
    json_option(sub)
