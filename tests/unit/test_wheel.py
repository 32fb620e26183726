"""What is installed is what is in the checkout: an editable install cannot reveal a missing file."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("labctl", "drivers", "procedures", "simulated_instruments")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel, opened; the build backend is installed, so no network is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (path,) = folder.glob("labctl-*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def member(wheel, name):
    (path,) = [one for one in wheel.namelist() if one.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_it_holds_the_four_packages_and_nothing_else(wheel):
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix in (".py", ".toml", ".typed")
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == wanted
    assert {name.split("/")[0] for name in packed} == set(PACKAGES)
    assert {f"{package}/py.typed" for package in PACKAGES} <= packed
    assert "simulated_instruments/benches/cluster-microcomb.toml" in packed
    for name in packed:
        assert wheel.read(name) == (ROOT / name).read_bytes()


def test_command_and_licence(wheel):
    assert "labctl = labctl.cli:script" in member(wheel, "entry_points.txt")
    assert member(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")
    metadata = Parser().parsestr(member(wheel, "METADATA"))
    assert (metadata["Name"], metadata["Requires-Python"]) == ("labctl", ">=3.11")
    assert metadata["License-Expression"] == "MIT"


def test_every_dependency_has_bounds():
    extras = PROJECT["optional-dependencies"].values()
    for requirement in [*PROJECT["dependencies"], *(one for extra in extras for one in extra)]:
        assert re.fullmatch(r"[\w.-]+>=[\d.]+,<[\d.]+", requirement), requirement


#: Libraries that come with the instruments; their drivers say what to install without them.
VENDORS = {"Swabian", "TimeTagger", "snAPI"}


def roots_of_imports(path):
    """Top-level names that a module imports anywhere, also inside functions."""
    statements = list(ast.parse(path.read_text(encoding="utf-8")).body)
    for node in statements:  # grows while it is read; expressions hold no imports
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            statements += getattr(node, part, ())


def third_party(files):
    imported = {name for path in files for name in roots_of_imports(path)}
    return imported - set(sys.stdlib_module_names) - set(PACKAGES)


def required_by(requirements):
    names = {re.split(">=", one)[0].replace("-", "_") for one in requirements}
    return {{"pyserial": "serial", "pillow": "PIL"}.get(name, name) for name in names}


def test_everything_that_tests_need_is_installed():
    """A test that skips because its package is missing is a test that nobody misses."""
    missing = []
    for requirement in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["test"]]:
        name = re.split(">=", requirement)[0]
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    assert missing == []


def test_what_is_imported_is_required_and_nothing_else():
    """Nothing may work only because another dependency happens to bring it along."""
    window = ROOT / "labctl" / "gui"
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    required = required_by(PROJECT["dependencies"])
    found = third_party(path for path in files if window not in path.parents)
    assert found - VENDORS == required
    extra = required_by(PROJECT["optional-dependencies"]["gui"])
    used = third_party(path for path in files if window in path.parents)
    assert used <= required | extra
    assert extra - used == {"PySide6_Essentials"}  # what qtpy finds
