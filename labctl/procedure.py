"""LabProcedure: a pymeasure `Procedure` made of points, hence resumable, and self-describing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pymeasure.experiment import Procedure

from labctl.arrays import joined
from labctl.errors import RequestError, nearest
from labctl.live import Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from labctl.bench import Bench

#: Most points of a run; counting them takes a few seconds.
MOST_POINTS = 10_000_000

Point = Mapping[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """A number that a procedure promises to deliver."""

    name: str
    unit: str
    meaning: str


@dataclass
class RunData:
    """What a run recorded, as arrays: all that `analyse` and `figures` may look at."""

    columns: Mapping[str, np.ndarray]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    results: Mapping[str, tuple[Any, float | None, str]] = field(default_factory=dict)
    derived: Mapping[str, np.ndarray] = field(default_factory=dict)
    read_trace: Callable[[str, int], np.ndarray] | None = None
    tag_fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    read_tags: Callable[[str, int | None], Iterator[dict[str, np.ndarray]]] | None = None

    def __getitem__(self, column: str) -> np.ndarray:
        """One value per row of `column`, in the order in which rows were recorded."""
        try:
            return self.columns[column]
        except KeyError:
            hint = nearest(column, self.columns)
            raise RequestError(f"this run has no column {column!r}{hint}") from None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def trace(self, column: str, row: int) -> np.ndarray:
        """The array that row number `row` recorded in trace column `column`."""
        if self.read_trace is None:
            raise RequestError(f"this run has no traces, {column!r} was asked for")
        return self.read_trace(column, row)

    @property
    def tag_names(self) -> list[str]:
        """Names of the streams of time tags."""
        return list(self.tag_fields)

    def tag_batches(self, name: str, row: int | None = None) -> Iterator[dict[str, np.ndarray]]:
        """The tags that row number `row` recorded, or all, commit by commit: columns by name."""
        if self.read_tags is None or name not in self.tag_fields:
            hint = nearest(name, self.tag_fields)
            raise RequestError(f"this run has no time tags {name!r}{hint}")
        return self.read_tags(name, row)

    def tags(self, name: str, row: int | None = None) -> dict[str, np.ndarray]:
        """The tags that row number `row` recorded, or all, in one piece: columns by name."""
        return joined(self.tag_batches(name, row), self.tag_fields[name])


class LabProcedure(Procedure):  # type: ignore[misc]
    """Base of our procedures: say which points there are and how to measure one.

    A runner provides `bench`, `rng`, `rows` and `emit`. Everything random that a procedure does
    must come from `rng`, which is seeded by the run: replay depends on it.
    """

    INSTRUMENTS: ClassVar[tuple[str, ...]] = ()
    TRACES: ClassVar[tuple[str, ...]] = ()  # array columns, stored outside the row
    RESULTS: ClassVar[tuple[Result, ...]] = ()
    LIVE: ClassVar[tuple[Panel, ...]] = ()  # what to draw while the run goes on
    DATA_COLUMNS: ClassVar[list[str]] = ["index"]

    bench: Bench
    rng: np.random.Generator

    def __init__(self, **parameters: Any) -> None:
        super().__init__()
        self.rows: Sequence[Row] = []
        self.finished_points: set[int] = set()
        self.key_sink: Callable[[str, np.ndarray, str], str] | None = None
        self.set(**parameters)

    def set(self, **parameters: Any) -> None:
        """Set parameters by name, checking type, unit and limits.

        Raises:
            RequestError: an unknown name or an impossible value; nothing was changed.
        """
        converted = {}
        for name, value in parameters.items():
            if name not in self._parameters:
                hint = nearest(name, self._parameters)
                raise RequestError(f"{self.name()} has no parameter {name!r}{hint}")
            try:
                converted[name] = self._parameters[name].convert(value)
            except ValueError as error:
                raise RequestError(f"{self.name()}: parameter {name!r}: {error}") from None
        for name, value in converted.items():
            self._parameters[name].value = value
            setattr(self, name, value)

    @classmethod
    def name(cls) -> str:
        """The name on the command line: `CovarianceSweep` is `covariance-sweep`."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    # What a measurement defines

    def points(self) -> Iterator[Point]:
        """Yield the points: a resumed run must find the same ones.

        They follow from parameters, and perhaps from the rows of the points before (`rows`, when
        a run is resumed); while points are counted before a run, yield as many as there may be.
        """
        raise NotImplementedError

    def plan(self) -> Iterator[Point]:
        """Override this instead of `points` in a procedure that has a parameter of that name."""
        return self.points()

    def measure_point(self, point: Point) -> Row:
        """Measure one point; the row it returns is recorded together with the point."""
        raise NotImplementedError

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Results from recorded data: numbers, (value, uncertainty) pairs, and derived arrays."""
        return {}

    def figures(self, data: RunData) -> dict[str, Figure]:
        """The figures of this measurement, the most important first."""
        return {}

    def result_list(self) -> tuple[Result, ...]:
        """What `analyse` finds; override it if names depend on parameters, as one per pair."""
        return self.RESULTS

    def panels(self) -> tuple[Panel, ...]:
        """What to draw while the run goes on; override it if that depends on parameters."""
        return self.LIVE

    # What the framework provides

    def execute(self) -> None:
        """Measure every point that is not recorded yet, yielding once before each."""
        sleep, measure, emit = self.bench.clock.sleep, self.measure_point, self.emit
        finished = self.finished_points
        for index, point in enumerate(self.plan()):
            if index not in finished:
                sleep(0.0)
                emit("results", {"index": index, **point, **measure(point)})

    def count_points(self) -> int:
        """How many points the whole run has.

        Raises:
            RequestError: more than anybody can want; a typing error would keep us counting.
        """
        count = 0
        for count, _ in enumerate(self.plan(), 1):
            if count > MOST_POINTS:
                raise RequestError(
                    f"{self.name()}: more than {MOST_POINTS} points; check the parameters"
                )
        return count

    def note(self, text: str) -> None:
        """Put a remark into the run's journal."""
        self.emit("note", text)

    def record_tags(self, name: str, columns: Mapping[str, np.ndarray]) -> None:
        """Commit time tags to the stream `name`: columns of one length, the same in each call.

        They belong to the row that is recorded next, and are safe when this returns.
        """
        self.emit("tags", (name, columns))

    def deliver_key(self, link: str, bits: np.ndarray, label: str = "") -> str:
        """Hand secret bits to the key store, for applications to fetch; returns their block.

        Args:
            link: the two nodes that share them, "A-B" or "A-B:WHAT".
            bits: zeros and ones, the same at both nodes and unknown to others; whole bytes count.
            label: tells apart several blocks of one link in one run, for example the point.

        Raises:
            RequestError: there is no run whose key this could be.
        """
        if self.key_sink is None:
            raise RequestError(f"{self.name()}: only a run can deliver keys")
        return self.key_sink(link, bits, label)

    def show(self, name: str, value: float, unit: str = "") -> None:
        """Show a key figure to whoever watches the run; it is not recorded."""
        self.emit("show", (name, value, unit))


