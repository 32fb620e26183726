"""Procedures of the toy bench as a laboratory would have them, also broken ones."""
