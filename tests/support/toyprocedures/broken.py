"""A module that cannot be imported."""

raise RuntimeError("somebody was interrupted while editing")
