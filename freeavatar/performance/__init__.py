"""Curves in, curves out: plain numpy."""
