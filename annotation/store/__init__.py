"""The SQLite file, its rows, and what keeps it whole; the lowest of the folders."""
