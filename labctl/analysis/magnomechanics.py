"""Two microwave cavities, a magnon and a phonon: what the linear theory says about them.

Frequencies and rates are angular ones over 2 pi, in MHz; a rate is that of the amplitude, so a
cavity's resonance is 2 kappa wide. Quadratures are X = (a + a')/sqrt 2, Y = i (a' - a)/sqrt 2, in
the order X1, Y1, X2, Y2, x, y (magnon), q, p (phonon), the vacuum has variance 1/2, and fields
rotate with the drive: a mode of detuning D turns as exp(-i D t).

Source: Yu, Shen, Li, Phys. Rev. Lett. 124, 213604 (2020); equation numbers below are theirs.
Fields of a device may be arrays, which broadcast; results then have as many leading axes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from labctl.analysis.lyapunov import growth_rate, is_positive, steady_state

Array = NDArray[np.float64]

PLANCK = 6.62607015e-34  # J s
BOLTZMANN = 1.380649e-23  # J/K
LIGHT = 299_792_458.0  # m/s
MAGNETIC = 4e-7 * math.pi  # T m/A
GYROMAGNETIC = 28.0  # GHz/T
SPIN_DENSITY = 4.22e27  # 1/m^3, yttrium iron garnet

MODES = 8
CAVITIES = slice(0, 4)


@dataclass(frozen=True)
class Device:
    """A working point. Defaults are the publication's, with which Fig. 2a is drawn."""

    detuning_1: Any = 10.0  # MHz, cavity 1 above the drive
    detuning_2: Any = -10.0
    detuning_m: Any = 9.0  # magnon, shift by the mean strain included
    coupling: Any = 4.5  # G, drive-enhanced magnon-phonon coupling
    kappa_1: Any = 1.0
    kappa_2: Any = 1.0
    kappa_m: Any = 1.0
    g_1: Any = 3.8  # cavity-magnon couplings
    g_2: Any = 3.8
    phonon: Any = 10.0
    damping: Any = 1e-4  # of the phonon
    temperature: Any = 20.0  # mK, of all baths
    magnon: Any = 10_000.0  # frequency for its bath

    def shape(self) -> tuple[int, ...]:
        """The common shape of all fields."""
        return np.broadcast_shapes(*(np.shape(getattr(self, f.name)) for f in fields(self)))

    def with_(self, **changes: Any) -> Device:
        """The same device with other values."""
        return replace(self, **changes)


def occupation(frequency: ArrayLike, temperature: ArrayLike) -> Array:
    """Mean thermal quanta of a mode at `frequency` (MHz) and `temperature` (mK)."""
    hot = np.maximum(np.asarray(temperature, dtype=float), 1e-9)
    ratio = PLANCK * 1e6 * np.asarray(frequency, dtype=float) / (BOLTZMANN * 1e-3 * hot)
    return np.asarray(1.0 / np.expm1(np.minimum(ratio, 700.0)))


def drift(device: Device) -> Array:
    """The drift matrix A of Eq. 6, in MHz (times 2 pi gives 1/us)."""
    d = device
    a = np.zeros((*d.shape(), MODES, MODES))
    for c, detuning, kappa, g in (
        (0, d.detuning_1, d.kappa_1, d.g_1),
        (2, d.detuning_2, d.kappa_2, d.g_2),
        (4, d.detuning_m, d.kappa_m, None),
    ):
        a[..., c, c] = a[..., c + 1, c + 1] = -np.asarray(kappa)
        a[..., c, c + 1] = detuning
        a[..., c + 1, c] = -np.asarray(detuning)
        if g is not None:  # beam splitter with the magnon: X_c <- y, Y_c <- -x, and back
            a[..., c, 5] = a[..., 4, c + 1] = g
            a[..., c + 1, 4] = a[..., 5, c] = -np.asarray(g)
    a[..., 4, 6] = -np.asarray(d.coupling)
    a[..., 7, 5] = d.coupling
    a[..., 6, 7] = d.phonon
    a[..., 7, 6] = -np.asarray(d.phonon)
    a[..., 7, 7] = -np.asarray(d.damping)
    return a


def diffusion(device: Device) -> Array:
    """The diagonal of the diffusion matrix of Eq. 8, in MHz."""
    d = device
    result = np.zeros((*d.shape(), MODES))
    drive = np.asarray(d.magnon) - np.asarray(d.detuning_m)
    for c, kappa, frequency in (
        (0, d.kappa_1, drive + d.detuning_1),
        (2, d.kappa_2, drive + d.detuning_2),
        (4, d.kappa_m, d.magnon),
    ):
        noise = np.asarray(kappa) * (2.0 * occupation(frequency, d.temperature) + 1.0)
        result[..., c] = result[..., c + 1] = noise
    phonons = occupation(d.phonon, d.temperature)
    result[..., 7] = np.asarray(d.damping) * (2.0 * phonons + 1.0)
    return result


def covariance(device: Device) -> Array:
    """The steady state (Eq. 8), shape (..., 8, 8); NaN where there is none."""
    noise = diffusion(device)
    found = steady_state(drift(device), noise[..., None] * np.eye(MODES))
    return np.where(is_positive(found)[..., None, None], found, np.nan)


