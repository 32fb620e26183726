"""Pure functions of arrays: Gaussian states, time tags, keys. A leaf: imports no project code."""
