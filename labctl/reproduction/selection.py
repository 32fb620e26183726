"""Which publications there are, and which of their entries are asked for."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from labctl.errors import RequestError, nearest
from labctl.reproduction.description import load
from labctl.reproduction.papers import Entry, Paper
from labctl.run.loading import DEFAULT_PACKAGES

FOLDER = "papers"  #: in a package of procedures


def find_papers(packages: Sequence[str] = DEFAULT_PACKAGES) -> dict[str, Path]:
    """Description files by name, in the folder `papers` of each package of procedures."""
    found: dict[str, Path] = {}
    for package in packages:
        spec = importlib.util.find_spec(package)
        for place in (spec.submodule_search_locations if spec else None) or ():
            for path in sorted((Path(place) / FOLDER).glob("*.toml")):
                found.setdefault(path.stem, path)
    return found


def select(
    names: Sequence[str], packages: Sequence[str] = DEFAULT_PACKAGES
) -> list[tuple[Paper, tuple[Entry, ...]]]:
    """Papers with those of their entries that are asked for; all of them without names.

    A name is that of a paper, PAPER/ENTRY, or a description file of one's own.

    Raises:
        RequestError: nothing is called like that, or a description is wrong.
    """
    known = find_papers(packages)
    wanted: dict[str, tuple[Paper, list[Entry]]] = {}
    for name in names or list(known):
        paper_name, _, entry_name = name.partition("/")
        if name.endswith(".toml"):
            paper, entry_name = load(Path(name)), ""
        elif paper_name in known:
            paper = load(known[paper_name])
        else:
            raise RequestError(
                f"nothing to reproduce is called {name!r}{nearest(name, known)}; "
                "see labctl reproduce --list"
            )
        entries = [e for e in paper.entries if entry_name in ("", e.name)]
        if not entries:
            hint = nearest(entry_name, [entry.name for entry in paper.entries])
            raise RequestError(
                f"{paper.name} has no entry {entry_name!r}{hint}; see labctl reproduce --list"
            )
        paper, chosen = wanted.setdefault(paper.name, (paper, []))
        chosen += [entry for entry in entries if entry not in chosen]
    return [
        (paper, tuple(entry for entry in paper.entries if entry in chosen))
        for paper, chosen in wanted.values()
    ]
