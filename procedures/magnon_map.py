"""Maps over two quantities of the magnomechanics bench, refined where the entanglement is largest.

A map point is one row: a sweep with the pump on, then records with the pump switch open and closed.
After the grid, rounds of nine points close in on the best one; where they are follows from the rows
before, so a resumed run finds the same places.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from labctl.analysis.magnomechanics import Device, covariance, growth, signed_negativity
from labctl.errors import RequestError
from labctl.live import Curve, HeatMap, Panel
from labctl.parameters import integer
from labctl.procedure import Result, RunData
from procedures.magnon_bench import INSTRUMENTS
from procedures.magnon_records import MagnonMeasurement
from procedures.magnon_setup import require_stable
from procedures.magnon_states import by_sweep, device_like, negativity_inside, states, total
from procedures.magnon_sweeps import TUNE_UP

#: A round's spacing is this part of the one before: if the best place has stayed, or has moved.
CLOSER, ALONG = 0.4, 0.7
AROUND = tuple((float(i), float(j)) for j in (-1, 0, 1) for i in (-1, 0, 1))
SWEPT, SCORE = "E_N inside", "sought"
SWEPT_ERROR, ON_GRID = f"{SWEPT} error", f"{SWEPT}, grid"
#: Columns of a map's rows, beside those of both axes.
MAP_COLUMNS = (SWEPT, SCORE, "refusal", SWEPT_ERROR, ON_GRID)
FINE = 101  # points of a theory map along each axis

MAP_RESULTS = (
    Result("maximum", "", "largest E_N inside the cavities, inferred; by a quadratic"),
    Result("maximum_theory", "", "the same in theory with the nominal device"),
    Result("output_maximum", "", "largest measured E_N of the output modes on the grid"),
    Result("points_measured", "", "working points with records"),
    Result("points_refused", "", "working points that are unstable, never measured"),
)


class MagnonMap(MagnonMeasurement):
    """What maps share; sub-classes name the axes."""

    INSTRUMENTS = INSTRUMENTS
    X: ClassVar[str] = ""  # columns of the places
    Y: ClassVar[str] = ""

    records: int = integer(
        "Records", 100_000, minimum=1000, maximum=100_000_000,
        meaning="heterodyne records at each point, pump off and on each",
    )  # fmt: skip
    rounds: int = integer(
        "Rounds", 5, minimum=0, maximum=20, meaning="of nine points that close in on the maximum"
    )

    def panels(self) -> tuple[Panel, ...]:
        """The grid as a map; then all places, as rounds that close in on the largest E_N."""
        return (
            HeatMap("E_N inside the cavities, by sweeps", x=self.X, y=self.Y, value=ON_GRID),
            Curve(
                "In order, closing in on the maximum", x="index",
                y=SWEPT, error=SWEPT_ERROR,
            ),
        )  # fmt: skip

    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """Places along both axes."""
        raise NotImplementedError

    def place_device(self, x: Any, y: Any) -> Device:
        """The device at a place; arrays give a map."""
        raise NotImplementedError

    def places(self) -> list[tuple[float, float]]:
        """Stable points of the grid, row by row there and back."""
        xs, ys = self.grid()
        found = []
        for number, y in enumerate(ys.tolist()):
            rates = growth(self.place_device(xs, y))
            line = [(x, y) for x, rate in zip(xs.tolist(), rates.tolist(), strict=True) if rate < 0]
            found += line if number % 2 == 0 else line[::-1]
        return found

    def points(self) -> Iterator[dict[str, Any]]:
        """Sweeps that tune up, loads, the grid, and rounds around the best place."""
        places = self.places()
        if not places:
            xs, ys = self.grid()
            require_stable(self.place_device(float(xs[0]), float(ys[0])), f"{self.name()}")
        self.check_records(self.place_device(*places[0]), self.records, 0.0, self.name())
        yield from self.tune_up_points(self.reference_device())
        yield {"kind": "loads", "place": -1, "step": 0}
        for place in range(len(places) + len(AROUND) * self.rounds):
            yield {"kind": "state", "place": place, "step": 0}

    def reference_device(self) -> Device:
        """Where the drive is calibrated: at the sidebands, or where it is most stable."""
        aim = self.wanted(10.0, -10.0)
        if growth(aim) < 0:
            return aim
        return min((self.place_device(*place) for place in self.places()), key=growth)

    def startup(self) -> None:
        self._places = self.places()
        self._found: dict[int, tuple[float, float, float]] = {}
        self._note_rows()
        xs, ys = self.grid()
        refused = len(xs) * len(ys) - len(self._places)
        if refused and not self.rows:
            self.note(
                f"{refused} of {len(xs) * len(ys)} points of the grid are unstable at this drive "
                "and are not measured"
            )
        self.open_bench(self.reference_device())

    def _note_rows(self) -> None:
        for row in self.rows:
            self._remember(row)

    def _remember(self, row: Mapping[str, Any]) -> None:
        if row["kind"] == "state":
            self._found[int(row["place"])] = (row[self.X], row[self.Y], row[SCORE])

    @property
    def seeks_negativity(self) -> bool:
        """Whether the rounds close in on the largest E_N."""
        return True

    def score(self, inside: np.ndarray) -> float:
        """What the rounds seek the largest of: E_N of the fields inside the cavities."""
        return float(signed_negativity(inside))

    def shutdown(self) -> None:
        self.close_bench()

    def aim(self, place: int) -> tuple[float, float]:
        """Where point number `place` is."""
        if place < len(self._places):
            return self._places[place]
        number, step = divmod(place - len(self._places), len(AROUND))
        x, y = self._best(len(self._places))
        scale = CLOSER
        for done in range(1, number + 1):
            here = self._best(len(self._places) + done * len(AROUND))
            scale *= CLOSER if here == (x, y) else ALONG
            x, y = here
        xs, ys = self.grid()
        i, j = AROUND[step]
        return (
            float(np.clip(x + i * scale * _step(xs), xs[0], xs[-1])),
            float(np.clip(y + j * scale * _step(ys), ys[0], ys[-1])),
        )

    def _best(self, count: int) -> tuple[float, float]:
        """Place of the best among the first `count` points."""
        known = [f for n, f in self._found.items() if n < count and math.isfinite(f[2])]
        if not known:
            raise RequestError(f"{self.name()}: no point of the grid was measured to refine around")
        x, y, _ = max(known, key=lambda found: found[2])
        return x, y

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        if point["kind"] in TUNE_UP:
            return self.measure_sweep(point)
        if point["kind"] == "loads":
            return self.measure_loads(4 * self.buffers(self.records, 0))
        x, y = self.aim(int(point["place"]))
        aim = self.place_device(x, y)
        row: dict[str, Any] = {self.X: x, self.Y: y, SWEPT: math.nan, SCORE: math.nan}
        try:
            found, device = self.measure_working_point(aim, self.buffers(self.records, 0))
        except RequestError as refusal:
            self.note(f"point ({x:g}, {y:g}) is left out: {refusal}")
            return self.complete({**row, "records": 0, "refusal": str(refusal)})
        sought = self.score(covariance(device)[:4, :4])
        inside, error = by_sweep(negativity_inside, device, found["fit covariance"])
        row = {**found, **row, SWEPT: max(inside, 0.0), SCORE: sought, SWEPT_ERROR: error}
        if point["place"] < len(self._places):
            row[ON_GRID] = row[SWEPT]
        self._remember({**point, **row})
        self.show("E_N inside", inside)
        return self.complete(row)

    def analyse(self, data: RunData) -> dict[str, Any]:
        """All states, the maximum by a quadratic through the places around it, and theory."""
        found = states(data, device_like(data.parameters))
        rows = {int(p): n for n, p in enumerate(data["place"].astype(int).tolist()) if p >= 0}
        table = np.array(
            [
                [
                    float(data[self.X][rows[place]]), float(data[self.Y][rows[place]]),
                    state.inferred.log_negativity, state.inferred.error,
                    *total(state.estimate.propagate(signed_negativity)),
                    state.inferred.duan, state.inferred.duan_error, place,
                ]
                for place, state in found.items()
            ]
        )  # fmt: skip
        kinds, taken = np.asarray(data["kind"]), data["records"].astype(float)
        refused = int(np.sum((kinds == "state") & (taken == 0)))
        xs, ys = self.grid()
        peak = self.peak(table[:, :4], table[:, 8] if self.seeks_negativity else None)
        fine_x, fine_y = (np.linspace(v[0], v[-1], FINE) for v in (xs, ys))
        device = self.place_device(fine_x[None, :], fine_y[:, None])
        inside = signed_negativity(covariance(device)[..., :4, :4])
        best = self.best_in_theory(peak[:2])
        return {
            "maximum": (peak[2], peak[5]),
            **self.named_position(peak),
            "maximum_theory": best[2],
            **self.named_theory(best),
            "output_maximum": tuple(table[int(np.argmax(table[:, 4])), 4:6].tolist()),
            "points_measured": len(table),
            "points_refused": len(xs) * len(ys) - len(self.places()) + refused,
            "measured": table,
            "theory": inside,
            "theory_x": fine_x,
            "theory_y": fine_y,
        }  # fmt: skip

    def peak(self, rows: np.ndarray, places: np.ndarray | None) -> np.ndarray:
        """`quadratic_peak` of rows (x, y, value, error).

        Args:
            places: number of each row's place, if the rounds sought this maximum. If the last round
                still found better than chance, it is not closed in, and its error is the grid's
                spacing.
        """
        xs, ys = self.grid()
        steps = np.array([_step(xs), _step(ys)])
        peak = quadratic_peak(rows, (float(steps[0]), float(steps[1])))
        if places is None:
            return peak
        last = (int(places.max()) - len(self.places())) // len(AROUND)
        before = rows[places < len(self.places()) + last * len(AROUND)]
        if last >= 0 and len(before):
            old, new = (part[int(np.argmax(part[:, 2]))] for part in (before, rows))
            gain = float(new[2] - old[2])
            if gain > 4.0 * math.hypot(new[3], old[3]):
                peak[3:5], peak[5] = np.maximum(peak[3:5], steps), math.hypot(peak[5], gain)
        return peak

    def named_position(self, peak: np.ndarray) -> dict[str, Any]:
        """Results for the place of the maximum: x, y, value and their errors."""
        raise NotImplementedError

    def named_theory(self, best: np.ndarray) -> dict[str, Any]:
        raise NotImplementedError

    def best_in_theory(self, near: np.ndarray) -> np.ndarray:
        """x, y and value of the theory's maximum on the map that is nearest to the measured one."""
        from scipy.optimize import minimize

        def lost(place: np.ndarray) -> float:
            device = self.place_device(float(place[0]), float(place[1]))
            return -float(signed_negativity(covariance(device)[:4, :4]))

        fit = minimize(
            lost, near, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-9},
            bounds=[(places[0], places[-1]) for places in self.grid()],
        )  # fmt: skip
        return np.array([*fit.x, -fit.fun])


