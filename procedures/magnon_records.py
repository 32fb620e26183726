"""Records of the magnomechanics bench: loads, working points, and what is refused beforehand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from labctl.analysis.heterodyne import load_variance, records_needed
from labctl.analysis.magnomechanics import Device, negativity_gradient, output_covariance
from labctl.errors import InstrumentError, RequestError
from procedures.magnon_bench import LOAD, SETTLE, STAGE
from procedures.magnon_setup import require_stable
from procedures.magnon_sweeps import MagnonSweeps

BUFFER = 16384  # records of one acquisition
BUFFERS_PER_ROW = 16
SWITCH_PINS = ("DIO0_P", "DIO1_P")
SAMPLE, COLD, HOT = 0, 1, 2  # positions of the input switch
FILTER_OUTPUT, SLOWEST_FILTER, VOLTS_PER_DECADE = 0, 0.01, 0.6  # MHz, V
#: Records are at least this far apart (us, and in filter time constants), so that they are new.
APART, APART_TIMES = 5.0, 8.0
#: Part of the samples that may stand at the converter's ends by chance.
CLIPPED = 1e-5


class MagnonMeasurement(MagnonSweeps):
    """All of the bench: control, sweeps, and points of kind `loads` and `state`."""

    def check_records(self, device: Device, records: int, error: float, name: str) -> None:
        """Refuse what cannot be measured, before anything is switched on.

        Raises:
            RequestError: an unstable point, a filter as wide as the modes are apart, loads that
                are too much alike, or too few records for the error that is asked for.
        """
        require_stable(device, name)
        spacing = 2.0 * self.sideband
        if 2.0 * self.bandwidth > spacing:
            raise RequestError(
                f"{name}: filters of {self.bandwidth:g} MHz are {2 * self.bandwidth:g} MHz wide, "
                f"wider than the modes are apart ({spacing:g} MHz), and mix them; ask for at most "
                f"{spacing / 2:g} MHz"
            )
        hot = load_variance(self.drive_frequency, self.load_temperature)
        cold = load_variance(self.drive_frequency, float(device.temperature))
        if hot - cold < 0.1:
            raise RequestError(
                f"{name}: loads at {self.load_temperature:g} mK and {float(device.temperature):g} "
                f"mK differ by {hot - cold:.2g} quanta, which does not tell the gain from the "
                "added noise; ask for a load_temperature of 1000 mK or more"
            )
        if error > 0:
            needed = records_needed(self.spread(device), error)
            if needed > records:
                raise RequestError(
                    f"{name}: {records} records give E_N with a standard error of about "
                    f"{error * math.sqrt(needed / records):.2g}; an error of {error:g} takes "
                    f"{needed} records"
                )

    def spread(self, device: Device) -> float:
        """sqrt(N) times the expected standard error of the output E_N, pump-off records included.

        E_N also depends on the gain, which as many records of each load give.
        """
        v = output_covariance(device, self.bandwidth, self.sideband)
        slope = negativity_gradient(v)
        noise = self.added_noise * np.eye(4)
        stage = load_variance(self.drive_frequency, float(device.temperature))
        on, off = slope @ (v + noise), slope @ (stage * np.eye(4) + noise)
        hot = load_variance(self.drive_frequency, self.load_temperature)
        excess = v - stage * np.eye(4)
        gains = ((hot + self.added_noise) ** 2 + (stage + self.added_noise) ** 2) * 2.0
        by_gain = [float(slope[n] @ excess[n]) ** 2 for n in range(4)]
        gain_part = sum(by_gain) * gains / (hot - stage) ** 2
        return math.sqrt(2.0 * float(np.trace(on @ on) + np.trace(off @ off)) + gain_part)

    @staticmethod
    def row_count(records: int) -> int:
        """Rows that hold so many records."""
        return -(-records // (BUFFER * BUFFERS_PER_ROW))

    @staticmethod
    def buffers(records: int, step: int) -> int:
        """Acquisitions of row `step` of so many records."""
        total = -(-records // BUFFER)
        return min(BUFFERS_PER_ROW, total - step * BUFFERS_PER_ROW)

    def prepare_records(self) -> None:
        """Filters and digitiser."""
        if self._set.get("bandwidth") == self.bandwidth:
            return
        volts = VOLTS_PER_DECADE * math.log10(self.bandwidth / SLOWEST_FILTER)
        self.digitiser.set_output(FILTER_OUTPUT, volts)
        spacing = max(APART, APART_TIMES / (2.0 * math.pi * self.bandwidth))
        self.digitiser.configure(self.digitiser.decimation_for(1e-6 * spacing))
        self._set["bandwidth"] = self.bandwidth

    def switch(self, position: int) -> None:
        """Connect the amplifiers to the sample or to one of the loads."""
        for bit, pin in enumerate(SWITCH_PINS):
            self.digitiser.set_pin(pin, bool(position >> bit & 1))

    def take(self, buffers: int) -> tuple[np.ndarray, int]:
        """Sums, products and products with the next record of so many buffers, shape (9, 4).

        Raises:
            InstrumentError: the records reach the ends of the converter.
        """
        total, clipped = np.zeros((9, 4)), np.zeros(4, dtype=int)
        for _ in range(buffers):
            codes = self.digitiser.acquire()
            clipped += ((codes >= 8191) | (codes <= -8192)).sum(axis=0)
            x = codes.astype(np.float64)
            total[0] += x.sum(axis=0)
            total[1:5] += x.T @ x
            total[5:9] += x[:-1].T @ x[1:]
        worst = int(np.argmax(clipped))
        if clipped[worst] > CLIPPED * buffers * BUFFER:
            raise InstrumentError(
                f"digitiser: {clipped[worst]} of {buffers * BUFFER} records of IN{worst + 1} stand "
                "at the end of the converter, so their variance is cut; weaken the signal before "
                "the digitiser"
            )
        return total, int(clipped.max())

    def measure_loads(self, buffers: int) -> dict[str, Any]:
        """Records of the cold and of the hot load."""
        self.hold_load()
        self.prepare_records()
        self.set_level(self._set.get("level", -10.0))
        sums, clipped = [], 0
        for position in (COLD, HOT):
            self.switch(position)
            self.bench.clock.sleep(SETTLE)
            moments, cut = self.take(buffers)
            sums.append(moments)
            clipped += cut
        self.switch(SAMPLE)
        return self.complete({
            **self.settings(),
            "load (mK)": self.read_temperature(LOAD),
            "stage (mK)": self.read_temperature(STAGE),
            "records": buffers * BUFFER, "clipped": clipped, "moments": np.stack(sums),
        })  # fmt: skip

    def measure_state(self, buffers: int) -> dict[str, Any]:
        """Records at the present working point with the pump switch open and closed."""
        self.prepare_records()
        sums, clipped = [], 0
        for on in (False, True):
            self.pump(on)
            self.bench.clock.sleep(SETTLE)
            moments, cut = self.take(buffers)
            sums.append(moments)
            clipped += cut
        self.pump(False)
        return self.complete({
            **self.settings(), "stage (mK)": self.read_temperature(STAGE),
            "records": buffers * BUFFER, "clipped": clipped, "moments": np.stack(sums),
        })  # fmt: skip

    def measure_working_point(self, aim: Device, buffers: int) -> tuple[dict[str, Any], Device]:
        """Go there, sweep, and take records: a row, and the device that was found.

        Raises:
            RequestError: out of reach, or unstable.
        """
        self.go_to(aim)
        swept, fit = self.fit_driven(aim)
        state = self.measure_state(buffers)
        stage = state["stage (mK)"]
        filled = {name: value for name, value in swept.items() if np.size(value)}
        return {**state, **filled, "stage (mK)": stage}, fit.device.with_(temperature=stage)
