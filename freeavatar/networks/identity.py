"""What the networks know of an avatar, in torch: how it looks, its identity code, and what its controls mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import silu

from freeavatar.files import replacing
from freeavatar.models.identity import CODE_SIZE
from freeavatar.rig import ARKIT

POSE_SIZE = len(ARKIT) + 12
"""Dimensions of the neural renderer's poses: ARKit's blendshapes, and room for what they cannot say."""


@dataclass(frozen=True)
class IdentityEncoderConfig:
    """Which identity encoder."""

    code_size: int = CODE_SIZE
    """Dimensions of the identity code."""
    widths: tuple[int, ...] = (24, 48, 96)
    """Channels at half of the portrait's size, at a quarter, at an eighth."""


@dataclass(frozen=True)
class Appearance:
    """One look at avatars."""

    portraits: Tensor
    """Neutral faces, ``(B, 3, S, S)`` float32 in [0, 1]."""
    maps: list[Tensor]
    """Feature maps, fine to coarse, ``(B, C, H, W)`` each."""
    code: Tensor
    """Identity codes, ``(B, code_size)``."""

    def rows(self, which: Tensor) -> "Appearance":
        """The avatars of those numbers, ``(N,)`` int64."""
        return Appearance(self.portraits[which], [values[which] for values in self.maps], self.code[which])


class IdentityEncoder(nn.Module):
    """A small convolutional pyramid over the neutral face."""

    def __init__(self, config: IdentityEncoderConfig) -> None:
        super().__init__()
        self.config = config
        sizes = (3, *config.widths)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1) for a, b in pairwise(sizes))
        self.code = nn.Linear(2 * config.widths[-1], config.code_size)

    def forward(self, portraits: Tensor) -> Appearance:
        """Look at neutral faces, ``(B, 3, S, S)`` float32 RGB in [0, 1]."""
        values, maps = self.down[0](portraits * 2 - 1), []
        for layer in self.down[1:]:
            maps.append(values)
            values = layer(silu(values))
        maps.append(values)
        # The spread over the face tells shapes apart that share an average.
        pooled = torch.cat([values.mean((2, 3)), values.flatten(2).std(2)], dim=1)
        return Appearance(portraits, maps, self.code(pooled))


class Identity(nn.Module):
    """One avatar's identity code, and linear maps between ARKit's blendshapes and its controls."""

    def __init__(
        self, controls: Sequence[str], drive: Tensor, *, code_size: int = CODE_SIZE, pose_size: int = POSE_SIZE
    ) -> None:
        """Of an avatar whose controls mean what its file declares.

        Args:
            controls: names of its controls, ``K``.
            drive: how they follow ARKit's blendshapes, ``(K, 52)``.
            code_size: dimensions of the code, which begins at 0: that of nobody in particular.
            pose_size: dimensions of the neural renderer's poses.
        """
        super().__init__()
        self.names = tuple(controls)
        self.code = nn.Parameter(torch.zeros(code_size))
        self.drive = nn.Parameter(drive.float().clone())
        self.pose = nn.Parameter(torch.zeros(pose_size, len(controls)))
        with torch.no_grad():
            self.pose[: len(ARKIT)] = drive.T

    @property
    def is_arkit(self) -> bool:
        """Whether its controls are ARKit's blendshapes."""
        return set(ARKIT) <= set(self.names)

    def controls(self, rigs: Tensor) -> Tensor:
        """Weights of the controls, unbounded, ``(B, K)``, for ARKit's ``(B, 52)``."""
        return rigs @ self.drive.T

    def poses(self, controls: Tensor) -> Tensor:
        """Poses ``(B, pose_size)`` for weights of the controls ``(B, K)``; columns beyond K are padding."""
        return controls[:, : len(self.names)] @ self.pose.T


Identities = Mapping[str, Identity]
"""Those of avatars by name."""


def save_identity(path: Path, identity: Identity, bundle: str, avatar: str) -> None:
    """Keep an identity that was learned for an avatar of the user's.

    Args:
        path: the ``.safetensors`` to write.
        identity: to be kept.
        bundle: id of the bundle it belongs to.
        avatar: content of the avatar's file.

    Raises:
        InputError: the file cannot be written.
    """
    state = {name: values.detach().cpu().contiguous() for name, values in identity.state_dict().items()}
    with replacing(path) as temporary:
        metadata = {"bundle": bundle, "avatar": avatar, "controls": "\n".join(identity.names)}
        save_file(state, temporary, metadata=metadata)
