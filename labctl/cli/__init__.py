"""The command line; `main` is the entry point."""

from __future__ import annotations


def main() -> int:
    raise SystemExit("under construction")
