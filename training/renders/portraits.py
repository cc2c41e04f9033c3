"""Portraits of avatars with known controls: what ``training.render_portraits`` writes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from freeavatar.avatars import Avatar, builtin_avatars, load_avatar
from freeavatar.errors import InputError
from freeavatar.models import PORTRAIT_SIZE
from freeavatar.render import Renderer
from freeavatar.render.face_view import FaceView
from freeavatar.rig import ARKIT
from training.data.labelled_faces import read_rigs
from training.data.rigs import RigSampler
from training.renders.workers import in_workers

EYES = ("eyeBlinkLeft", "eyeBlinkRight", "eyeWideLeft", "eyeWideRight")
MOUTH = ("mouthFunnel", "mouthPucker", "mouthClose", "mouthSmileLeft", "mouthSmileRight")
OWN_SHARE = 0.4
"""Share of the pictures of an avatar without ARKit's controls whose controls are drawn one by one."""


@dataclass(frozen=True)
class PortraitConfig:
    """What to render."""

    out: Path
    """Folder of the result."""
    avatars: tuple[Path, ...] = ()
    """Folders of GLB files."""
    labels: Path | None = None
    """labels.csv of the faces whose rigs are re-enacted; default: single shapes only."""
    each: int = 64
    """Pictures of each avatar of the folders."""
    each_cast: int = 450
    """Pictures of each avatar of the cast."""
    seed: int = 0
    workers: int = 1
    """Processes that render; the pictures do not depend on their number."""

    def __post_init__(self) -> None:
        for folder in self.avatars:
            if not list(folder.glob("*.glb")):
                raise ValueError(f"{folder} holds no .glb file, expected baked identities")


def draw_controls(avatar: Avatar, sampler: RigSampler, rng: np.random.Generator) -> np.ndarray:
    """Weights of an avatar's own controls, ``(K,)`` in [0, 1]: of a rig, or a few drawn one by one."""
    if not avatar.is_arkit and rng.uniform() < OWN_SHARE:
        weights = np.zeros(len(avatar.target_names), np.float32)
        chosen = rng.choice(len(weights), min(len(weights), int(rng.integers(1, 5))), replace=False)
        weights[chosen] = rng.uniform(0.2, 1, len(chosen))
        return weights
    return avatar.control_weights(sampler.draw(rng)[None])[0]


def render_portraits(config: PortraitConfig) -> None:
    """Render everything into ``config.out``."""
    rng = np.random.default_rng(config.seed)
    seen = np.zeros((1, len(ARKIT)), np.float32) if config.labels is None else np.nan_to_num(read_rigs(config.labels))
    sampler = RigSampler(seen)
    avatars: list[tuple[str | Path, int]] = [(name, config.each_cast) for name in builtin_avatars()]
    avatars += [(path, config.each) for folder in config.avatars for path in sorted(folder.glob("*.glb"))]
    total = sum(each for _, each in avatars)
    config.out.mkdir(parents=True, exist_ok=True)
    shape = (PORTRAIT_SIZE, PORTRAIT_SIZE)
    pictures = np.lib.format.open_memmap(config.out / "pictures.npy", "w+", np.uint8, (total, *shape, 3))
    weights, owners = np.zeros((total, len(ARKIT)), np.float16), np.zeros(total, np.int32)
    neutral = np.zeros((len(avatars), *shape, 3), np.uint8)
    regions = np.zeros((len(avatars), *shape), bool)
    names: list[str] = []

    def draw() -> Iterator[tuple[str | Path, np.ndarray]]:
        for source, each in avatars:
            avatar = load_avatar(source)
            if isinstance(source, Path) and not avatar.is_arkit:
                raise InputError("{} lacks ARKit's names: bake identities with tools.bake_avatars.", source)
            names.append(avatar.name)
            controls.append(np.stack([draw_controls(avatar, sampler, rng) for _ in range(each)]))
            yield source, controls[-1]

    controls: list[np.ndarray] = []
    row = 0
    for index, made in enumerate(tqdm(in_workers(_portray, draw(), config.workers), total=len(avatars), disable=None)):
        own, count = controls[index], len(made[2])
        neutral[index], regions[index] = made[0], made[1]
        pictures[row : row + count], weights[row : row + count, : own.shape[1]] = made[2], own
        owners[row : row + count] = index
        row += count
    np.save(config.out / "weights.npy", weights)
    np.save(config.out / "avatars.npy", owners)
    np.save(config.out / "neutral.npy", neutral)
    np.save(config.out / "regions.npy", regions)
    (config.out / "avatars.json").write_text(json.dumps(names))


def _portray(task: tuple[str | Path, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An avatar's neutral face, its mouth and eyes, and its face with controls."""
    source, drawn = task
    view = FaceView(Renderer(load_avatar(source)), PORTRAIT_SIZE)
    return (
        view.neutral(),
        view.region(EYES) | view.region(MOUTH),
        np.stack([view.picture(controls) for controls in drawn]),
    )
