"""The verbs of `labctl queue`."""

from __future__ import annotations

import argparse

from labctl.cli.syntax.shared import (
    AddCommand,
    function_of,
    json_option,
    request_arguments,
    run_argument,
    runs_option,
)


def add(command: AddCommand) -> None:
    queue = command("queue", "queueing:show", "The persistent queue of runs.")
    queue.set_defaults(call=function_of("queueing:show"))
    runs_option(queue)
    json_option(queue)
    verbs = queue.add_subparsers(title="verbs", metavar="VERB")

    def verb(name: str, summary: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=summary, description=summary)
        sub.set_defaults(call=function_of(f"queueing:{name if name != 'list' else 'show'}"))
        return sub

    sub = verb("add", "Check a request and queue it.")
    request_arguments(sub)
    _policy(sub)
    sub = verb("resume", "Queue the rest of an unfinished run, as the next item.")
    run_argument(sub)
    _policy(sub)
    sub = verb("edit", "Change what a waiting item runs, or when.")
    sub.add_argument("item", type=int, metavar="ITEM", help="its number in labctl queue")
    sub.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", dest="parameters",
        help="a parameter to change (repeatable)",
    )  # fmt: skip
    sub.add_argument("--title", metavar="T", help="for the catalogue")
    _policy(sub)
    runs_option(sub)
    sub = verb("duplicate", "Queue the same again, behind it.")
    sub.add_argument("item", type=int, metavar="ITEM", help="its number in labctl queue")
    runs_option(sub)
    sub = verb("list", "What waits, runs and ran.")
    runs_option(sub)
    json_option(sub)
    sub = verb("move", "Move an item to another place among those that wait.")
    sub.add_argument("item", type=int, metavar="ITEM", help="its number in labctl queue")
    sub.add_argument("place", type=int, metavar="PLACE", help="1 is next")
    runs_option(sub)
    sub = verb("remove", "Take an item out of the queue.")
    sub.add_argument("item", type=int, metavar="ITEM", help="its number in labctl queue")
    runs_option(sub)
    runs_option(verb("halt", "Let the run that goes on now finish, and begin no other."))
    sub = verb("run", "Work the queue off, in this process.")
    sub.add_argument(
        "--stop-on-failure", action="store_true", help="leave the rest after a failure"
    )
    runs_option(sub)


def _policy(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "--at", metavar="TIME", help='not before: "22:30", "2026-11-21 08:00", or in "90 min"'
    )
    sub.add_argument(
        "--on-failure", choices=["skip", "stop", "retry"],
        help="go on (default), stop the queue, or resume the run; an abort is no failure",
    )  # fmt: skip
    sub.add_argument("--retries", type=int, metavar="N", help="how often at most (default: 1)")
