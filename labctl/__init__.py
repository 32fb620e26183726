"""labctl runs a quantum-optics laboratory: bench, simulation and replay behind one interface."""

__version__ = "0.1.0"
