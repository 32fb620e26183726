"""Worlds: plain Python that composes models into one experiment."""
