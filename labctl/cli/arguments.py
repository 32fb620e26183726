"""Reading and showing what all commands share."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl.errors import RequestError


def assignments(words: list[str], option: str) -> dict[str, str]:
    """Read NAME=VALUE words.

    Raises:
        RequestError: no "=", or a name twice.
    """
    values: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise RequestError(f"{option} {word!r} must be written NAME=VALUE")
        if name.strip() in values:
            raise RequestError(f"{option} sets {name.strip()!r} twice")
        values[name.strip()] = value.strip()
    return values


def runs_dir(arguments: Any) -> Path:
    """The folder of runs: --runs, else $LABCTL_RUNS, else ./runs.

    Raises:
        RequestError: something else than a folder has this name.
    """
    folder = Path(arguments.runs or os.environ.get("LABCTL_RUNS") or "runs")
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise RequestError(
                f"{place} is a file, not a folder of runs; choose one with --runs DIR"
            )
    return folder


def request(arguments: Any) -> Any:
    """The `Request` that the arguments of `run` or `queue add` describe."""
    from labctl.run.request import Request

    if arguments.seed < 0:
        raise RequestError(f"--seed {arguments.seed} must not be negative")
    fsync = arguments.fsync
    if fsync is not None and not 0 <= fsync < math.inf:
        raise RequestError(f"--fsync {fsync} must be a number of milliseconds")
    if not arguments.title.isprintable():
        raise RequestError(f"--title {arguments.title!r} must be one line of plain text")
    return Request(
        procedure=arguments.procedure,
        parameters=assignments(arguments.parameters, "--set"),
        bench=arguments.bench,
        mode=arguments.mode,
        world=assignments(arguments.world, "--world"),
        seed=arguments.seed,
        title=arguments.title,
        fsync=None if fsync is None else fsync / 1000,
        record=not arguments.no_record,
    )


def print_json(document: Any) -> None:
    """Print one JSON document; NaN and infinities become null, as JSON has none."""
    json.dump(finite(document), sys.stdout, indent=2, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
