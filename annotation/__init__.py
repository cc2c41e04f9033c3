"""Labels: expression triplets from a crowd, kept in one SQLite file.

The path of a label is the path of the modules::

    reading -> importing (pool) -> index -> sampling -> proposals -> questions -> votes -> quality, export

A *question* shows a few images to one annotator: which of three is the odd one out, which of twelve
are like a target, or which of two clips matches an actor. An *answer* names the chosen places in the
question's canonical order; *shown* is the order on that annotator's screen. Rows are added and never
changed: an undo is a row too. Only :func:`annotation.store.forgetting.forget` removes anything.
"""