def _step(places: np.ndarray) -> float:
    return float(places[1] - places[0]) if len(places) > 1 else 1.0


def quadratic_peak(table: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """Place and height of a maximum from rows (x, y, value, error): x, y, height, then errors.

    A quadratic surface through the places nearest to the best one, nine at least, counted in grid
    spacings. Errors of x and y come from how well the surface fits and from what a surface through
    twice as many places says, because nine do not show that the summit leans to a side; that of
    the height is also the best place's own. Where the surface has no maximum nearby, or a lower
    one than the best place, or one beyond all places, the best place stands for it.
    """
    best = table[int(np.argmax(table[:, 2]))]
    apart = np.hypot(*((table[:, :2] - best[:2]) / np.array(spacing)).T)
    ranked = np.sort(apart)
    reach = float(ranked[min(8, len(table) - 1)])
    plain = np.array([*best[:3], spacing[0] * reach, spacing[1] * reach, best[3]])
    near = table[apart <= 1.001 * reach]
    scale = np.array(spacing) * max(reach, 1e-9)
    fit = _summit(near, best, scale) if len(near) >= 9 else None
    if fit is None:
        return plain
    place, height, errors, noise = fit
    measured = (near[:, :2].min(axis=0) <= place) & (place <= near[:, :2].max(axis=0))
    far = np.hypot(*((place - best[:2]) / scale)) > 1.0
    if far or height < best[2] - best[3] or not measured.all():
        return plain
    wide = float(ranked[min(17, len(table) - 1)])
    around = table[apart <= 1.001 * wide]
    if wide > 1.001 * reach and (other := _summit(around, best, scale)) is not None:
        # What leans goes with the square of the reach: so much of the difference is still in ours.
        share = min(1.0, reach**2 / (wide**2 - reach**2))
        errors = np.hypot(errors, share * (place - other[0]))
        noise = float(np.hypot(noise, share * (height - other[1])))
    return np.array([*place, height, *errors, float(np.hypot(best[3], noise))])


def _summit(
    rows: np.ndarray, origin: np.ndarray, scale: np.ndarray
) -> tuple[np.ndarray, float, np.ndarray, float] | None:
    """Place, height, errors of the place, scatter of a quadratic surface; None without summit."""
    u, v = ((rows[:, :2] - origin[:2]) / scale).T
    design = np.column_stack([np.ones_like(u), u, v, u**2, u * v, v**2])
    value, _, rank, _ = np.linalg.lstsq(design, rows[:, 2], rcond=None)
    if rank < design.shape[1]:  # places that coincide, at an edge of the grid
        return None
    curved = np.array([[2 * value[3], value[4]], [value[4], 2 * value[5]]])
    if np.linalg.eigvalsh(curved)[-1] >= 0:
        return None
    top = np.linalg.solve(curved, -value[1:3])
    missed = rows[:, 2] - design @ value
    noise = float(missed @ missed) / max(1, len(rows) - 6)
    spread = np.linalg.inv(design.T @ design) * noise
    slope = np.linalg.inv(curved)
    errors = np.sqrt(np.diag(slope @ spread[1:3, 1:3] @ slope.T))
    height = float(value[0] + value[1:3] @ top / 2)
    return origin[:2] + scale * top, height, scale * errors, float(np.sqrt(noise))
