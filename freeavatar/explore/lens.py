"""A bundle to look through: crops become vectors, vectors become rigs and pictures of avatars."""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

from freeavatar.avatars import Avatar, load_avatar
from freeavatar.errors import WeightsError
from freeavatar.faces import CROP_SIZE
from freeavatar.models import Bundle, Encoder, load_bundle, load_encoder
from freeavatar.models.library import list_bundles
from freeavatar.pipeline.animation import perform, retarget
from freeavatar.pipeline.sources import FOLDER_RATE
from freeavatar.pipeline.tracking import BATCH, Track, encode_crops
from freeavatar.render import Look, Renderer
from freeavatar.rig import Performance

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
                f"the bundle {self.folder.name} has no decoder, so it shows where faces lie but no rig and no avatar: "
                "choose a bundle with decoder.safetensors, or train one."
            )
        return self._bundle

    def encode(self, crops: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Features ``(N, D)`` and embeddings ``(N, 16)`` of square crops of any sizes, uint8 RGB."""
        small = [cv2.resize(crop, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_AREA) for crop in crops]
        cpu = torch.device("cpu")
        parts = [encode_crops(self.encoder, small[k : k + BATCH], cpu) for k in range(0, len(small), BATCH)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def act(self, avatar: Avatar, features: np.ndarray) -> Performance:
        """ARKit's blendshapes for features ``(T, D)``, as this avatar wants them: neither calibrated nor smoothed.

        Raises:
            WeightsError: the bundle has no decoder.
        """
        count = len(features)
        track = Track(
            times=np.arange(count) / float(FOLDER_RATE), features=features.astype(np.float32),
            embeddings=np.zeros((count, 16), np.float32), poses=np.zeros((count, 3), np.float32),
            points=np.zeros((count, 5, 2), np.float32), confidence=np.ones(count, np.float32),
        )  # fmt: skip
        return perform(avatar, track, self.bundle, Fraction(FOLDER_RATE))

    def wear(self, avatar: str, features: np.ndarray, *, size: int = 256) -> list[np.ndarray]:
        """Pictures ``(size, size, 3)`` uint8 of an avatar with the expressions of features ``(T, D)``.

        Raises:
            WeightsError: the bundle has no decoder.
            AvatarError: no such avatar.
        """
        renderer = renderer_of(avatar)
        played = retarget(renderer.avatar, self.act(renderer.avatar, features))
        return [renderer.picture(weights, look=Look((size, size))) for weights in played.weights]

    def morph(self, avatar: str, first: np.ndarray, last: np.ndarray, *, steps: int = 9) -> list[np.ndarray]:
        """Pictures along the straight line between two features ``(D,)``: both ends and what lies between."""
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]
        return self.wear(avatar, first * (1 - share) + last * share)


@lru_cache(maxsize=4)
def renderer_of(avatar: str) -> Renderer:
    """The renderer of an avatar by name; the last few are kept.

    Raises:
        AvatarError: no such avatar.
    """
    return Renderer(load_avatar(avatar))
