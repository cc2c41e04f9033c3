"""A bundle to look through: crops become vectors, vectors become rigs and pictures of avatars."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from freeavatar.avatars import avatar_path, load_avatar
from freeavatar.errors import WeightsError
from freeavatar.faces import CROP_SIZE
from freeavatar.files import content_id
from freeavatar.models import Bundle, Encoder, load_bundle, load_encoder
from freeavatar.models.library import list_bundles
from freeavatar.pipeline.acting import act, identity_of
from freeavatar.pipeline.tracking import BATCH
from freeavatar.render import Look, Renderer

DECODER_FILE = "decoder.safetensors"


def available_bundles() -> dict[str, Path]:
    """Folders of the bundles there are, by name: the adopted one first."""
    return {entry.name: entry.folder for entry in sorted(list_bundles(), key=lambda entry: not entry.is_adopted)}


class Lens:
    """One bundle, opened once.

    A bundle without a decoder still shows its space; :attr:`bundle` then says what is missing.

    Args:
        folder: the bundle.

    Raises:
        WeightsError: not even the encoder can be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._bundle: Bundle | None = None
        if self.has_decoder:
            self._bundle = load_bundle(self.folder)
            self.encoder: Encoder = self._bundle.encoder
        else:
            self.encoder = load_encoder(self.folder)

    @property
    def has_decoder(self) -> bool:
        """Whether the bundle can drive avatars."""
        return (self.folder / DECODER_FILE).is_file()

    @property
    def bundle(self) -> Bundle:
        """The whole bundle.

        Raises:
            WeightsError: it has no decoder.
        """
        if self._bundle is None:
            raise WeightsError(
                "the bundle {} has no decoder, so it shows where faces lie but no rig and no avatar: choose a bundle "
                "with decoder.safetensors, or train one.",
                self.folder.name,
            )
        return self._bundle

    def encode(self, crops: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Features ``(N, D)`` and embeddings ``(N, 16)`` of square crops of any sizes, uint8 RGB."""
        small = [cv2.resize(crop, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA) for crop in crops]
        parts = [self.encoder.encode(small[k : k + BATCH]) for k in range(0, len(small), BATCH)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def act(self, avatar: str, features: np.ndarray) -> np.ndarray:
        """ARKit's blendshapes ``(T, 52)`` for features ``(T, D)``, as this avatar wants them: neither calibrated nor
        smoothed.

        Raises:
            WeightsError: the bundle has no decoder.
            AvatarError: no such avatar.
        """
        identity = identity_of(renderer_of(avatar).avatar, self.bundle)
        return act(features.astype(np.float32), identity, self.bundle)

    def draw(self, avatar: str, features: np.ndarray, *, size: int = 256) -> list[np.ndarray]:
        """Pictures ``(size, size, 3)`` uint8 of an avatar with these expressions.

        Args, Raises: as :meth:`act`.
        """
        renderer = renderer_of(avatar)
        drive = identity_of(renderer.avatar, self.bundle).drive
        weights = renderer.avatar.control_weights(self.act(avatar, features), drive)
        return [renderer.picture(row, look=Look((size, size))) for row in weights]

    def morph(self, avatar: str, first: np.ndarray, last: np.ndarray, *, steps: int = 9) -> list[np.ndarray]:
        """Pictures along the straight line between two features ``(D,)``: both ends and what lies between."""
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.draw(avatar, first * (1 - share) + last * share)


def renderer_of(avatar: str) -> Renderer:
    """The renderer of an avatar by name; the last few are kept.

    Raises:
        AvatarError: no such avatar.
    """
    path = avatar_path(avatar)
    return _renderer(avatar, content_id(path) if path.is_file() else "")


@lru_cache(maxsize=4)
def _renderer(avatar: str, _content: str) -> Renderer:
    return Renderer(load_avatar(avatar))
