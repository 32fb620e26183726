"""Gaussian states: covariance matrices, entanglement, and homodyne reconstruction.

Quadratures are ordered x1..xN, p1..pN and the vacuum has variance 1, so that a covariance matrix
V is physical if and only if V + i Omega has no negative eigenvalue.
"""

from labctl.analysis.gaussian.bootstrap import Bootstrap, bootstrap_errors
from labctl.analysis.gaussian.certificate import Certificate, certify_inseparability
from labctl.analysis.gaussian.homodyne import (
    Reconstruction,
    align_phases,
    covariance_from_variances,
    quadrature_direction,
)
from labctl.analysis.gaussian.metrology import (
    displacement_qfi,
    displacement_qfi_gradients,
    nullifier_direction,
    nullifier_variance,
)
from labctl.analysis.gaussian.planning import SweepValue, sweep_value
from labctl.analysis.gaussian.ppt import (
    bipartitions,
    duan_sum,
    log_negativity,
    ppt_gradient,
    ppt_values,
)
from labctl.analysis.gaussian.symplectic import (
    is_physical,
    nearest_physical,
    reduced,
    symplectic_eigenvalues,
    symplectic_form,
)

__all__ = [
    "Bootstrap",
    "Certificate",
    "Reconstruction",
    "SweepValue",
    "align_phases",
    "bipartitions",
    "bootstrap_errors",
    "certify_inseparability",
    "covariance_from_variances",
    "displacement_qfi",
    "displacement_qfi_gradients",
    "duan_sum",
    "is_physical",
    "log_negativity",
    "nearest_physical",
    "nullifier_direction",
    "nullifier_variance",
    "ppt_gradient",
    "ppt_values",
    "quadrature_direction",
    "reduced",
    "sweep_value",
    "symplectic_eigenvalues",
    "symplectic_form",
]
