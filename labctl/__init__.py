"""labctl runs a quantum-optics laboratory: bench, simulation and replay behind one interface."""

import os

# Linear algebra here is many small matrices: more than one BLAS thread slows it down (fortyfold on
# a busy machine) and makes the last bits of a result depend on the number of cores. Only what is
# set before numpy is imported counts; whoever has set it already knows better.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
