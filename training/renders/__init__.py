"""Faces and portraits drawn with known rigs."""
