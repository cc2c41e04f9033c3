"""Teach a bundle a new character: its identity code, and what its controls do. Nothing else moves.

    python -m training.add_avatar my_head.glb --name robin
    python -m training.add_avatar robin --steps 300          # an avatar that was added before
    python -m training.add_avatar my_head.glb --steps 4 --pictures 16 --faces 16   # under a minute

The avatar is kept as ``freeavatar avatars add`` keeps it. First the zero-shot attempt is measured: the identity
encoder's code, and controls that follow ARKit's blendshapes as their names or the file say. Then, with all networks
frozen, the map from its controls to poses is learned from pictures of it, and its code and what drives its controls
by perception: faces of the built-in avatars are played by it, and should look to the encoder as they did. The result
lies beside the avatar's file and is used wherever the bundle is; other avatars are driven as before, bit for bit.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor
from tqdm import trange

from freeavatar.avatars import Avatar, add_avatar, available_avatars, builtin_avatars, load_avatar
from freeavatar.errors import InputError, WeightsError
from freeavatar.models import PORTRAIT_SIZE
from freeavatar.models.library import whole_bundle
from freeavatar.networks import Bundle, Identity, NeuralRenderer, load_bundle, save_identity
from freeavatar.pipeline.acting import identity_path
from freeavatar.render import Renderer
from freeavatar.render.face_view import FaceView
from freeavatar.render.preview import write_previews
from freeavatar.rig import ARKIT
from training.data.features import Features, cached_features
from training.data.images import list_images
from training.data.portraits import to_images
from training.data.rigs import RigSampler
from training.engine.loop import enter
from training.objectives.animator import bounded, look
from training.objectives.losses import distillation_loss, picture_loss
from training.renders.portraits import EYES, MOUTH, draw_controls
from training.renders.rehearsal import render_rehearsal

logger = logging.getLogger(__name__)

KEPT = 8
"""One picture and one face in this many is measured on, and not learned from."""


@dataclass(frozen=True)
class AddConfig:
    """Whom to teach."""

    avatar: tyro.conf.Positional[str]
    """GLB file, or the name of an avatar that was added."""
    name: str | None = None
    """What to call it; default made from the file's name."""
    bundle: str | None = None
    """Default: the adopted one."""
    steps: int = 400
    """Of each of the two lessons."""
    batch: int = 12
    pictures: int = 320
    """Of the avatar with known controls."""
    faces: int = 1200
    """Of the built-in avatars, to be played."""
    rate: float = 3e-3
    loyalty: float = 1.0
    """How strongly its controls are held to what its file declares."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1 or min(self.pictures, self.faces) < 2 * KEPT:
            raise ValueError(f"steps must be at least 1, pictures and faces at least {2 * KEPT}")


@dataclass(frozen=True)
class Lesson:
    """What is learned from."""

    pictures: Tensor
    """``(N, 3, S, S)``."""
    weights: Tensor
    """Of the avatar's controls, ``(N, K)``."""
    neutral: Tensor
    """``(1, 3, S, S)``."""
    region: Tensor
    """Mouth and eyes, ``(1, 1, S, S)``."""
    faces: Features
    """Of faces to be played."""


def prepare(avatar: Avatar, bundle: Bundle, config: AddConfig) -> Lesson:
    """Draw the avatar, and encode faces for it to play."""
    rng, view = np.random.default_rng(config.seed), FaceView(Renderer(avatar), PORTRAIT_SIZE)
    sampler = RigSampler(np.zeros((1, len(ARKIT)), np.float32))
    drawn = np.stack([draw_controls(avatar, sampler, rng) for _ in range(config.pictures)])
    pictures = np.stack([view.picture(row) for row in drawn])
    folder = render_rehearsal(config.faces)
    faces = cached_features(list_images([folder]), bundle.encoder, cache=folder.parent, device=torch.device("cpu"))
    region = torch.from_numpy(view.region(EYES) | view.region(MOUTH))[None, None].float()
    return Lesson(to_images(pictures), torch.from_numpy(drawn), to_images(view.neutral()[None]), region, faces)


