"""`labctl doctor`: what is wrong with this installation, one line for each check."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from labctl.cli.arguments import print_json
from labctl.cli.looking import benches, drivers, procedures
from labctl.errors import LabError, one_line


def doctor(arguments: Any) -> int:
    """Print one line per check; exit code 1 if any fails."""
    found = []
    for title, check in CHECKS.items():
        try:
            good, text = True, check()
        except Exception as error:  # whatever a broken installation does
            good, text = False, one_line(error)
        found.append({"check": title, "ok": good, "text": text})
    if arguments.json:
        print_json(found)
    else:
        for one in found:
            print(f"{'ok ' if one['ok'] else 'BAD'}  {one['check']}: {one['text']}")
    return 0 if all(one["ok"] for one in found) else 1


def _python() -> str:
    return sys.version.split()[0]


def _packages() -> str:
    """Generic names can collide with other distributions: all four must lie side by side."""
    places = {}
    for package in ("labctl", "drivers", "procedures", "simulated_instruments"):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.origin:
            raise LabError(f"package {package!r} is missing; install labctl again")
        places[package] = Path(spec.origin).parent.parent
    if len(set(places.values())) > 1:
        where = ", ".join(f"{p} in {d}" for p, d in places.items())
        raise LabError(f"packages of another project shadow ours: {where}; use a fresh environment")
    return str(places["labctl"])


def _versions(extra: str = "") -> tuple[dict[str, str], list[str]]:
    """Versions of what is required, beyond the rest by an extra, and what is wrong with them."""
    from packaging.requirements import Requirement

    there, wrong = {}, []
    for text in metadata.requires("labctl") or []:
        requirement = Requirement(text)
        marker = requirement.marker
        if extra and (marker is None or marker.evaluate({"extra": ""})):
            continue
        if marker is not None and not marker.evaluate({"extra": extra}):
            continue
        try:
            version = there[requirement.name] = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{requirement.name} is not installed")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement.name} {version}, needed {requirement.specifier}")
    return there, wrong


def _dependencies() -> str:
    _, wrong = _versions()
    if wrong:
        raise LabError("; ".join(wrong))
    return "all installed in the versions needed"


def _window() -> str:
    there, wrong = _versions("gui")
    if not there.keys() - {"pillow"}:  # others bring that along
        return "not installed; labctl gui needs it: pip install 'labctl[gui]'"
    if wrong:
        raise LabError("; ".join(wrong))
    return ", ".join(f"{name} {version}" for name, version in there.items())


def _visa() -> str:
    import pyvisa

    try:
        return f"VISA library {pyvisa.ResourceManager('@ivi').visalib.library_path}"
    except Exception:
        import pyvisa_py

        text = f"no vendor VISA library; pyvisa-py {pyvisa_py.__version__} is used instead"
        usb = importlib.util.find_spec("usb") is not None
        return text if usb else f"{text}; for USB instruments: pip install pyusb"


def _modules() -> str:
    broken = [row["summary"] for row in (*procedures(), *drivers(), *benches())
              if row["summary"].startswith(("cannot be imported", "broken"))]  # fmt: skip
    if broken:
        raise LabError("; ".join(broken))
    return "procedures, drivers and benches load"


def _runs() -> str:
    """Whether runs can be stored, and locked: some network file systems take no locks."""
    from labctl.filelock import FileLock

    folder = Path(os.environ.get("LABCTL_RUNS") or "runs").resolve()
    place = next(p for p in (folder, *folder.parents) if p.exists())
    if not place.is_dir():
        raise LabError(f"{place} is no folder; set LABCTL_RUNS to one for runs")
    try:
        with tempfile.TemporaryDirectory(prefix=".labctl-doctor-", dir=place) as trial:
            first, second = (FileLock(Path(trial) / "lock") for _ in range(2))
            locks = first.acquire() and not second.acquire()
            first.release()
            second.release()
    except OSError as error:
        raise LabError(
            f"{folder}: nothing can be written in {place} ({error.strerror}); change its rights, "
            "or set LABCTL_RUNS to another folder"
        ) from None
    if not locks:
        raise LabError(f"{place}: its file system takes no locks; set LABCTL_RUNS to a local disk")
    free = shutil.disk_usage(place).free / 1e9
    made = "" if place == folder else " (made by the first run)"
    return f"{folder}{made}, {free:.3g} GB free"


CHECKS = {
    "Python": _python,
    "packages": _packages,
    "dependencies": _dependencies,
    "window": _window,
    "VISA": _visa,
    "modules": _modules,
    "runs": _runs,
}
