"""The images that are asked about: read, imported, rendered, and held in memory as an index."""
