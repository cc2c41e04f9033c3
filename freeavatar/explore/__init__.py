"""The expression space to walk around in: maps, neighbours, clusters, paths of clips, morphs.

Numbers alone: what is shown, and which images there are, is for :mod:`webapp.explore.tab` to say. Vectors are
embeddings of unit length, ``(N, 16)``; distances lie in [0, 2].
"""
