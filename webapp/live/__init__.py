"""The live part of the Animate tab."""
