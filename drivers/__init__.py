"""Driver classes: one file per instrument, properties and methods in physical units."""
