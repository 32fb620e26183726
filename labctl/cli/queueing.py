"""The queue on the command line."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from labctl.cli import progress
from labctl.cli.arguments import print_json, request, runs_dir


def _manager(arguments: Any) -> Any:
    from labctl.manager import Manager

    return Manager(runs_dir(arguments))


def add(arguments: Any) -> int:
    print(f"queued as item {_manager(arguments).submit(request(arguments))}")
    return 0


def show(arguments: Any) -> int:
    items = _manager(arguments).items()
    if arguments.json:
        print_json([asdict(item) for item in items])
        return 0
    if not items:
        print("the queue is empty")
        return 0
    for item in items:
        wanted = item.request
        values = " ".join(f"{name}={value}" for name, value in wanted["parameters"].items())
        words = [f"{item.number:4d}", f"{item.status:<11}", wanted["procedure"], wanted["bench"],
                 wanted["mode"], wanted["title"]]  # fmt: skip
        print("  ".join(word for word in (*words, values, item.reason) if word))
    return 0


def move(arguments: Any) -> int:
    _manager(arguments).move(arguments.item, arguments.place)
    return 0


def remove(arguments: Any) -> int:
    _manager(arguments).remove(arguments.item)
    return 0


def run(arguments: Any) -> int:
    manager = _manager(arguments)
    with progress.watcher(quiet=False) as listener:
        manager.subscribe(listener)
        outcomes = manager.work_off(stop_on_failure=arguments.stop_on_failure)
    for outcome in outcomes:
        print(f"{outcome.status}: {outcome.path}")
        if outcome.reason:
            print(f"labctl: {outcome.path}: {outcome.reason}", file=sys.stderr)
    if not outcomes:
        print("nothing waits in the queue")
    return max((outcome.exit_code for outcome in outcomes), default=0)
