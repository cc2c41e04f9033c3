"""The Label admin tab."""
