"""A magnetised sphere between two microwave cavities: four linear modes, driven and read out.

Written in mode amplitudes (a1, a1*, a2, a2*, m, m*, q, p), in which the Langevin equations of Yu,
Shen, Li, Phys. Rev. Lett. 124, 213604 (2020), Eq. 2, stand as printed; real quadratures follow by
one unitary matrix. Frequencies and rates are angular ones in rad/us (2 pi times MHz), rates those
of amplitudes; time is in us. Fields rotate with the drive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]

TURN = 2.0 * math.pi
HBAR_OVER_K = 7.638232577e-12  # s K
LIGHT = 299_792_458.0
MAGNETIC = 1.25663706212e-6  # T m/A
GYROMAGNETIC = 28e9  # Hz/T
SPIN_DENSITY = 4.22e27  # 1/m^3

#: Damping (1/us) at which an unstable device is held, or half the phonon's if that is less: its
#: oscillation grows until the coupling is saturated to threshold, which is no linear state; what is
#: seen is the loud noise close to it.
LEAST_DAMPING = 1e-4


def quanta(hertz: float, kelvin: float) -> float:
    """Mean thermal quanta of a mode."""
    return 1.0 / math.expm1(min(700.0, TURN * hertz * HBAR_OVER_K / max(kelvin, 1e-6)))


@dataclass(frozen=True)
class Point:
    """Everything that the linear dynamics depends on; MHz over 2 pi, K."""

    detuning_1: float
    detuning_2: float
    detuning_m: float  # bare: the mean strain is not taken off
    kappa_1: float
    kappa_2: float
    kappa_m: float
    g_1: float
    g_2: float
    phonon: float
    damping: float
    kelvin: float
    drive_hz: float
    coupling: float = 0.0  # G


def driven(point: Point, milliwatts: float, single_hz: float, radius_m: float) -> Point:
    """The point with the coupling and the magnon shift that a drive power makes.

    x = |<m>|^2 solves x |i (Delta_m - s x) + kappa_m + sum g^2/(i Delta + kappa)|^2 = Omega^2 with
    s = G_0^2 / omega_b; of three roots the lowest, on which a drive that is turned up stays.
    """
    if milliwatts <= 0 or single_hz <= 0:
        return point
    field = math.sqrt(2.0 * MAGNETIC * 1e-3 * milliwatts / (LIGHT * math.pi * radius_m**2))
    spins = SPIN_DENSITY * 4.0 / 3.0 * math.pi * radius_m**3
    rabi = math.sqrt(5.0) / 4.0 * TURN * GYROMAGNETIC * math.sqrt(spins) * field * 1e-6  # rad/us
    rest = complex(point.kappa_m, 0.0)
    for detuning, kappa, g in (
        (point.detuning_1, point.kappa_1, point.g_1),
        (point.detuning_2, point.kappa_2, point.g_2),
    ):
        rest += g**2 / complex(kappa, detuning)
    rest, bare = TURN * rest, TURN * point.detuning_m
    shift = (TURN * single_hz * 1e-6) ** 2 / (TURN * point.phonon)
    # |rest + i (bare - shift x)|^2 x = rabi^2, in y = shift x
    a, b = bare + rest.imag, rest.real
    roots = np.roots([1.0, -2.0 * a, a**2 + b**2, -shift * rabi**2])
    real = roots[np.abs(roots.imag) < 1e-9 * max(1.0, float(np.abs(roots).max()))].real
    y = float(np.min(real))
    coupling = math.sqrt(2.0 * y / shift) * single_hz * 1e-6
    return replace(point, coupling=coupling, detuning_m=point.detuning_m - y / TURN)


def langevin(point: Point) -> Complex:
    """d/dt of (a1, a1*, a2, a2*, m, m*, q, p), per us."""
    p = point
    m = np.zeros((8, 8), dtype=complex)
    for row, detuning, kappa in (
        (0, p.detuning_1, p.kappa_1),
        (2, p.detuning_2, p.kappa_2),
        (4, p.detuning_m, p.kappa_m),
    ):
        m[row, row] = -complex(kappa, detuning)
        m[row + 1, row + 1] = -complex(kappa, -detuning)
    for row, g in ((0, p.g_1), (2, p.g_2)):
        m[row, 4] = m[4, row] = -1j * g
        m[row + 1, 5] = m[5, row + 1] = 1j * g
    half = p.coupling / math.sqrt(2.0)  # G_0 <m> is -i half
    m[4, 6], m[5, 6] = -half, -half
    m[7, 4], m[7, 5] = -1j * half, 1j * half
    m[6, 7], m[7, 6], m[7, 7] = p.phonon, -p.phonon, -p.damping
    return TURN * m


def _quadratures(pairs: int, rest: int = 0) -> Complex:
    """Unitary that turns (a, a*) into (X, Y) for `pairs` modes and leaves `rest` variables."""
    one = np.array([[1.0, 1.0], [-1j, 1j]]) / math.sqrt(2.0)
    size = 2 * pairs + rest
    u = np.eye(size, dtype=complex)
    for n in range(pairs):
        u[2 * n : 2 * n + 2, 2 * n : 2 * n + 2] = one
    return u


@dataclass(frozen=True)
class Outputs:
    """Real drift and diffusion (1/us) of the device with two output filters behind it.

    The last four quadratures are what the filters hold: the amplified output field of each cavity,
    with the amplifiers' noise, in one temporal mode.
    """

    drift: Real
    diffusion: Real


def outputs(point: Point, bandwidth: float, sideband: float, added: tuple[float, float]) -> Outputs:
    """The device seen through filters of amplitude rate `bandwidth` at +-`sideband` (MHz).

    `added` is the amplifiers' noise in quanta referred to the input. The amplifier's noise passes
    the filter like the field, so that successive records of both are alike correlated.
    """
    point = saturated(point)
    size = 12
    m = np.zeros((size, size), dtype=complex)
    m[:8, :8] = langevin(point)
    b = TURN * bandwidth
    for cavity, centre, kappa in ((0, sideband, point.kappa_1), (2, -sideband, point.kappa_2)):
        f = 8 + cavity
        m[f, f], m[f + 1, f + 1] = complex(-b, -TURN * centre), complex(-b, TURN * centre)
        m[f, cavity] = m[f + 1, cavity + 1] = math.sqrt(2.0 * b) * math.sqrt(2.0 * TURN * kappa)
    u = _quadratures(3)
    mixed = np.eye(size, dtype=complex)
    mixed[:6, :6] = u
    mixed[8:, 8:] = _quadratures(2)
    drift = (mixed @ m @ mixed.conj().T).real
    # Noise enters by channels: each couples one white noise into several variables.
    channels = []
    for cavity, kappa, detuning in (
        (0, point.kappa_1, point.detuning_1),
        (2, point.kappa_2, point.detuning_2),
    ):
        half = quanta(point.drive_hz + 1e6 * detuning, point.kelvin) + 0.5
        for n in range(2):
            into = np.zeros(size)
            into[cavity + n] = math.sqrt(2.0 * TURN * kappa)
            into[8 + cavity + n] = -math.sqrt(2.0 * b)
            channels.append(math.sqrt(half) * into)
            into = np.zeros(size)
            into[8 + cavity + n] = math.sqrt(2.0 * b * added[cavity // 2])
            channels.append(into)
    half = quanta(point.drive_hz + 1e6 * point.detuning_m, point.kelvin) + 0.5
    for n in (4, 5):
        into = np.zeros(size)
        into[n] = math.sqrt(2.0 * TURN * point.kappa_m * half)
        channels.append(into)
    into = np.zeros(size)
    into[7] = math.sqrt(
        2.0 * TURN * point.damping * (quanta(1e6 * point.phonon, point.kelvin) + 0.5)
    )
    channels.append(into)
    matrix = np.array(channels)
    diffusion = matrix.T @ matrix
    if point.coupling == 0.0:  # the phonon does nothing then, but it would be slow to follow
        keep = [0, 1, 2, 3, 4, 5, 8, 9, 10, 11]
        drift, diffusion = drift[np.ix_(keep, keep)], diffusion[np.ix_(keep, keep)]
    return Outputs(drift, diffusion)


def saturated(point: Point) -> Point:
    """The point itself if it is stable, else with the coupling at threshold."""
    least = min(LEAST_DAMPING, math.pi * point.damping)

    def grows(coupling: float) -> bool:
        here = replace(point, coupling=coupling)
        return float(np.linalg.eigvals(langevin(here)).real.max()) > -least

    if point.coupling == 0.0 or not grows(point.coupling):
        return point
    low, high = 0.0, point.coupling
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if grows(middle) else (middle, high)
    return replace(point, coupling=low)


def load_outputs(
    bandwidth: float, variance: tuple[float, float], added: tuple[float, float]
) -> Outputs:
    """White noise of `variance` (vacuum 1/2) instead of the cavities' fields, through the filters.

    In the frame of each filter's centre, in which white noise looks the same.
    """
    b = TURN * bandwidth
    strength = np.repeat([v + n for v, n in zip(variance, added, strict=True)], 2)
    return Outputs(-b * np.eye(4), 2.0 * b * np.diag(strength))


def reflection(point: Point, offsets_mhz: Real) -> Complex:
    """S parameters (n, 2, 2) of the cavities' ports for weak probes above the drive by offsets."""
    m = langevin(point)
    w = TURN * np.asarray(offsets_mhz, dtype=float)
    system = -1j * w[:, None, None] * np.eye(8) - m
    root = np.sqrt(2.0 * TURN * np.array([point.kappa_1, point.kappa_2]))
    source = np.zeros((8, 2))
    source[0, 0], source[2, 1] = root
    inside = np.linalg.solve(system, np.broadcast_to(source, (len(w), 8, 2)))
    return np.asarray(root[:, None] * inside[:, [0, 2], :] - np.eye(2))