def growth(device: Device) -> Array:
    """Largest real part of the drift's eigenvalues in MHz; positive: unstable."""
    return growth_rate(drift(device))


def signed_negativity(cov: ArrayLike) -> Array:
    """-ln 2 nu of two modes (X1, Y1, X2, Y2; vacuum 1/2): E_N where positive (Eq. 9).

    nu^2 is the smaller root of nu^4 - S nu^2 + det V = 0, S = det V1 + det V2 - 2 det V12: for two
    modes the partial transpose only changes the sign of det V12.
    """
    v = np.asarray(cov, dtype=float)
    one, two, both = v[..., :2, :2], v[..., 2:4, 2:4], v[..., :2, 2:4]
    s = _det2(one) + _det2(two) - 2.0 * _det2(both)
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN stands for an unstable device
        whole = np.linalg.det(v[..., :4, :4])
        root = np.sqrt(np.maximum(s**2 - 4.0 * whole, 0.0))
        smaller = 2.0 * whole / (s + root)  # no cancellation
        return np.asarray(-0.5 * np.log(4.0 * smaller))


def _det2(m: Array) -> Array:
    return np.asarray(m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0])


def entanglement(device: Device) -> Array:
    """E_N of the fields inside the cavities; NaN where the device is unstable."""
    signed = signed_negativity(covariance(device)[..., CAVITIES, CAVITIES])
    return np.asarray(np.maximum(signed, 0.0))


def duan(cov: ArrayLike) -> Array:
    """Var(X1 + X2) + Var(Y1 - Y2), vacuum 1/2; below 2 only if entangled (Eq. 10)."""
    v = np.asarray(cov, dtype=float)
    total = np.trace(v[..., :4, :4], axis1=-2, axis2=-1)
    return np.asarray(total + 2.0 * v[..., 0, 2] - 2.0 * v[..., 1, 3])


def best_duan(cov: ArrayLike) -> Array:
    """The least that `duan` can be made by choosing the phases of both local oscillators.

    Turning the oscillators turns the anomalous correlation <a1 a2> alone, so it is the trace less
    twice |V_X1X2 - V_Y1Y2 + i (V_X1Y2 + V_Y1X2)|.
    """
    v = np.asarray(cov, dtype=float)
    total = np.trace(v[..., :4, :4], axis1=-2, axis2=-1)
    pair = np.hypot(v[..., 0, 2] - v[..., 1, 3], v[..., 0, 3] + v[..., 1, 2])
    return np.asarray(total - 2.0 * pair)


def phonon_number(cov: ArrayLike) -> Array:
    """Mean phonons of the mechanical mode."""
    v = np.asarray(cov, dtype=float)
    return np.asarray((v[..., 6, 6] + v[..., 7, 7] - 1.0) / 2.0)


# ---------------------------------------------------------------- output fields


def output_covariance(device: Device, bandwidth: ArrayLike, sideband: ArrayLike = 10.0) -> Array:
    """Covariance (..., 4, 4) of one temporal mode of each cavity's output field.

    The mode is what a single-pole filter of amplitude rate `bandwidth` (MHz) at +-`sideband` (MHz;
    or a pair of centres) passes of a_out = sqrt(2 kappa) a - a_in. With the filter as a fifth and
    a sixth mode the whole is linear again, and one more Lyapunov equation gives its steady state.
    """
    d = device
    centres = np.asarray(sideband, dtype=float)
    first, second = (centres, -centres) if centres.ndim == 0 else (centres[0], centres[1])
    b = np.asarray(bandwidth, dtype=float)
    shape = np.broadcast_shapes(d.shape(), b.shape)
    size = MODES + 4
    a = np.zeros((*shape, size, size))
    noise = np.zeros((*shape, size, size))
    a[..., :MODES, :MODES] = drift(d)
    strength = diffusion(d)
    for n in range(MODES):
        noise[..., n, n] = strength[..., n]
    for c, kappa, centre in ((0, d.kappa_1, first), (2, d.kappa_2, second)):
        f = MODES + c
        rate = np.asarray(kappa, dtype=float)
        vacuum = strength[..., c] / (2.0 * rate)  # N + 1/2 of what comes in
        a[..., f, f] = a[..., f + 1, f + 1] = -b
        a[..., f, f + 1], a[..., f + 1, f] = centre, -centre
        for n in range(2):
            a[..., f + n, c + n] = np.sqrt(4.0 * b * rate)
            noise[..., f + n, f + n] = 2.0 * b * vacuum
            # The same incoming noise drives the cavity and is reflected into the filter.
            shared = -np.sqrt(4.0 * b * rate) * vacuum
            noise[..., f + n, c + n] = noise[..., c + n, f + n] = shared
    found = steady_state(a, noise)
    stable = is_positive(found[..., :MODES, :MODES])
    return np.where(stable[..., None, None], found[..., MODES:, MODES:], np.nan)


