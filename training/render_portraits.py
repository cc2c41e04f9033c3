"""Render avatars' faces from the front with known controls: what the neural renderer learns to draw.

    python -m training.render_portraits --avatars IDENTITIES --labels labels.csv --out DIR
    python -m training.render_portraits --out /tmp/portraits --each-cast 4  # under a minute

Writes ``pictures.npy`` (N, 112, 112, 3) uint8, ``weights.npy`` (N, 52) float16 (of the avatar's own controls, padded
with zeros), ``avatars.npy`` (N,) int32 into the list of ``avatars.json``, and of every avatar ``neutral.npy``
(A, 112, 112, 3) uint8 and ``regions.npy`` (A, 112, 112) bool: its mouth and eyes, projected from the mesh. The avatars
are those of the cast and those of the folders.
"""

import torch
import tyro

from training.engine.loop import enter
from training.renders.portraits import PortraitConfig, render_portraits

if __name__ == "__main__":
    torch.set_num_threads(1)
    enter(lambda: render_portraits(tyro.cli(PortraitConfig, description=__doc__)))
