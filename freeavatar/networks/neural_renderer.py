"""The neural renderer: a rig and an avatar's neutral face to the face wearing the rig, differentiable."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, interpolate, pixel_shuffle, silu

from freeavatar.models.identity import PORTRAIT_SIZE
from freeavatar.networks.identity import POSE_SIZE, Appearance, IdentityEncoder, IdentityEncoderConfig


@dataclass(frozen=True)
class NeuralRendererConfig:
    """Which neural renderer."""

    identity: IdentityEncoderConfig = field(default_factory=IdentityEncoderConfig)
    pose_size: int = POSE_SIZE
    """Dimensions of a pose."""
    hidden_size: int = 256
    plan_size: int = 32
    """Channels of the map that the pose is laid out on."""
    reach: float = 0.25
    """Farthest a pixel of the neutral face is moved, as a share of the picture's side."""


class NeuralRenderer(nn.Module):
    """Warps the neutral face and paints what no warp can show: lids, lips apart, teeth, tongue, folds.

    The pose is laid out on the coarsest map, and scales and shifts the channels of every layer (FiLM, Perez et
    al. 2018); the maps of the identity encoder enter at their sizes.
    """

    def __init__(self, config: NeuralRendererConfig) -> None:
        super().__init__()
        self.config = config
        self.identity = IdentityEncoder(config.identity)
        widths, hidden = config.identity.widths, config.hidden_size
        self._side = PORTRAIT_SIZE // 2 ** len(widths)
        self.pose = nn.Sequential(nn.Linear(config.pose_size, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.plan = nn.Linear(hidden, config.plan_size * self._side**2)
        self.join = nn.Conv2d(widths[-1] + config.plan_size, widths[-1], 1)
        self.blocks = nn.ModuleList(_Block(width, hidden) for width in reversed(widths))
        self.up = nn.ModuleList(
            nn.Conv2d(coarse + fine, fine, 1) for fine, coarse in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.out = nn.Conv2d(widths[0], 6 * 4, 3, padding=1)
        nn.init.normal_(self.out.weight, std=1e-3)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, poses: Tensor, appearance: Appearance) -> Tensor:
        """Draw faces.

        Args:
            poses: ``(B, pose_size)``, as :class:`freeavatar.networks.identity.Identity` makes them.
            appearance: of the avatar of each.

        Returns:
            sRGB, ``(B, 3, S, S)`` in [0, 1].
        """
        pose: Tensor = self.pose(poses)
        plan = self.plan(pose).view(len(poses), self.config.plan_size, self._side, self._side)
        values: Tensor = self.blocks[0](self.join(torch.cat([appearance.maps[-1], plan], 1)), pose)
        for up, block, finer in zip(self.up, self.blocks[1:], appearance.maps[-2::-1], strict=True):
            values = interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
            values = block(up(torch.cat([values, finer], 1)), pose)
        flow, mask, paint = pixel_shuffle(self.out(silu(values)), 2).split([2, 1, 3], dim=1)
        mask = torch.sigmoid(mask + 2)
        return mask * self._warp(appearance.portraits, flow) + (1 - mask) * torch.sigmoid(4 * paint)

    def _warp(self, portraits: Tensor, flow: Tensor) -> Tensor:
        flow = flow.float()  # in bfloat16 the grid would be off by a tenth of a pixel
        still = torch.eye(2, 3, device=flow.device, dtype=flow.dtype).expand(len(flow), -1, -1)
        grid = affine_grid(still, list(portraits.shape), align_corners=False)
        move = 2 * self.config.reach * torch.tanh(flow).permute(0, 2, 3, 1)
        return grid_sample(portraits.float(), grid + move, padding_mode="border", align_corners=False)


class _Block(nn.Module):
    """Two convolutions around a residual path; the pose scales and shifts the channels between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.film = nn.Linear(hidden, 2 * width)

    def forward(self, values: Tensor, pose: Tensor) -> Tensor:
        scale, shift = self.film(pose)[:, :, None, None].chunk(2, dim=1)
        return values + self.second(silu(self.first(silu(values)) * (1 + scale) + shift))


def renderer_config(fields: dict[str, Any]) -> NeuralRendererConfig:
    """The configuration of what ``dataclasses.asdict`` made of one."""
    identity = dict(fields["identity"], widths=tuple(fields["identity"]["widths"]))
    return NeuralRendererConfig(**{**fields, "identity": IdentityEncoderConfig(**identity)})
