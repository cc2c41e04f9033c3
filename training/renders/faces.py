"""Faces with known rigs, cropped as the encoder sees real ones: what ``training.render_faces`` writes."""

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.glb import read_glb
from freeavatar.errors import InputError
from freeavatar.faces.align import CROP_SIZE, align_matrix, transform_points
from freeavatar.render import Camera, Lighting, Look, Renderer
from freeavatar.render.look import Color, head_matrix
from freeavatar.rig import ARKIT, mirrored
from training.data.labelled_faces import read_rigs, read_rows
from training.data.rigs import RigSampler, draw_head, draw_lighting, draw_wide_head, one_sided, symmetric
from training.renders.props import Props, draw_props, put_on
from training.renders.workers import in_workers

logger = logging.getLogger(__name__)

FRAME = 512
"""Side of the loose pictures the crops are cut from, in pixels."""
_PART = 64
"""Crops that a process renders at a time."""


@dataclass(frozen=True)
class RenderConfig:
    """What to render."""

    avatars: Path
    """Folder of GLB files with ARKit names and landmarks in ``asset.extras``."""
    out: Path
    """Folder of the result."""
    labels: Path | None = None
    """labels.csv of the faces whose rigs are re-enacted; default: single shapes only."""
    count: int = 36_000
    """Number of crops."""
    jitter: float = 1.0
    """Standard deviation of the error of the landmarks, in crop pixels."""
    is_natural: bool = False
    """Natural expressions and moderate poses, for measuring."""
    is_rare: bool = False
    """Natural expressions with two to four rare shapes on each."""
    seed: int = 0
    color: bool = False
    """Write ``frames.npy`` (N, 512, 512, 3) RGB as well: loose pictures a face tracker can be run on."""
    repeats: int = 1
    """Avatars that show each rig."""
    sides: bool = False
    """Rigs come in threes: one with shapes on one side alone, its mirror image, and its symmetric form."""
    is_reenactment: bool = False
    """Render the rigs of the train split themselves, of ``count`` faces drawn at random or of all."""
    workers: int = 1
    """Processes that render; the pictures do not depend on their number."""

    def __post_init__(self) -> None:
        avatars = len(list(self.avatars.glob("*.glb")))
        if not avatars:
            raise ValueError(f"{self.avatars} holds no .glb file, expected baked identities")
        if not 1 <= self.repeats <= avatars:
            raise ValueError(f"repeats is {self.repeats}, expected 1 to the number of avatars, {avatars}")
        if self.is_reenactment and (self.labels is None or self.sides or self.is_rare or self.repeats > 1):
            raise ValueError("is_reenactment needs labels, and neither sides, is_rare nor repeats")


@dataclass(frozen=True)
class Shot:
    """A rig, and all that is random about its picture."""

    rig: np.ndarray
    """``(52,)``."""
    head: np.ndarray
    """Pitch, yaw and roll in degrees, ``(3,)``."""
    lens: float
    """Vertical angle of view, in degrees."""
    slip: np.ndarray
    """Error of the landmarks, in crop pixels, ``(5, 2)``."""
    lighting: Lighting
    background: tuple[Color, Color]
    props: Props = field(default_factory=Props)


def draw_shot(rig: np.ndarray, rng: np.random.Generator, config: RenderConfig) -> Shot:
    """Draw pose, lens, errors of the landmarks, light and background for a rig."""
    head = 0.7 * draw_head(rng) if config.is_natural else draw_wide_head(rng)
    lens, slip = rng.uniform(12, 40), rng.normal(0, config.jitter, (5, 2))
    lighting, background = draw_lighting(rng), _background(rng)
    return Shot(rig, head, lens, slip, lighting, background, Props() if config.is_natural else draw_props(rng))


