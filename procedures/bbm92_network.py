"""BBM92 between all users of the entanglement network: from time tags to keys."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.analysis.qkd import distil, max_qber
from labctl.analysis.sifting import Sifted, joined, sift
from labctl.analysis.timetags import correlation_histogram
from labctl.errors import RequestError
from labctl.live import Curve, Panel
from labctl.parameters import boolean, number
from labctl.procedure import LabProcedure, Result, RunData
from procedures.network import KEY_PHASES, NetworkMeasurement, intervals, standard_routes
from procedures.network_plan import LINKS, TABLE_2, USERS, Link
from procedures.network_rates import link_rates, recomputed_table
from procedures.tag_slices import in_order

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from procedures.tag_slices import Clicks

FEWEST_BITS = 200  # sifted bits from which a key is tried
#: Error correction starts from this error rate if hardly any errors were seen.
LEAST_ERROR = 0.005
HISTOGRAM_BIN, HISTOGRAM_REACH = 200, 80_000  # ps

_MEANINGS = (
    ("sifted", "bit/s", "sifted bits: coincidences in the central peak, equal bases"),
    ("qber", "", "part of the sifted bits that differ"),
    ("secret", "bit/s", "asymptotic key, N [1 - f H(e) - H(e)]"),
    ("visibility", "", "1 - 2 x error rate"),
    ("key_rate", "bit/s", "key that was really distilled"),
)


class Bbm92Network(NetworkMeasurement, LabProcedure):
    """Keys for all seven links of four users at once.

    Clicks of two users in the central of the three peaks were made by pairs that took equal paths.
    Where both users happened to choose the same basis, their outcomes are the same bit (opposite
    in the second basis). Error correction finds how many differ; hashes verify it and shorten what
    is left by all that was disclosed. Beside that stands the asymptotic key rate of the
    publication, with error correction at 1.2 times Shannon's limit.

    The two links of users C and D go to the same detectors. They are told apart by the delay of
    channel C54. Each takes the accidental coincidences of all light of both users.
    """

    power: float = number(
        "Power",
        0.4,
        unit="mW",
        minimum=1e-3,
        maximum=5,
        meaning="both pumps, in front of the ring",
    )
    duration: float = number(
        "Duration", 10.0, unit="s", minimum=0.1, maximum=1e6, meaning="of counting"
    )
    interval: float = number(
        "Interval", 1.0, unit="s", minimum=0.1, maximum=100, meaning="of counting for one row"
    )
    efficiency: float = number(
        "Efficiency", 1.2, minimum=1, maximum=3,
        meaning="of error correction, in the asymptotic key rate",
    )  # fmt: skip
    keys: bool = boolean("Keys", True, meaning="distil keys and deliver them to the key store")
    keep_tags: bool = boolean("Keep tags", True, meaning="store all time tags with the run")

    DATA_COLUMNS: ClassVar[list[str]] = [
        "index", "time (s)", "dwell (s)", "power (mW)", "behind (uW)",
        *(f"clicks {user}" for user in USERS),
        *(f"{what} {link.name}" for link in LINKS
          for what in ("sifted", "errors", "qber", "qber error")),
        "laser (MHz)", "phase (rad)", "lost (s)", "public seed",
        *(f"sifted {link.name} error" for link in LINKS), "secret (bit/s)", "secret error (bit/s)",
    ]  # fmt: skip
    RESULTS = (
        *(
            Result(f"{name}_{link.name}", unit, f"{link.name}: {meaning}")
            for link in LINKS
            for name, unit, meaning in _MEANINGS
        ),
        *(Result(f"key_bits_{link.name}", "bit", f"{link.name}: secret bits") for link in LINKS),
        *(Result(f"singles_{user}", "1/s", f"clicks of user {user}") for user in USERS),
        Result("secret_total", "bit/s", "asymptotic key of all links"),
        Result("key_rate_total", "bit/s", "distilled key of all links"),
        Result("power", "mW", "both pumps, in front of the ring"),
        Result("lost", "s", "counting that was thrown away because a lock was lost"),
    )

    def panels(self) -> tuple[Panel, ...]:
        """The best link, the poorest one, and the sum of all."""
        limit = (max_qber(self.efficiency),)
        return (
            *(
                Curve(
                    f"Error rate of {name}; dotted: key limit", "time (s)",
                    f"qber {name}", f"qber error {name}", levels=limit,
                )
                for name in ("A-B", "B-D")
            ),
            Curve("Sifted bits of A-B", "time (s)", "sifted A-B", "sifted A-B error"),
            Curve(
                "Key of all links, asymptotic", "time (s)", "secret (bit/s)",
                "secret error (bit/s)",
            ),
        )  # fmt: skip

    def startup(self) -> None:
        self.open_network(standard_routes())
        self.set_power(self.power)
        assert self.hold is not None
        self.hold.close(KEY_PHASES * len(USERS))
        self._delays = self.check_links()

    def shutdown(self) -> None:
        self.close_network()

    def points(self) -> Iterator[dict[str, Any]]:
        self.check_links()
        if self.keys and not self.keep_tags:
            raise RequestError(
                "keys are made from the stored tags: set keep_tags=true or keys=false"
            )
        begun = 0.0
        for seconds in intervals(self.duration, self.interval):
            yield {"time (s)": begun, "dwell (s)": seconds}
            begun += seconds

    def measure_point(self, point: Mapping[str, Any]) -> dict[str, Any]:
        counted = self.count(point["dwell (s)"])
        row: dict[str, Any] = {"dwell (s)": counted.seconds}
        secret = spread = 0.0
        for user, (times, _) in zip(USERS, counted.clicks, strict=True):
            row[f"clicks {user}"] = len(times)
        for link in LINKS:
            bits = self._sift(link, counted.clicks, self._delays)
            row[f"sifted {link.name}"] = len(bits)
            row[f"errors {link.name}"] = bits.errors
            rates = link_rates(len(bits), bits.errors, counted.seconds, self.efficiency)
            rate, error, key, key_error = rates[2:6].tolist()
            row |= {f"qber {link.name}": rate, f"qber error {link.name}": error}
            row[f"sifted {link.name} error"] = math.sqrt(max(len(bits), 1))
            secret, spread = secret + key, math.hypot(spread, key_error)
        self.show("sifted A-B", row["sifted A-B"] / counted.seconds, "bit/s")
        self.show("error rate A-B", 100 * row["qber A-B"], "%")
        return {
            **row,
            "secret (bit/s)": secret,
            "secret error (bit/s)": spread,
            "public seed": int(self.rng.integers(1 << 62)),
            "power (mW)": self.pump_power(),
            "behind (uW)": 1e6 * self.behind.power,
            "laser (MHz)": counted.laser_worst,
            "phase (rad)": float(np.mean(counted.phase_errors)),
            "lost (s)": counted.lost,
        }

    def _sift(self, link: Link, clicks: list[Clicks], delays: Mapping[str, int]) -> Sifted:
        first, second = (clicks[user] for user in link.users)
        window = round(1e3 * self.window)
        return sift(*first, *second, window=window, delay=delays[link.name])

    def analyse(self, data: RunData) -> dict[str, Any]:
        """Sift the stored tags, with this analysis' window; distil keys; compare with Table 2."""
        if not len(data):
            raise RequestError("this run has no rows; resume it first")
        asked = data.parameters
        delays = self.check_links()
        seconds = float(data["dwell (s)"].sum())
        results: dict[str, Any] = {}
        counts = {
            link: tuple(int(data[f"{what} {link.name}"].sum()) for what in ("sifted", "errors"))
            for link in LINKS
        }
        if asked["keep_tags"]:
            bits, results["histograms"] = self._bits(data, delays)
            counts = {link: (len(one), one.errors) for link, one in zip(LINKS, bits, strict=True)}
            if asked["keys"]:
                seed = int(np.bitwise_xor.reduce(data["public seed"].astype(np.int64)))
                for place, (link, one) in enumerate(zip(LINKS, bits, strict=True)):
                    length = self._distil(link, one, seed + place)
                    results[f"key_bits_{link.name}"] = length
                    results[f"key_rate_{link.name}"] = length / seconds
                lengths = [results[f"key_bits_{link.name}"] for link in LINKS]
                results["key_rate_total"] = sum(lengths) / seconds
        table = np.array(
            [
                link_rates(sifted, errors, seconds, asked["efficiency"])
                for sifted, errors in counts.values()
            ]
        )
        for link, row in zip(LINKS, table.tolist(), strict=True):
            for place, name in enumerate(("sifted", "qber", "secret", "visibility")):
                results[f"{name}_{link.name}"] = (row[2 * place], row[2 * place + 1])
        for user in USERS:
            clicks = int(data[f"clicks {user}"].sum())
            results[f"singles_{user}"] = (clicks / seconds, math.sqrt(clicks) / seconds)
        return results | {
            "secret_total": (float(table[:, 4].sum()), float(np.hypot.reduce(table[:, 5]))),
            "power": float(np.average(data["power (mW)"], weights=data["dwell (s)"])),
            "lost": float(data["lost (s)"].sum()),
            # by link: sifted, error rate, key, visibility, each with its error
            "links": table,
            # by link: sifted, visibility, error rate, key as the publication prints them
            "printed": np.array([TABLE_2[link.name] for link in LINKS]),
            # by link: error rate, key from the visibility, key from the error rate that is printed
            "recomputed": recomputed_table(asked["efficiency"]),
        }

    def figures(self, data: RunData) -> dict[str, Figure]:
        from procedures import network_figures

        drawn = {"keys": network_figures.keys(data)}
        if "histograms" in data.derived:
            drawn["histograms"] = network_figures.histograms(data)
        return drawn

    def _bits(self, data: RunData, delays: Mapping[str, int]) -> tuple[list[Sifted], np.ndarray]:
        """Sifted bits of each link, and histograms of the delays of each pair of users."""
        parts: list[list[Sifted]] = [[] for _ in LINKS]
        histograms = {link.users: np.zeros(0, dtype=np.int64) for link in LINKS}
        for row in range(len(data)):
            clicks = [in_order(data.tags(user, row=row)) for user in USERS]
            for place, link in enumerate(LINKS):
                parts[place].append(self._sift(link, clicks, delays))
            for users, before in histograms.items():
                first, second = (clicks[user][0] for user in users)
                counts, _ = correlation_histogram(first, second, HISTOGRAM_BIN, HISTOGRAM_REACH)
                histograms[users] = before + counts if before.size else counts
        return [joined(one) for one in parts], np.array(list(histograms.values()))

    def _distil(self, link: Link, sifted: Sifted, seed: int) -> int:
        """Secret bits of a link, delivered to the key store."""
        if len(sifted) < FEWEST_BITS:
            return 0
        rate = max(sifted.errors / len(sifted), LEAST_ERROR)
        if rate >= max_qber(1.0):
            return 0
        key = distil(sifted.alice, sifted.bob, rate, seed)
        if not key.verified or not key.length:
            return 0
        self.deliver_key(link.name, key.alice)
        return key.length