def scattering(device: Device, probe: ArrayLike) -> NDArray[np.complex128]:
    """S parameters (..., len(probe), 2, 2) of the cavities' ports at `probe` (MHz) from the drive.

    For amplitudes exp(-i w t) the Langevin equations (Eq. 2, linearised) can be solved one mode
    after the other: cavities into the magnon, the magnon and its conjugate into the phonon.
    """
    d = device
    w = np.asarray(probe, dtype=float)

    def field(value: Any) -> Array:
        return np.asarray(value, dtype=float)[..., None]

    kappa = (field(d.kappa_1), field(d.kappa_2))
    g = (field(d.g_1), field(d.g_2))
    detuning = (field(d.detuning_1), field(d.detuning_2))
    cavity = [k + 1j * (x - w) for k, x in zip(kappa, detuning, strict=True)]
    mirror = [k - 1j * (x + w) for k, x in zip(kappa, detuning, strict=True)]
    magnon = field(d.kappa_m) + 1j * (field(d.detuning_m) - w)
    image = field(d.kappa_m) - 1j * (field(d.detuning_m) + w)
    for n in range(2):
        magnon = magnon + g[n] ** 2 / cavity[n]
        image = image + g[n] ** 2 / mirror[n]
    phonon = field(d.phonon) / (field(d.phonon) ** 2 - w**2 - 1j * w * field(d.damping))
    half = 0.5j * field(d.coupling) ** 2 * phonon
    # q = -i G phonon (m - m')/sqrt 2 and m = (s - G q/sqrt 2)/magnon, m' = -(G q/sqrt 2)/image
    response = (1.0 + half / magnon / (1.0 - half * (1.0 / magnon - 1.0 / image))) / magnon
    shape = np.broadcast_shapes(response.shape, w.shape)
    result = np.empty((*shape, 2, 2), dtype=complex)
    for j in range(2):
        for k in range(2):
            into = -1j * g[k] * np.sqrt(2.0 * kappa[k]) / cavity[k]
            inside = -1j * g[j] * response * into / cavity[j]
            if j == k:
                inside = inside + np.sqrt(2.0 * kappa[j]) / cavity[j]
            result[..., j, k] = np.sqrt(2.0 * kappa[j]) * inside - (1.0 if j == k else 0.0)
    return result


# ---------------------------------------------------------------- drive


def spins(radius: float) -> float:
    """Number of spins of a sphere of yttrium iron garnet of `radius` m."""
    return SPIN_DENSITY * 4.0 / 3.0 * math.pi * radius**3


def impedance(device: Device, simplified: bool = False) -> NDArray[np.complex128]:
    """Omega over <m> in MHz (Eq. 3), or without losses (Eq. 4)."""
    d = device
    keep = 0.0 if simplified else 1.0
    total = 1j * np.asarray(d.detuning_m) + keep * np.asarray(d.kappa_m)
    for detuning, kappa, g in ((d.detuning_1, d.kappa_1, d.g_1), (d.detuning_2, d.kappa_2, d.g_2)):
        total = total + np.asarray(g) ** 2 / (1j * np.asarray(detuning) + keep * np.asarray(kappa))
    return np.asarray(total)


def drive_power(
    device: Device, single: float, radius: float = 125e-6, simplified: bool = False
) -> Array:
    """Power (mW) at the sphere that gives `device.coupling`, with `single` = G_0 in Hz."""
    magnons = np.asarray(device.coupling) * 1e6 / (math.sqrt(2.0) * single)
    rabi = 2e6 * math.pi * magnons * np.abs(impedance(device, simplified))
    field = rabi / (math.sqrt(5.0) / 4.0 * 2e9 * math.pi * GYROMAGNETIC * math.sqrt(spins(radius)))
    return np.asarray(1e3 * field**2 / (2.0 * MAGNETIC) * LIGHT * math.pi * radius**2)


def strain_shift(coupling: ArrayLike, phonon: ArrayLike = 10.0) -> Array:
    """By how much (MHz) the mean strain lowers the magnon's detuning: G^2 / (2 omega_b)."""
    return np.asarray(np.asarray(coupling, dtype=float) ** 2 / (2.0 * np.asarray(phonon)))


# ---------------------------------------------------------------- what a measurement can tell


def negativity_gradient(cov: ArrayLike) -> Array:
    """K = dE_N/dV of a 4 x 4 matrix, symmetric, by central differences."""
    v = np.asarray(cov, dtype=float)
    step = 1e-5
    shifts = step * np.eye(16).reshape(16, 4, 4)
    shifts = (shifts + np.swapaxes(shifts, 1, 2)) / 2.0
    slope = (signed_negativity(v + shifts) - signed_negativity(v - shifts)) / (2.0 * step)
    return np.asarray(slope.reshape(4, 4))


def negativity_spread(cov: ArrayLike, added: float) -> float:
    """sqrt(N) times the standard deviation of E_N estimated from N heterodyne records.

    The records have the covariance V + `added` (quanta of amplifier noise, at least 1/2), known
    but for their scatter: 2 tr(K S K S).
    """
    v = np.asarray(cov, dtype=float)
    product = negativity_gradient(v) @ (v + added * np.eye(4))
    return float(np.sqrt(2.0 * np.trace(product @ product)))