class FaceRenderer:
    """Renders crops of one avatar."""

    def __init__(self, avatar: Avatar) -> None:
        if avatar.landmarks is None or not avatar.is_arkit:
            raise InputError("{} lacks landmarks or ARKit names: bake it with tools.bake_avatars.", avatar.path)
        self.avatar = avatar
        self.renderer = Renderer(avatar)
        self._order = [avatar.target_names.index(name) for name in ARKIT]
        self._rest = avatar.landmarks
        nearest = np.linalg.norm(avatar.positions[:, None] - self._rest[2:], axis=2).argmin(0)
        self._moves = avatar.target_positions[self._order][:, nearest]

    def render(self, shot: Shot, *, has_frame: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """One crop.

        Returns:
            Luma ``(144, 144)`` and, if ``has_frame``, RGB ``(512, 512, 3)``, both uint8.
        """
        rig, head = shot.rig, shot.head
        points = self._rest.copy()
        points[2:] += np.tensordot(rig, self._moves, axes=1)
        points = (points - self.avatar.head_pivot) @ head_matrix(head).T + self.avatar.head_pivot
        camera = Camera((0.0, float(points[:, 1].mean()), float(points[:, 2].mean())), 0.42, shot.lens)
        clip = np.c_[points, np.ones(5)] @ camera.matrix().T
        frame = (clip[:, :2] / clip[:, 3:] + 1) / 2 * FRAME
        affine = align_matrix(frame)
        noise = shot.slip @ np.linalg.inv(affine[:, :2]).T
        weights = np.zeros(len(self.avatar.target_names), np.float32)
        weights[self._order] = rig
        view = _crop_view(align_matrix(frame + noise))
        look = Look((CROP_SIZE, CROP_SIZE), shot.lighting, shot.background)
        crop = self.renderer.picture(weights, head, look=look, camera=camera, view=view)
        seen = transform_points(align_matrix(frame + noise), frame)
        crop = put_on(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), seen, float(head[0]), shot.props)
        picture = np.empty(0)
        if has_frame:
            picture = self.renderer.picture(weights, head, look=replace(look, size=(FRAME, FRAME)), camera=camera)
        return crop, picture


def _background(rng: np.random.Generator) -> tuple[Color, Color]:
    """A vertical ramp of two nearly grey colours."""
    top, bottom = np.clip(rng.uniform(0, 1, (2, 1)) + rng.normal(0, 0.05, (2, 3)), 0, 1).tolist()
    return tuple(top), tuple(bottom)


def _crop_view(affine: np.ndarray) -> np.ndarray:
    """Clip-space matrix ``(4, 4)`` that does to the picture what ``affine`` does to a frame in pixels."""
    view = np.eye(4)
    view[:2, :2] = affine[:, :2] * FRAME / CROP_SIZE
    centre = affine @ [FRAME / 2, FRAME / 2, 1]
    view[:2, 3] = centre / CROP_SIZE * 2 - 1
    return view


