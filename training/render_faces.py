"""Render faces with known rigs, cropped as the encoder sees real ones.

    python -m training.render_faces --avatars IDENTITIES --labels labels.csv --out DIR
    python -m training.render_faces --avatars freeavatar/avatars/assets --out /tmp/renders --count 24  # under a minute

Writes ``crops.npy`` (N, 144, 144) uint8 luma, ``rigs.npy`` (N, 52) float32 and ``avatars.json``
(name of the avatar of each crop).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import tyro
from tqdm import tqdm

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.glb import read_glb
from freeavatar.errors import InputError
from freeavatar.faces.align import CROP_SIZE, align_matrix
from freeavatar.render import Camera, Look, Renderer
from freeavatar.render.renderer import Color, head_matrix
from freeavatar.rig import ARKIT
from training.faces_data import read_silver_labels
from training.sampling import RigSampler, draw_head, draw_lighting

FRAME = 512
"""Side of the loose pictures the crops are cut from, in pixels."""


@dataclass(frozen=True)
class RenderConfig:
    """What to render."""

    avatars: Path
    """Folder of GLB files with ARKit names and landmarks in ``asset.extras``."""
    out: Path
    """Folder of the result."""
    labels: Path | None = None
    """labels.csv of the faces whose silver rigs are re-enacted; default: single shapes only."""
    count: int = 36_000
    """Number of crops."""
    jitter: float = 1.0
    """Standard deviation of the error of the landmarks, in crop pixels."""
    is_natural: bool = False
    """Natural expressions and moderate poses, for measuring."""
    seed: int = 0
    color: bool = False
    """Write ``frames.npy`` (N, 512, 512, 3) RGB as well: loose pictures a face tracker can be run on."""

    def __post_init__(self) -> None:
        if not list(self.avatars.glob("*.glb")):
            raise ValueError(f"{self.avatars} holds no .glb file, expected baked identities")


class FaceRenderer:
    """Renders crops of one avatar."""

    def __init__(self, avatar: Avatar) -> None:
        if avatar.landmarks is None or not avatar.is_arkit:
            raise InputError(f"{avatar.path} lacks landmarks or ARKit names: bake it with tools.bake_avatars.")
        self.avatar = avatar
        self.renderer = Renderer(avatar)
        self._order = [avatar.target_names.index(name) for name in ARKIT]
        self._rest = avatar.landmarks
        nearest = np.linalg.norm(avatar.positions[:, None] - self._rest[2:], axis=2).argmin(0)
        self._moves = avatar.target_positions[self._order][:, nearest]

    def render(self, rig: np.ndarray, rng: np.random.Generator, config: RenderConfig) -> tuple[np.ndarray, np.ndarray]:
        """One crop of one rig.

        Returns:
            Luma ``(144, 144)`` and, if ``config.color``, RGB ``(512, 512, 3)``, both uint8.
        """
        head = draw_head(rng) * (0.7 if config.is_natural else 1.0)
        points = self._rest.copy()
        points[2:] += np.tensordot(rig, self._moves, axes=1)
        points = (points - self.avatar.head_pivot) @ head_matrix(head).T + self.avatar.head_pivot
        camera = Camera((0.0, float(points[:, 1].mean()), float(points[:, 2].mean())), 0.42, rng.uniform(12, 40))
        clip = np.c_[points, np.ones(5)] @ camera.matrix().T
        frame = (clip[:, :2] / clip[:, 3:] + 1) / 2 * FRAME
        affine = align_matrix(frame)
        noise = rng.normal(0, config.jitter, (5, 2)) @ np.linalg.inv(affine[:, :2]).T
        look = Look((CROP_SIZE, CROP_SIZE), draw_lighting(rng), _background(rng), 2)
        weights = np.zeros((1, len(self.avatar.target_names)), np.float32)
        weights[0, self._order] = rig
        pose: dict[str, Any] = dict(head=head[None].astype(np.float32), camera=camera)
        crop = self.renderer.render(
            torch.from_numpy(weights), look=look, view=_crop_view(align_matrix(frame + noise)), **pose
        )
        picture = np.empty(0)
        if config.color:
            loose = Look((FRAME, FRAME), look.lighting, look.background, 2)
            picture = _to_uint8(self.renderer.render(torch.from_numpy(weights), look=loose, **pose))
        return cv2.cvtColor(_to_uint8(crop), cv2.COLOR_RGB2GRAY), picture


def _background(rng: np.random.Generator) -> tuple[Color, Color]:
    """A vertical ramp of two nearly grey colours."""
    top, bottom = np.clip(rng.uniform(0, 1, (2, 1)) + rng.normal(0, 0.05, (2, 3)), 0, 1).tolist()
    return tuple(top), tuple(bottom)


def _to_uint8(images: torch.Tensor) -> np.ndarray:
    return (images[0].permute(1, 2, 0).numpy() * 255 + 0.5).astype(np.uint8)


def _crop_view(affine: np.ndarray) -> np.ndarray:
    """Clip-space matrix ``(1, 4, 4)`` that does to the picture what ``affine`` does to a frame in pixels."""
    view = np.eye(4)
    view[:2, :2] = affine[:, :2] * FRAME / CROP_SIZE
    centre = affine @ [FRAME / 2, FRAME / 2, 1]
    view[:2, 3] = centre / CROP_SIZE * 2 - 1
    return view[None]


def render_faces(config: RenderConfig) -> None:
    """Render ``config.count`` crops, the avatars in turn, into ``config.out``."""
    rng = np.random.default_rng(config.seed)
    seen = np.zeros((1, len(ARKIT)), np.float32) if config.labels is None else read_silver_labels(config.labels)
    sampler = RigSampler(seen, is_natural=config.is_natural)
    paths = sorted(config.avatars.glob("*.glb"))
    config.out.mkdir(parents=True, exist_ok=True)
    crops = np.lib.format.open_memmap(config.out / "crops.npy", "w+", np.uint8, (config.count, CROP_SIZE, CROP_SIZE))
    frames = None
    if config.color:
        frames = np.lib.format.open_memmap(config.out / "frames.npy", "w+", np.uint8, (config.count, FRAME, FRAME, 3))
    rigs, names = np.zeros((config.count, len(ARKIT)), np.float32), []
    progress = tqdm(total=config.count)
    for k, path in enumerate(paths):
        face = FaceRenderer(read_glb(path))
        for i in range(k * config.count // len(paths), (k + 1) * config.count // len(paths)):
            rigs[i] = sampler.draw(rng)
            crops[i], picture = face.render(rigs[i], rng, config)
            if frames is not None:
                frames[i] = picture
            names.append(path.stem)
            progress.update()
    np.save(config.out / "rigs.npy", rigs)
    (config.out / "avatars.json").write_text(json.dumps(names))


if __name__ == "__main__":
    torch.set_num_threads(1)
    render_faces(tyro.cli(RenderConfig, description=__doc__))
