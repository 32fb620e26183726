"""Users, channels and links of the entanglement network, and what its publication prints.

Fan et al., Light: Science & Applications 14 (2025), doi 10.1038/s41377-025-01805-1, Tables 1 and 2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from labctl.errors import RequestError

PUMP_CHANNELS = (34, 46)
#: Channels of the two photons of a pair add up to one of these: both pumps, or one alone.
SUMS = (80, 68, 92)
#: Stimulated four-wave mixing of the pumps fills these with classical light.
STIMULATED = (22, 58)
FIRST, LAST = 12, 60

USERS = ("A", "B", "C", "D")
USER_CHANNELS = {"A": (38,), "B": (42,), "C": (54, 50), "D": (30, 26)}


@dataclass(frozen=True)
class Link:
    """Two users who share a pair of channels."""

    name: str
    users: tuple[int, int]
    channels: tuple[int, int]


LINKS = (
    Link("A-B", (0, 1), (38, 42)),
    Link("A-C", (0, 2), (38, 54)),
    Link("A-D", (0, 3), (38, 30)),
    Link("B-C", (1, 2), (42, 50)),
    Link("B-D", (1, 3), (42, 26)),
    Link("C-D:50-30", (2, 3), (50, 30)),
    Link("C-D:54-26", (2, 3), (54, 26)),
)

#: Table 2: sifted bits per s, visibility, error rate and secret bits per s, as printed.
TABLE_2 = {
    "A-B": (1613.9, 0.971, 0.014, 1230.6),
    "A-C": (260.0, 0.844, 0.078, 34.2),
    "A-D": (405.6, 0.871, 0.065, 97.6),
    "B-C": (268.2, 0.849, 0.076, 39.9),
    "B-D": (267.4, 0.832, 0.084, 22.9),
    "C-D:50-30": (585.0, 0.932, 0.034, 454.6),
    "C-D:54-26": (460.0, 0.848, 0.076, 67.1),
}
TABLE_2_TOTAL = 1946.9
#: The row whose printed key does not follow from its own columns.
INCONSISTENT = "C-D:50-30"

#: Table 1: visibilities in % with their errors.
TABLE_1 = {
    (32, 36): (91.1, 0.4), (28, 40): (93.9, 0.5), (24, 44): (99.8, 0.3), (18, 50): (85.4, 0.6),
    (14, 54): (83.4, 1.1), (30, 38): (87.1, 0.5), (26, 42): (83.9, 0.5), (20, 48): (83.4, 0.9),
    (16, 52): (87.0, 1.6), (12, 56): (85.4, 1.9), (44, 48): (90.8, 0.4), (40, 52): (83.7, 0.5),
    (36, 56): (90.3, 0.3), (42, 50): (91.9, 0.4), (38, 54): (90.4, 0.4), (32, 60): (88.1, 0.8),
    (36, 44): (94.9, 0.2), (32, 48): (96.2, 0.3), (28, 52): (98.4, 0.2), (24, 56): (99.9, 0.3),
    (38, 42): (98.2, 0.2), (30, 50): (94.3, 0.2), (26, 54): (95.7, 0.1), (20, 60): (91.4, 0.5),
}  # fmt: skip

_PAIR = re.compile(r"\s*C?(\d+)\s*[-&]\s*C?(\d+)\s*", re.IGNORECASE)
_DELAY = re.compile(r"\s*C?(\d+)\s*:\s*([-+]?\d+(?:\.\d*)?)\s*", re.IGNORECASE)


def parse_pair(text: str) -> tuple[int, int]:
    """Channels of a pair such as "C38-C42".

    Raises:
        RequestError: no pair, or one that this source does not make.
    """
    match = _PAIR.fullmatch(text)
    if match is None:
        raise RequestError(f"{text.strip()!r} is no pair of channels; write for example C38-C42")
    first, second = int(match[1]), int(match[2])
    for channel in (first, second):
        if not FIRST <= channel <= LAST or channel % 2:
            raise RequestError(
                f"C{channel}: the ring emits into even channels from C{FIRST} to C{LAST}"
            )
        if channel in PUMP_CHANNELS or channel in STIMULATED:
            what = "a pump" if channel in PUMP_CHANNELS else "stimulated light"
            raise RequestError(f"C{channel} carries {what}; its photons cannot be used")
    if first == second or first + second not in SUMS:
        sums = ", ".join(map(str, SUMS))
        raise RequestError(
            f"C{first}-C{second}: a pair's channels add up to {sums} (energy conservation), "
            f"these to {first + second}"
        )
    return first, second


def parse_pairs(text: str) -> list[tuple[int, int]]:
    """Pairs separated by commas."""
    pairs = [parse_pair(part) for part in text.split(",") if part.strip()]
    if not pairs:
        raise RequestError("no pair of channels was given; write for example C38-C42, C30-C38")
    return pairs


def parse_delays(text: str) -> dict[int, int]:
    """Delays (ps) by channel from a text such as "C54:50", in ns."""
    delays = {}
    for part in text.split(","):
        if not part.strip():
            continue
        match = _DELAY.fullmatch(part)
        if match is None:
            raise RequestError(
                f"{part.strip()!r} is no delay of a channel; write for example C54:50 (ns)"
            )
        delays[int(match[1])] = round(1e3 * float(match[2]))
    return delays


def pair_name(pair: tuple[int, int]) -> str:
    """How a pair is written in results."""
    return f"C{pair[0]}-C{pair[1]}"
