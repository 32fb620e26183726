"""The pump power that gives the entanglement network most key."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.analysis.pump_power import optimum_with_errors
from labctl.analysis.qkd import max_qber, minimum_visibility
from labctl.analysis.sifting import sift
from labctl.errors import RequestError
from labctl.live import Curve, Panel
from labctl.parameters import integer, number, numbers
from labctl.procedure import LabProcedure, Result, RunData
from procedures.network import KEY_PHASES, NetworkMeasurement, standard_routes
from procedures.network_plan import LINKS, USERS
from procedures.network_rates import link_rates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FEWEST_POWERS = 3


class PumpOptimum(NetworkMeasurement, LabProcedure):
    """Sifted bits, error rates and keys of all links over the pump power.

    More power makes more pairs and, as its square, more accidental coincidences. Two optima are
    found from a model of counts that is fitted to all powers: that of the whole key, and the fair
    one, at which the poorest link has its longest key. The publication chose 0.4 mW, the
    power up to which its poorest link, B-D, still gives key.
    """

    powers: list[float] = numbers(
        "Powers", [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.6, 0.8, 1.0, 1.2], unit="mW",
        minimum=1e-3, maximum=5, meaning="of both pumps, in front of the ring",
    )  # fmt: skip
    dwell: float = number(
        "Dwell", 5.0, unit="s", minimum=0.1, maximum=1000, meaning="of counting at each power"
    )
    efficiency: float = number(
        "Efficiency", 1.2, minimum=1, maximum=3, meaning="of error correction"
    )
    samples: int = integer(
        "Samples", 200, minimum=20, maximum=10_000, meaning="resampled counts for the errors"
    )

    DATA_COLUMNS: ClassVar[list[str]] = [
        "index", "power (mW)", "set power (mW)", "dwell (s)",
        *(f"clicks {user}" for user in USERS),
        *(f"{what} {link.name}" for link in LINKS for what in ("sifted", "errors", "secret")),
        "secret (bit/s)", "laser (MHz)", "phase (rad)", "lost (s)", "secret error (bit/s)",
        *(f"{what} {link.name}{error}" for link in LINKS
          for what, error in (("secret", " error"), ("qber", ""), ("qber", " error"))),
    ]  # fmt: skip
    RESULTS = (
        Result("optimum_total", "mW", "power with the longest key of all links together"),
        Result("optimum_fair", "mW", "power with the longest key of the poorest link"),
        Result("secret_total_best", "bit/s", "key of all links at the first optimum"),
        Result("secret_fair_best", "bit/s", "key of the poorest link at the second"),
        Result("poorest", "", "the link that is poorest there"),
        Result("power_limit", "mW", "power from which on the poorest link gives no key"),
        Result("visibility", "", "of the fringes without accidental coincidences"),
        Result("minimum_visibility", "", "below which there is no key"),
        Result("lost", "s", "counting that was thrown away because a lock was lost"),
    )

    def panels(self) -> tuple[Panel, ...]:
        """What both optima are about, and why keys end: the error rate of the poorest link."""
        return (
            Curve("Key of all links", "power (mW)", "secret (bit/s)", "secret error (bit/s)"),
            Curve("Key of B-D (bit/s)", "power (mW)", "secret B-D", "secret B-D error"),
            Curve(
                "Error rate of B-D; dotted: key limit", "power (mW)", "qber B-D",
                "qber B-D error", levels=(max_qber(self.efficiency),),
            ),
        )  # fmt: skip

    def startup(self) -> None:
        self.open_network(standard_routes())
        assert self.hold is not None
        self.hold.close(KEY_PHASES * len(USERS))

    def shutdown(self) -> None:
        self.close_network()

    def points(self) -> Iterator[dict[str, Any]]:
        self.check_links()
        if len(set(self.powers)) < FEWEST_POWERS:
            raise RequestError(f"an optimum needs at least {FEWEST_POWERS} different powers")
        yield from ({"set power (mW)": power} for power in self.powers)

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        self.set_power(point["set power (mW)"])
        counted = self.count(self.dwell)
        delays = self.check_links()
        row: dict[str, Any] = {"power (mW)": self.pump_power(), "dwell (s)": counted.seconds}
        for user, (times, _) in zip(USERS, counted.clicks, strict=True):
            row[f"clicks {user}"] = len(times)
        total = spread = 0.0
        for link in LINKS:
            first, second = (counted.clicks[user] for user in link.users)
            bits = sift(*first, *second, window=round(1e3 * self.window), delay=delays[link.name])
            rates = link_rates(len(bits), bits.errors, counted.seconds, self.efficiency)
            qber, qber_error, secret, secret_error = rates[2:6].tolist()
            row[f"sifted {link.name}"] = len(bits)
            row[f"errors {link.name}"] = bits.errors
            row |= {f"secret {link.name}": secret, f"secret {link.name} error": secret_error}
            row |= {f"qber {link.name}": qber, f"qber {link.name} error": qber_error}
            total, spread = total + secret, math.hypot(spread, secret_error)
        self.show("key", total, "bit/s")
        return {
            **row,
            "secret (bit/s)": total,
            "secret error (bit/s)": spread,
            "laser (MHz)": counted.laser_worst,
            "phase (rad)": float(np.mean(counted.phase_errors)),
            "lost (s)": counted.lost,
        }

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Both optima, with errors from resampled counts."""
        power = data["power (mW)"]
        if len(np.unique(data["set power (mW)"])) < FEWEST_POWERS:
            raise RequestError(f"this run has fewer than {FEWEST_POWERS} powers; resume it first")
        efficiency = data.parameters["efficiency"]
        sifted, errors = (
            np.array([data[f"{what} {link.name}"] for link in LINKS], dtype=float)
            for what in ("sifted", "errors")
        )
        model, found = optimum_with_errors(
            power, data["dwell (s)"], [link.users for link in LINKS], sifted, errors,
            np.array([data[f"clicks {user}"] for user in USERS], dtype=float),
            1e-9 * data.parameters["window"], np.random.default_rng(len(data)),
            samples=data.parameters["samples"], efficiency=efficiency,
        )  # fmt: skip
        total, fair = found["total"], found["fair"]
        grid = np.linspace(0.5 * float(power.min()), 2.0 * float(power.max()), 400)
        secret = model.secret(grid, efficiency)
        poorest = int(model.secret(fair[0], efficiency)[:, 0].argmin())
        return {
            "optimum_total": total,
            "optimum_fair": fair,
            "secret_total_best": float(model.secret(total[0], efficiency).sum()),
            "secret_fair_best": float(model.secret(fair[0], efficiency)[poorest, 0]),
            "poorest": LINKS[poorest].name,
            "power_limit": found["limit"],
            "visibility": model.visibility,
            "minimum_visibility": minimum_visibility(efficiency),
            "lost": float(data["lost (s)"].sum()),
            # powers (mW), then key, sifted bits and error rate of each link from the model
            "model": np.vstack([grid, secret, *model.sifted(grid)]),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import network_figures

        return {"optimum": network_figures.optimum(data)}
