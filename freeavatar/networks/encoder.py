"""The expression encoder in torch: aligned face crops to a pooled feature and a 16-d unit embedding."""

from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from freeavatar.models.encoder import CROP_SIZE, EMBEDDING_SIZE, VIEW, EncoderConfig

TOKEN_SIZE = 32
"""Numbers that each of a ViT's tokens is reduced to."""
CELL_SIZES = {2: 8, 3: 32}
"""Numbers that each cell of a CNN's maps is reduced to: of 8 x 8 pixels (stage 2), and of 16 x 16 (stage 3)."""


def make_backbone(config: EncoderConfig) -> Any:
    """An untrained timm model without classifier. A ViT gives its tokens, and keeps the parameter names of the
    public checkpoints (class token, final ``norm``)."""
    more: dict[str, Any] = {}
    if config.is_vit:
        more = {"img_size": config.image_size, "patch_size": config.patch_size, "global_pool": ""}
    return timm.create_model(config.backbone, pretrained=False, num_classes=0, **more)


class Encoder(nn.Module):
    """A timm backbone on luma, a linear map to the feature, and one more to the embedding.

    A ViT's patches, and the cells of a CNN's finer maps, are each reduced by one linear map and laid side by side, for
    in an aligned crop a place is a part of the face. A mean has to carry the place along: a ViT learns an order slower
    through it, and a CNN hardly sees what moves by two pixels, such as a jaw to one side or a puffed cheek.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = make_backbone(config)
        self.reduce, pooled = self._reduction()
        self.project = nn.Linear(pooled, config.feature_size)
        self.embed = nn.Linear(config.feature_size, EMBEDDING_SIZE)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Encode aligned face crops.

        Args:
            crops: RGB or luma views, ``(B, 3 or 1, S, S)`` float32 in [0, 1], ``S = config.image_size``.

        Returns:
            Pooled features ``(B, feature_size)`` and unit-length expression embeddings ``(B, 16)``.
        """
        return self.from_pooled(self.pool(crops))

    def pool(self, crops: Tensor) -> Tensor:
        """What the backbone gives, ``(B, P)``, of crops as above: a ViT's patches, or the mean over a CNN's last map
        and the cells of finer ones."""
        if crops.shape[1] == 3:
            crops = to_luma(crops)
        views = backbone_input(crops)
        if self.config.is_vit:
            patches = self.backbone(views)[:, self.backbone.num_prefix_tokens :]
            return self.reduce[0](patches).flatten(1)
        last, maps = self.backbone.forward_intermediates(views, indices=list(CELL_SIZES))
        cells = [reduce(one).flatten(1) for reduce, one in zip(self.reduce, maps, strict=False)]
        return torch.cat([self.backbone.forward_head(last), *cells], dim=1)

    def _reduction(self) -> tuple[nn.ModuleList, int]:
        """Linear maps on patches, or on the cells of each map; numbers of all that is pooled."""
        config, backbone = self.config, self.backbone
        if config.is_vit:
            reduce: list[nn.Module] = [nn.Linear(backbone.num_features, TOKEN_SIZE)]
            return nn.ModuleList(reduce), TOKEN_SIZE * backbone.patch_embed.num_patches
        reduce, pooled = [], backbone.num_features
        if config.has_cells:
            for stage, size in CELL_SIZES.items():
                info = backbone.feature_info[stage]
                reduce.append(nn.Conv2d(info["num_chs"], size, 1))
                pooled += size * (-(-config.image_size // info["reduction"])) ** 2
        return nn.ModuleList(reduce), pooled

    def from_pooled(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Features and embeddings, as above, of what :meth:`pool` gives."""
        feature = self.project(pooled)
        # bf16 has three digits: distances between unit vectors are compared in float32, whatever made the feature.
        return feature, normalize(self.embed(nn.functional.gelu(feature)).float(), dim=1)


def backbone_input(luma: Tensor) -> Tensor:
    """Luma ``(B, 1, S, S)`` in [0, 1] as a backbone takes it: normalised, over three channels."""
    return ((luma - 0.5) / 0.25).expand(-1, 3, -1, -1)


def to_luma(images: Tensor) -> Tensor:
    """RGB ``(B, 3, H, W)`` to luma ``(B, 1, H, W)`` (Rec. 601, as JPEG and OpenCV have it)."""
    return (images * images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def view_of_crops(crops: Tensor, size: int, *, warp: Tensor | None = None) -> Tensor:
    """Cut the encoder's view out of loose crops.

    Args:
        crops: ``(B, C, 144, 144)`` or any other square size with the same margins, float32 in [0, 1].
        size: side of the view in pixels.
        warp: ``(B, 2, 3)`` affine map of view coordinates in [-1, 1], for augmentation; default none.

    Returns:
        ``(B, C, size, size)``.
    """
    left, top, right, bottom = (v / CROP_SIZE * 2 - 1 for v in VIEW)
    base = crops.new_tensor([[(right - left) / 2, 0, (right + left) / 2], [0, (bottom - top) / 2, (bottom + top) / 2]])
    if warp is None:
        theta = base.expand(len(crops), -1, -1)
    else:
        bottom_row = crops.new_tensor([0, 0, 1]).expand(len(crops), 1, 3)
        theta = base @ torch.cat([warp, bottom_row], dim=1)
    grid = nn.functional.affine_grid(theta, [len(crops), crops.shape[1], size, size], align_corners=False)
    return nn.functional.grid_sample(crops, grid, padding_mode="border", align_corners=False)


def encode_crops(encoder: Encoder, crops: list[np.ndarray], device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Features ``(B, D)`` and embeddings ``(B, 16)`` of loose crops ``(S, S, 3)`` uint8 of one size."""
    images = torch.from_numpy(np.stack(crops)).to(device).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        feature, embedding = encoder(view_of_crops(images, encoder.config.image_size))
    return feature.float().cpu().numpy(), embedding.float().cpu().numpy()
