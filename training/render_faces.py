"""Render faces with known rigs, cropped as the encoder sees real ones.

    python -m training.render_faces --avatars IDENTITIES --labels labels.csv --out DIR
    python -m training.render_faces --avatars IDENTITIES --labels labels.csv --out RARE --count 14500 --is-rare
    python -m training.render_faces --avatars IDENTITIES --labels labels.csv --out PAIRS --repeats 4 --sides
    python -m training.render_faces --avatars IDENTITIES --labels labels.csv --out ACTED --is-reenactment
    python -m training.render_faces --avatars freeavatar/avatars/assets --out /tmp/renders --count 24  # under a minute

Writes ``crops.npy`` (N, 144, 144) uint8 luma, ``rigs.npy`` (N, 52) float32, ``avatars.json`` (name of the avatar
of each crop) and ``expressions.npy`` (N,) int32: crops of one number show the same rig. ``--repeats`` puts every
rig on several avatars; with ``--sides`` rigs are one-sided and come with their mirror images and symmetric forms, for
comparisons that tell left from right. ``--is-reenactment`` renders the silver rigs of the labelled faces themselves,
whose files ``files.json`` then names.
"""

import torch
import tyro

from training.engine.loop import enter
from training.renders.faces import RenderConfig, render_faces

if __name__ == "__main__":
    torch.set_num_threads(1)
    enter(lambda: render_faces(tyro.cli(RenderConfig, description=__doc__)))
