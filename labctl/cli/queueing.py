"""The queue on the command line."""

from __future__ import annotations

import sys
import time
from dataclasses import asdict
from typing import Any

from labctl.cli import progress
from labctl.cli.arguments import assignments, print_json, request, runs_dir


def _manager(arguments: Any) -> Any:
    from labctl.manager import Manager

    return Manager(runs_dir(arguments))


def _policy(arguments: Any, usual: Any = None) -> Any:
    """When and how to run an item, as the options say; `usual` where they say nothing."""
    from dataclasses import replace

    from labctl.manager import Policy
    from labctl.manager.delays import moment

    changes: dict[str, Any] = {}
    if arguments.at is not None:
        changes["not_before"] = moment(arguments.at)
    if arguments.on_failure is not None:
        changes["on_failure"] = arguments.on_failure
    if arguments.retries is not None:
        changes["retries"] = arguments.retries
    return replace(usual or Policy(), **changes)


def add(arguments: Any) -> int:
    number = _manager(arguments).submit(request(arguments), _policy(arguments))
    print(f"queued as item {number}")
    return 0


def edit(arguments: Any) -> int:
    from dataclasses import replace

    from labctl.run.request import Request

    manager = _manager(arguments)
    item = manager.find(arguments.item)
    changed = None
    if arguments.parameters or arguments.title is not None:
        before = Request(**item.request)
        values = {**before.parameters, **assignments(arguments.parameters, "--set")}
        title = before.title if arguments.title is None else arguments.title
        changed = replace(before, parameters=values, title=title)
    manager.edit(arguments.item, changed, _policy(arguments, item.policy))
    return 0


def duplicate(arguments: Any) -> int:
    print(f"queued as item {_manager(arguments).duplicate(arguments.item)}")
    return 0


def resume(arguments: Any) -> int:
    from labctl.run.folder import find_run

    path = find_run(arguments.run, runs_dir(arguments))
    print(f"queued as item {_manager(arguments).submit_resume(path, _policy(arguments))}")
    return 0


def halt(arguments: Any) -> int:
    _manager(arguments).halt()
    return 0


def show(arguments: Any) -> int:
    from labctl.manager.delays import describe
    from labctl.viewing.estimate import Experience
    from labctl.viewing.outlook import expected, glance, outlook, rest, takes

    manager = _manager(arguments)
    items = manager.items()
    seconds = expected(items, Experience(manager.runs_dir, patient=False))
    if arguments.json:
        print_json([{**asdict(item), "expected": seconds.get(item.number)} for item in items])
        return 0
    if not items:
        print("the queue is empty")
        return 0
    for item in items:
        wanted = item.request
        values = " ".join(f"{name}={value}" for name, value in wanted["parameters"].items())
        time_ = takes(seconds[item.number]) if item.waits else ""
        words = [f"{item.number:4d}", f"{item.status:<11}", wanted["procedure"], wanted["bench"],
                 wanted["mode"], wanted["title"], describe(item), time_]  # fmt: skip
        print("  ".join(word for word in (*words, values, item.reason) if word))
    now = time.time()
    found = outlook(items, seconds, now, rest(items, seconds, glance(items)))
    if found.waiting:
        print(f"{found.waiting} waiting: {found.sentence(now, worked_off=manager.worked_off())}")
    return 0


def move(arguments: Any) -> int:
    _manager(arguments).move(arguments.item, arguments.place)
    return 0


def remove(arguments: Any) -> int:
    _manager(arguments).remove(arguments.item)
    return 0


def run(arguments: Any) -> int:
    """Work the queue off; a procedure that is edited meanwhile runs as edited, in a new process."""
    from labctl.run.loading import edited_since

    manager, begin = _manager(arguments), time.time()
    with progress.watcher(quiet=False) as listener:
        manager.subscribe(listener)
        outcomes = manager.work_off(
            stop_on_failure=arguments.stop_on_failure, leave_if=lambda: edited_since(begin)
        )
    for outcome in outcomes:
        print(f"{outcome.status}: {outcome.path}")
        if outcome.reason:
            print(f"labctl: {outcome.path}: {outcome.reason}", file=sys.stderr)
    if not outcomes:
        print("nothing waits in the queue")
    code = max((outcome.exit_code for outcome in outcomes), default=0)
    return max(code, _go_on(arguments)) if manager.left else code


def _go_on(arguments: Any) -> int:
    """Exit code of a new process that works off the rest."""
    import subprocess

    command = [sys.executable, "-c", "from labctl.cli import script; script()", "queue", "run"]
    command += ["--runs", str(runs_dir(arguments))]
    command += ["--stop-on-failure"] * bool(arguments.stop_on_failure)
    sys.stdout.flush()
    return subprocess.call(command)
