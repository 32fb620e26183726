"""Measuring again what publications print: descriptions, runs, comparison, report."""
