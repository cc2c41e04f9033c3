"""Which question comes next, and what becomes of its answer."""
