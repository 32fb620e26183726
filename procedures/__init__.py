"""Procedures: one file per measurement."""