def standalone(cls: type[LabProcedure], bench: str, mode: str | None = None) -> type[LabProcedure]:
    """`cls` as a plain pymeasure procedure that opens its bench itself.

    For pymeasure's own windows and workers, which know no bench. Array columns, time tags and keys,
    for which their files have no place, are left out.
    """
    from labctl.bench import Bench

    class Standalone(cls):  # type: ignore[misc,valid-type]
        def startup(self) -> None:
            self.bench = Bench.open(bench, mode, only=self.INSTRUMENTS)
            self.bench.arm()
            self.rng = np.random.default_rng(0)
            self.key_sink = lambda link, bits, label: ""
            publish = vars(self)["emit"]  # what the worker has put there

            def emit(topic: str, record: Any) -> None:
                if topic == "results":
                    record = {name: record.get(name) for name in self.DATA_COLUMNS}
                if topic != "tags":
                    publish(topic, record)

            self.emit = emit
            super().startup()

        def shutdown(self) -> None:
            try:
                super().shutdown()
            finally:
                try:
                    self.bench.make_safe()
                finally:
                    self.bench.close()

    Standalone.__name__, Standalone.__qualname__ = cls.__name__, cls.__qualname__
    return Standalone


def parameter_table(procedure: Procedure) -> dict[str, dict[str, Any]]:
    """Each parameter's label, type, unit, limits, choices, default and meaning, for people."""
    table = {}
    for name, parameter in procedure._parameters.items():
        kind = type(parameter).__name__.removesuffix("Parameter").lower()
        entry = {
            "label": parameter.name,
            "type": {"list": "choice", "float": "number", "parameter": "text", "": "text"}.get(
                kind, kind
            ),
            "unit": getattr(parameter, "units", None) or "",
            "default": parameter.default,
            "meaning": parameter.description or "",
        }
        for limit in ("minimum", "maximum"):
            value = getattr(parameter, limit, None)
            entry[limit] = value if value is not None and np.isfinite(value) else None
        if choices := getattr(parameter, "choices", None):
            entry["choices"] = list(choices)
        table[name] = entry
    return table
