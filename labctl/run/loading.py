"""Finding procedures: by name in the packages that a bench names, or as "module:Class"."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from labctl.errors import LabError, RequestError, nearest, why_not_imported

DEFAULT_PACKAGES = ("procedures",)


def procedure_modules(packages: Sequence[str] = DEFAULT_PACKAGES) -> dict[str, str]:
    """Candidate modules by command-line name; nothing is imported."""
    modules = {}
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise RequestError(f"no package {package!r} with procedures; is it on the Python path?")
        for info in pkgutil.iter_modules(spec.submodule_search_locations or []):
            modules[info.name.replace("_", "-")] = f"{package}.{info.name}"
    return modules


def edited_since(moment: float) -> bool:
    """Whether source was changed after `moment` (Unix time) that this process may have imported.

    Installed packages are not looked at.
    """
    installed = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or file.startswith(installed):
            continue
        try:
            if Path(file).stat().st_mtime > moment:
                return True
        except OSError:
            continue
    return False


def procedures_in(module_name: str) -> list[type]:
    """The procedure classes that a module defines itself."""
    from pymeasure.experiment import Procedure

    module = importlib.import_module(module_name)
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Procedure)
        and value.__module__ == module_name and not value.__name__.startswith("_")
    ]  # fmt: skip


def all_procedures(
    packages: Sequence[str] = DEFAULT_PACKAGES,
    *,
    skip: Mapping[str, str] | None = None,
    about_to: Callable[[str], None] = lambda _: None,
) -> dict[str, type | str]:
    """Every procedure by name; a module that cannot be imported is listed with the reason.

    Args:
        packages: where to look.
        skip: modules that are not to be imported, and the reason that is listed.
        about_to: is told each module before it is imported.
    """
    found: dict[str, type | str] = {}
    for name, module in sorted(procedure_modules(packages).items()):
        if skip and module in skip:
            found[name] = skip[module]
            continue
        about_to(module)
        try:
            classes = procedures_in(module)
        except (Exception, SystemExit) as error:  # a broken file must not hide all others
            found[name] = why_not_imported(error)
            continue
        for cls in classes:
            found[command_name(cls)] = cls
    return found


def command_name(cls: type) -> str:
    """The name under which a procedure class is run."""
    from labctl.procedure import LabProcedure

    return cls.name() if issubclass(cls, LabProcedure) else f"{cls.__module__}:{cls.__qualname__}"


def load_procedure(name: str, packages: Sequence[str] = DEFAULT_PACKAGES) -> type:
    """The class called `name` ("covariance-sweep" or "their_module:TheirProcedure").

    Raises:
        RequestError: no such procedure, or its module cannot be imported.
    """
    if ":" in name:
        return _load_class(name)
    modules = procedure_modules(packages)
    candidates = [name] if name in modules else _likely_first(name, modules)
    for candidate in candidates:
        try:
            for cls in procedures_in(modules[candidate]):
                if command_name(cls) == name:
                    return cls
        except Exception as error:
            if candidate == name:
                raise RequestError(f"procedure {name!r} {why_not_imported(error)}") from error
    known = [key for key, value in all_procedures(packages).items() if not isinstance(value, str)]
    raise RequestError(f"no procedure {name!r}{nearest(name, known)}; see labctl list procedures")


def _likely_first(name: str, modules: Mapping[str, str]) -> list[str]:
    """Modules in which to look for a procedure; others may be slow to import, or hang."""

    def unlikely(module: str) -> bool:
        spec = importlib.util.find_spec(modules[module])
        try:
            text = Path(str(spec.origin if spec else "")).read_text(encoding="utf-8")
        except (OSError, ValueError):
            return True
        return f"class {name.replace('-', '').casefold()}(" not in text.casefold()

    return sorted(modules, key=lambda module: (unlikely(module), module))


def _load_class(target: str) -> type:
    from pymeasure.experiment import Procedure

    module_name, _, class_name = target.partition(":")
    if not all(part.isidentifier() for part in (*module_name.split("."), class_name)):
        raise RequestError(f"procedure {target!r} must be written their_module:TheirProcedure")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # users keep their procedures where they work
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever a user's module does when it is imported
        raise RequestError(
            f"procedure {target!r} {why_not_imported(error)}; modules are looked for in the "
            "working directory and on the Python path"
        ) from error
    cls = getattr(module, class_name, None)
    if not (inspect.isclass(cls) and issubclass(cls, Procedure)):
        known = [c.__name__ for c in procedures_in(module_name)]
        hint = nearest(class_name, known)
        raise RequestError(f"module {module_name} has no procedure class {class_name!r}{hint}")
    return cls


def build(cls: type, parameters: Mapping[str, Any]) -> Any:
    """An instance with checked parameters, for our procedures and for plain pymeasure ones."""
    from labctl.procedure import LabProcedure

    if issubclass(cls, LabProcedure):
        return cls(**parameters)
    try:
        procedure: Any = cls()
    except LabError:
        raise
    except Exception as error:
        raise RequestError(f"{command_name(cls)}: cannot be set up: {error}") from error
    for name, value in parameters.items():
        if name not in procedure._parameters:
            hint = nearest(name, procedure._parameters)
            raise RequestError(f"{command_name(cls)} has no parameter {name!r}{hint}")
        try:
            procedure.set_parameters({name: value})
        except ValueError as error:
            raise RequestError(f"{command_name(cls)}: parameter {name!r}: {error}") from None
        if isinstance(value, float) and value != value:  # pymeasure lets NaN through its limits
            raise RequestError(f"{command_name(cls)}: parameter {name!r}: NaN is not a number")
    missing = [name for name in procedure._parameters if getattr(procedure, name) is None]
    if missing:
        raise RequestError(f"{command_name(cls)}: set parameter {', '.join(missing)} with --set")
    procedure.refresh_parameters()
    return procedure
