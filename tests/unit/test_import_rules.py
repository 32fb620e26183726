"""The import contracts hold, and each of them bites: a planted violation is found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("labctl", "drivers", "procedures", "simulated_instruments")

#: contract id -> (file to plant in, forbidden import)
PLANTED = {
    "framework": ("labctl/bench.py", "import drivers"),
    "analysis-leaf": ("labctl/procedure.py", "import labctl.analysis"),
    "analysis-alone": ("labctl/analysis/planted.py", "import labctl.units"),
    "drivers": ("drivers/planted.py", "import simulated_instruments"),
    "procedures": ("procedures/planted.py", "import drivers"),
    "simulators": ("simulated_instruments/world.py", "import labctl.procedure"),
    "simulators-errors": ("simulated_instruments/world.py", "import labctl.errors"),
    "layers": ("labctl/clock.py", "import labctl.bench"),
}


def lint_imports(root: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()",
         "--no-cache", "--config", str(root / "pyproject.toml")],
        cwd=root, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def test_all_contracts_hold(copy):
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("contract", PLANTED)
def test_a_planted_violation_breaks_its_contract(copy, contract):
    name, line = PLANTED[contract]
    path = copy / name
    before = path.read_text(encoding="utf-8") if path.exists() else None
    head, _, rest = (before or "").partition("from __future__ import annotations\n")
    path.write_text(f"{head}from __future__ import annotations\n{line}\n{rest}", encoding="utf-8")
    try:
        done = lint_imports(copy)
    finally:
        if before is None:
            path.unlink()
        else:
            path.write_text(before, encoding="utf-8")
    assert done.returncode != 0
    assert f"{contracts()[contract]['name']} BROKEN" in done.stdout.replace("\n", " ")


def contracts():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return {contract["id"]: contract for contract in config["tool"]["importlinter"]["contracts"]}


def test_every_contract_has_a_planted_violation():
    assert set(contracts()) == set(PLANTED)


def test_no_module_of_the_framework_is_missing_from_a_contract_that_lists_them():
    modules = {
        f"labctl.{path.stem}"
        for path in (ROOT / "labctl").iterdir()
        if not path.name.startswith((".", "_")) and (path.is_dir() or path.suffix == ".py")
    } - {"labctl.analysis"}
    rules = contracts()
    assert set(rules["analysis-leaf"]["source_modules"]) == modules
    assert set(rules["analysis-alone"]["forbidden_modules"]) >= modules
    allowed = {"labctl.clock", "labctl.transport", "labctl.errors"}
    assert set(rules["simulators"]["forbidden_modules"]) >= modules - allowed
