"""Figures with their intervals, on held-out data."""
