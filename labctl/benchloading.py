"""Finding a bench and loading what its file names: drivers, simulators, the world."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from labctl import benchfile
from labctl.benchfile import BenchFile
from labctl.errors import BenchFileError, RequestError, nearest, why_not_imported
from labctl.units import to_unit


def shipped_benches() -> dict[str, Path]:
    """The benches that come with the project, by name."""
    spec = importlib.util.find_spec("simulated_instruments")
    if spec is None or not spec.submodule_search_locations:
        return {}
    folder = Path(next(iter(spec.submodule_search_locations))) / "benches"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def find_bench(name: str) -> BenchFile:
    """Load the bench called `name`: a TOML file, or a shipped bench.

    Raises:
        RequestError: no such file and no such bench.
    """
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        return benchfile.load(path)
    shipped = shipped_benches()
    if name not in shipped:
        known = ", ".join(shipped)
        raise RequestError(
            f"no bench {name!r}{nearest(name, shipped)}; shipped are {known}, or give a .toml file"
        )
    return benchfile.load(shipped[name])


def resolve_mode(file: BenchFile, asked: str | None) -> str:
    """The mode to open a bench in: as asked, as the file says, or `sim` for shipped benches."""
    mode = asked or file.mode or ("sim" if file.path in shipped_benches().values() else "")
    if mode not in ("real", "sim"):
        raise RequestError(
            f"{file.path}: say --mode real or --mode sim, or write mode = ... under [bench]"
        )
    return mode


def load_target(target: str, what: str, file: BenchFile, table: str) -> Any:
    """Import "package.module:Class"; a fault names file, line and what is missing."""
    module_name, _, attribute = target.partition(":")
    for folder in (str(file.path.resolve().parent), str(Path.cwd())):
        if folder not in sys.path:  # laboratories keep drivers beside their bench file
            sys.path.append(folder)
    check = benchfile.Checker(file.text, file.path)
    key = what if table != "world" else "class"
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever somebody's module does when it is imported
        return check.fail(f"{what} {target!r} {why_not_imported(error)}", key, table)
    if not hasattr(module, attribute):
        hint = nearest(attribute, vars(module))
        return check.fail(f"{what}: module {module_name} has no {attribute!r}{hint}", key, table)
    found = getattr(module, attribute)
    if not callable(found):
        return check.fail(f"{what} {target!r} is no class", key, table)
    return found


def world_parameters(file: BenchFile) -> dict[str, Any]:
    """The documented parameters of the bench's world, by name (empty without a world)."""
    if not file.world_class:
        return {}
    world = load_target(file.world_class, "class", file, "world")
    if not hasattr(world, "PARAMETERS"):
        benchfile.Checker(file.text, file.path).fail(
            f"class {file.world_class!r} is no world: it has no PARAMETERS", "class", "world"
        )
    return {p.name: p for p in world.PARAMETERS}


def world_values(file: BenchFile, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Check and convert world parameters of the file and of the command line, the latter first."""
    known = world_parameters(file)
    check = benchfile.Checker(file.text, file.path)
    values = {}
    for name, value in {**file.world, **asked}.items():
        if name not in known:
            message = f"unknown world parameter {name!r}{nearest(name, known)}"
            if name in asked:
                raise RequestError(f"{file.name}: {message}")
            check.fail(message, name, "world")
        try:
            values[name] = _world_value(known[name], value)
        except ValueError as error:
            if name in asked:
                raise RequestError(f"{file.name}: world parameter {name!r}: {error}") from None
            check.fail(f"world parameter {name!r}: {error}", name, "world")
    return values


def _world_value(parameter: Any, value: Any) -> Any:
    default = parameter.default
    if isinstance(default, bool):
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if str(value).lower() not in words:
            raise ValueError(f"{value!r} is neither true nor false")
        return words[str(value).lower()]
    if isinstance(default, str):
        return str(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{value!r} is not a number")
    number = to_unit(value, parameter.unit) if isinstance(value, str) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value!r} is not a finite number")
    if not parameter.minimum <= number <= parameter.maximum:
        limits = f"{parameter.minimum:g} to {parameter.maximum:g} {parameter.unit}".rstrip()
        raise ValueError(f"{number!r} is outside {limits}")
    if isinstance(default, int):
        if not number.is_integer():
            raise ValueError(f"{value!r} is not an integer")
        return int(number)
    return number


def build_world(file: BenchFile, seed: int, values: Mapping[str, Any]) -> Any:
    """The world that a bench file names; an empty one if it names none."""
    target = file.world_class or "simulated_instruments.world:World"
    cls = load_target(target, "class", file, "world")
    try:
        return cls(seed, **values)
    except ValueError as error:
        raise BenchFileError(f"{file.path}: world: {error}") from None


def simulators(file: BenchFile, seed: int, values: Mapping[str, Any]) -> dict[str, Any]:
    """All simulated instruments of a bench in one world, for serving them on sockets."""
    world = build_world(file, seed, values)
    built = {}
    for name, entry in file.instruments.items():
        if entry.simulator:
            cls = load_target(entry.simulator, "simulator", file, f"instruments.{name}")
            built[name] = cls(world, name)
    if not built:
        raise RequestError(f"{file.path}: no instrument has a simulator to serve")
    return built
