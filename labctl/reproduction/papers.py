"""What a description says: a publication, its entries, and what in them is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.reproduction.printed import Printed

#: Where an agreement can come from: a number that was put into the simulated world, one that the
#: world was adjusted to, or neither.
FOLLOWS = "follows"
ORIGINS = ("put in", "adjusted", FOLLOWS)
TAKES = ("mean", "std", "min", "max", "first", "last")


@dataclass(frozen=True)
class Source:
    """Where a number of ours is in a run: a result, an element of an array, or a column."""

    kind: str  #: result, array or column
    name: str
    at: tuple[int, ...] = ()
    error_at: tuple[int, ...] = ()
    take: str = "mean"  #: of a column


@dataclass(frozen=True)
class RowSpec:
    """One line of a table: a quantity, ours and theirs."""

    name: str
    source: Source
    unit: str
    scale: float  #: ours times this is in `unit`
    printed: Printed | None
    where: str  #: in the publication
    follows: Printed | None  #: what follows from the publication's own equations or columns
    because: str  #: and how
    origin: str
    comparable: bool
    group: str  #: rows of one group and unit are drawn together
    remark: str


@dataclass(frozen=True)
class Series:
    """Points of a comparison plot: from a run, or printed."""

    label: str
    x: str | tuple[float, ...]  #: name of an array or column, with a slice such as "links[:,4]"
    y: str | tuple[Printed, ...]
    error: str
    line: bool
    only: Mapping[str, Any]  #: rows in which these columns have these values
    x_scale: float
    y_scale: float


@dataclass(frozen=True)
class PlotSpec:
    """Our points and the published ones in the same axes."""

    title: str
    x: str
    y: str
    log: bool
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Entry:
    """A figure, table or statement of a publication, and the run that reproduces it."""

    paper: str
    name: str
    figure: str
    title: str
    procedure: str
    bench: str
    parameters: Mapping[str, Any]
    quick: Mapping[str, Any] | None  #: parameters of a shorter run; None: not done in a hurry
    world: Mapping[str, Any]
    seed: int
    cost: float  #: s of processor time, about
    figures: tuple[str, ...] | None  #: which ones of the procedure; None: all
    rows: tuple[RowSpec, ...]
    plots: tuple[PlotSpec, ...]
    compare_plot: bool
    remark: str

    @property
    def full_name(self) -> str:
        return f"{self.paper}/{self.name}"


@dataclass(frozen=True)
class Paper:
    """A publication."""

    name: str
    path: Path
    title: str
    authors: str
    reference: str
    link: str
    remark: str
    entries: tuple[Entry, ...]
    missing: tuple[tuple[str, str], ...]  #: figures that are not reproduced, and why