def assign_expressions(config: RenderConfig) -> np.ndarray:
    """Number of the rig each crop shows, ``(count,)`` int32, for crops that take the avatars in turn.

    A number comes back in later blocks of avatars, shuffled there, so that avatars pair up at random; the forms
    of one rig stay together.
    """
    rng = np.random.default_rng([config.seed, config.repeats])
    forms = 3 if config.sides else 1
    draws = -(-config.count // (config.repeats * forms))
    blocks = [np.arange(draws), *(rng.permutation(draws) for _ in range(config.repeats - 1))]
    numbers = np.concatenate(blocks)[:, None] * forms + np.arange(forms)
    return numbers.ravel()[: config.count].astype(np.int32)


class Casting:
    """The rig of each numbered expression, drawn when it is first asked for."""

    def __init__(self, sampler: RigSampler, rng: np.random.Generator, *, has_sides: bool) -> None:
        self._sampler, self._rng, self._has_sides = sampler, rng, has_sides
        self._drawn: dict[int, np.ndarray] = {}

    def rig(self, expression: int) -> np.ndarray:
        """Rig ``(52,)`` of an expression."""
        draw, side = divmod(expression, 3) if self._has_sides else (expression, 0)
        if draw not in self._drawn:
            rig = self._sampler.draw(self._rng)
            self._drawn[draw] = one_sided(rig, self._rng) if self._has_sides else rig
        rig = self._drawn[draw]
        return (rig, rig[mirrored(ARKIT)], symmetric(rig))[side]


def render_faces(config: RenderConfig) -> None:
    """Render ``config.count`` crops, the avatars in turn, into ``config.out``."""
    rng = np.random.default_rng(config.seed)
    seen = np.zeros((1, len(ARKIT)), np.float32) if config.labels is None else np.nan_to_num(read_rigs(config.labels))
    paths = _usable(config.avatars)
    if config.is_reenactment:
        assert config.labels is not None
        expressions = rng.permutation(len(seen))[: config.count].astype(np.int32)
        files = [row["file"] for row in read_rows(config.labels)]
        config.out.mkdir(parents=True, exist_ok=True)
        (config.out / "files.json").write_text(json.dumps([files[k] for k in expressions]))
        rig_of: Callable[[int], np.ndarray] = seen.__getitem__
    else:
        expressions = assign_expressions(config)
        sampler = RigSampler(seen, is_natural=config.is_natural, is_rare=config.is_rare)
        rig_of = Casting(sampler, rng, has_sides=config.sides).rig
    count = len(expressions)
    turns = [k for k in range(len(paths)) for _ in range(k * count // len(paths), (k + 1) * count // len(paths))]
    render_rigs([paths[k] for k in turns], lambda i: rig_of(int(expressions[i])), config, rng)
    np.save(config.out / "expressions.npy", expressions)


def _usable(folder: Path) -> list[Path]:
    """GLB files of avatars that can show ARKit's blendshapes."""
    paths = sorted(folder.glob("*.glb"))
    found = [path for path in paths if (avatar := read_glb(path)).is_arkit and avatar.landmarks is not None]
    if not found:
        raise InputError("no avatar in {} has landmarks and ARKit's names: bake some with tools.bake_avatars.", folder)
    if len(found) < len(paths):
        logger.info("left out, for they lack ARKit's names: %s", ", ".join(p.stem for p in paths if p not in found))
    return found


def render_rigs(
    avatars: Sequence[Path], rig_of: Callable[[int], np.ndarray], config: RenderConfig, rng: np.random.Generator
) -> None:
    """Render one crop for each of ``avatars``, GLB files with equal ones side by side, into ``config.out``.

    Args:
        avatars: avatar of each crop.
        rig_of: rig ``(52,)`` of a crop, by its index; asked for once, in order.
        config: where to write, and how.
        rng: source of poses, lights and errors of the landmarks.
    """
    count = len(avatars)
    config.out.mkdir(parents=True, exist_ok=True)
    crops = np.lib.format.open_memmap(config.out / "crops.npy", "w+", np.uint8, (count, CROP_SIZE, CROP_SIZE))
    frames = None
    if config.color:
        frames = np.lib.format.open_memmap(config.out / "frames.npy", "w+", np.uint8, (count, FRAME, FRAME, 3))
    rigs = np.zeros((count, len(ARKIT)), np.float32)
    shots = []
    for i in range(count):
        rigs[i] = rig_of(i)
        shots.append(draw_shot(rigs[i], rng, config))
    parts = [(path, shots[i:j], config.color) for path, i, j in _parts(avatars)]
    place = 0
    for made in in_workers(_render_part, parts, config.workers):
        for crop, picture in made:
            crops[place] = crop
            if frames is not None:
                frames[place] = picture
            place += 1
        logger.info("%d of %d faces rendered", place, count)
    np.save(config.out / "rigs.npy", rigs)
    (config.out / "avatars.json").write_text(json.dumps([path.stem for path in avatars]))


def _parts(avatars: Sequence[Path]) -> Iterator[tuple[Path, int, int]]:
    """Stretches of crops of one avatar, short enough that several processes share an avatar."""
    start = 0
    for path, group in groupby(avatars):
        end = start + len(list(group))
        for low in range(start, end, _PART):
            yield path, low, min(low + _PART, end)
        start = end


def _render_part(task: tuple[Path, Sequence[Shot], bool]) -> list[tuple[np.ndarray, np.ndarray]]:
    path, shots, has_frame = task
    face = _face_renderer(path)
    return [face.render(shot, has_frame=has_frame) for shot in shots]


@lru_cache(maxsize=1)
def _face_renderer(path: Path) -> FaceRenderer:
    return FaceRenderer(read_glb(path))
