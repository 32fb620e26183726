"""A 10 kilo-ohm NTC thermistor: temperature from resistance and back (Steinhart-Hart)."""

from __future__ import annotations

import math

A, B, C = 1.129148e-3, 2.34125e-4, 8.76741e-8  # 1/K, with the resistance in ohm
ZERO_CELSIUS = 273.15  # K


def celsius(ohm: float) -> float:
    """Temperature (degC) of a resistance (ohm): 1/T = A + B ln R + C ln^3 R."""
    log = math.log(ohm)
    return 1.0 / (A + B * log + C * log**3) - ZERO_CELSIUS


def ohms(temperature: float) -> float:
    """Resistance (ohm) at a temperature (degC); the inverse of `celsius` in closed form."""
    x = (A - 1.0 / (temperature + ZERO_CELSIUS)) / C
    y = math.sqrt((B / (3.0 * C)) ** 3 + x * x / 4.0)
    return math.exp(math.cbrt(y - x / 2.0) - math.cbrt(y + x / 2.0))