class Teacher:
    """The bundle, frozen, and the identity that is learned: at first that of an avatar nobody has met."""

    def __init__(self, bundle: Bundle, renderer: NeuralRenderer, avatar: Avatar, lesson: Lesson) -> None:
        self._bundle, self._renderer, self._lesson = bundle, renderer, lesson
        drive, size = torch.from_numpy(avatar.drive), bundle.decoder.config.code_size
        self.identity = Identity(avatar.target_names, drive, code_size=size).requires_grad_(False)
        with torch.no_grad():
            self._look = renderer.identity(lesson.neutral)
            self.identity.code.copy_(self._look.code[0])
        self._declared = drive.clone()

    def picture_loss(self, rows: np.ndarray) -> Tensor:
        """How far drawn pictures are from the avatar's own."""
        lesson = self._lesson
        losses = picture_loss(self._draw(lesson.weights[rows]), lesson.pictures[rows], lesson.region, 10.0)
        return losses["whole"] + losses["regions"]

    def perceptual_loss(self, rows: np.ndarray, loyalty: float) -> Tensor:
        """How far played faces are from those they play, to the encoder."""
        feature, embedding = (torch.from_numpy(f[rows, 0]).float() for f in (
            self._lesson.faces.feature, self._lesson.faces.embedding,
        ))  # fmt: skip
        rigs = bounded(self._bundle.decoder.unbounded(feature, self.identity.code[None]))
        seen = look(self._bundle.encoder, self._draw(bounded(self.identity.controls(rigs))))
        strayed = (self.identity.drive - self._declared).square().sum()
        return distillation_loss(*seen, (feature, embedding)) + loyalty * strayed

    def _draw(self, weights: Tensor) -> Tensor:
        which = torch.zeros(len(weights), dtype=torch.long)
        return self._renderer(self.identity.poses(weights), self._look.rows(which))

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Both losses on what is kept from learning."""
        kept = [np.arange(0, len(values), KEPT) for values in (self._lesson.pictures, self._lesson.faces)]
        return {
            "pictures": float(self.picture_loss(kept[0])),
            "perception": float(self.perceptual_loss(kept[1][:64], 0.0)),
        }


def learn(
    loss: Callable[[np.ndarray], Tensor], parameters: Sequence[Tensor], total: int, config: AddConfig, what: str
) -> None:
    """Descend from ``config.rate`` to 0 along a line, on all rows but those kept for measuring."""
    rows = np.array([k for k in range(total) if k % KEPT])
    for values in parameters:
        values.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=config.rate)
    rng = np.random.default_rng(config.seed)
    for step in trange(config.steps, desc=what, disable=None):
        optimizer.param_groups[0]["lr"] = config.rate * (1 - step / config.steps)
        optimizer.zero_grad()
        loss(rng.choice(rows, config.batch)).backward()
        optimizer.step()
    for values in parameters:
        values.requires_grad_(False)


def teach(config: AddConfig) -> Path:
    """Add the avatar, teach the bundle, and return the file of its identity.

    Raises:
        AvatarError, InputError: the avatar cannot be used.
        WeightsError: the bundle has no neural renderer.
    """
    torch.manual_seed(config.seed)
    bundle = load_bundle(whole_bundle(config.bundle))
    if bundle.neural_renderer is None:
        raise WeightsError("bundle {} has no neural renderer to learn a character with: use another one.", bundle.id)
    name = config.avatar
    if name in builtin_avatars():
        raise InputError("{} is built in, and every bundle knows it: give a GLB file, or an avatar you added.", name)
    if name not in available_avatars():
        name = add_avatar(Path(config.avatar), draw=write_previews, name=config.name).name
    avatar = load_avatar(name)
    teacher = Teacher(bundle, bundle.neural_renderer, avatar, prepare(avatar, bundle, config))
    identity = teacher.identity
    logger.info("%s, zero-shot: %s", name, teacher.measure())
    if not identity.is_arkit:
        learn(teacher.picture_loss, [identity.pose], config.pictures, config, "what its controls show")
        logger.info("%s, controls seen: %s", name, teacher.measure())
    learned = [identity.code] if identity.is_arkit else [identity.code, identity.drive]
    learn(
        lambda rows: teacher.perceptual_loss(rows, config.loyalty), learned, config.faces, config, "how it plays faces"
    )
    logger.info("%s, learned: %s", name, teacher.measure())
    path = identity_path(avatar)
    save_identity(path, identity, bundle.id, avatar.content)
    return path


if __name__ == "__main__":
    enter(lambda: teach(tyro.cli(AddConfig, description=__doc__)))
