"""A masked autoencoder around a timm ViT (He et al. 2022), written from the paper."""

from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from freeavatar.models import EncoderConfig
from freeavatar.networks import backbone_input, make_backbone


@dataclass(frozen=True)
class MaskedConfig:
    """How to mask, and with what to fill in."""

    share: float = 0.75
    """Share of the patches that is hidden, in (0, 1)."""
    decoder_size: int = 128
    """Dimensions of the decoder's tokens, a multiple of 4 and of decoder_heads."""
    decoder_depth: int = 2
    """Blocks of the decoder."""
    decoder_heads: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share is {self.share}, expected a number between 0 and 1")
        if self.decoder_size % 4 or self.decoder_size % self.decoder_heads:
            raise ValueError(f"decoder_size is {self.decoder_size}, expected a multiple of 4 and of decoder_heads")


class MaskedAutoencoder(nn.Module):
    """Encodes the visible patches alone, then fills in the hidden ones."""

    def __init__(self, encoder: EncoderConfig, config: MaskedConfig) -> None:
        super().__init__()
        self.backbone: Any = make_backbone(encoder)
        self._patch = encoder.patch_size
        grid = list(self.backbone.patch_embed.grid_size)
        self._kept = max(1, round(grid[0] * grid[1] * (1 - config.share)))
        width, size = self.backbone.embed_dim, config.decoder_size
        with torch.no_grad():
            self.backbone.pos_embed.copy_(_places(grid, width))
        self.backbone.pos_embed.requires_grad_(False)  # as in He et al. 2022, appendix A.1
        self.embed = nn.Linear(width, size)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, size))
        self.places: Tensor
        self.register_buffer("places", _places(grid, size), persistent=False)
        self.blocks = nn.Sequential(
            *(Block(size, config.decoder_heads, qkv_bias=True) for _ in range(config.decoder_depth))
        )
        self.norm = nn.LayerNorm(size)
        self.predict = nn.Linear(size, self._patch**2)
        nn.init.normal_(self.mask_token, std=0.02)

    def forward(self, views: Tensor, order: Tensor) -> Tensor:
        """Loss of a batch.

        Args:
            views: luma, ``(B, 1, S, S)`` float32 in [0, 1].
            order: the patches of each view shuffled, ``(B, N)`` int64; the first quarter stays visible.

        Returns:
            Mean squared error over the pixels of hidden patches, each patch normalised; a scalar.
        """
        predicted, hidden = self._predict(views, order), order[:, self._kept :]
        target = _normalised(_taken(self._patches(views), hidden))[0]
        return (_taken(predicted, hidden).float() - target).square().mean()

    def reconstruct(self, views: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder sees, the rest grey, and that with the hidden patches filled in, ``(B, 1, S, S)`` each.

        Hidden patches get their true brightness and contrast back, which the loss does not ask for.
        """
        patches = self._patches(views)
        _, mean, deviation = _normalised(patches)
        filled = self._predict(views, order).float() * deviation + mean
        is_hidden = torch.ones_like(patches[..., :1]).scatter(1, order[:, : self._kept, None], 0.0).bool()
        seen, whole = torch.where(is_hidden, 0.5, patches), torch.where(is_hidden, filled, patches)
        return self._image(seen, views.shape[-1]), self._image(whole, views.shape[-1])

    def _predict(self, views: Tensor, order: Tensor) -> Tensor:
        """Normalised pixels of every patch, ``(B, N, P * P)``."""
        vit = self.backbone
        tokens = vit.patch_embed(backbone_input(views)) + vit.pos_embed[:, 1:]
        tokens = _taken(tokens, order[:, : self._kept])
        first = (vit.cls_token + vit.pos_embed[:, :1]).expand(len(tokens), -1, -1).to(tokens.dtype)
        tokens = self.embed(vit.norm(vit.blocks(vit.norm_pre(torch.cat([first, tokens], dim=1)))))
        hidden = self.mask_token.to(tokens.dtype).expand(len(tokens), order.shape[1] - self._kept, -1)
        places = order.argsort(1)
        patches = _taken(torch.cat([tokens[:, 1:], hidden], dim=1), places)
        whole = torch.cat([tokens[:, :1], patches], dim=1) + self.places
        return self.predict(self.norm(self.blocks(whole)))[:, 1:]

    def _patches(self, views: Tensor) -> Tensor:
        """Pixels patch by patch, ``(B, N, P * P)``."""
        return nn.functional.unfold(views, self._patch, stride=self._patch).transpose(1, 2)

    def _image(self, patches: Tensor, size: int) -> Tensor:
        return nn.functional.fold(patches.transpose(1, 2), size, self._patch, stride=self._patch)


def _places(grid: list[int], size: int) -> Tensor:
    """Sine-cosine position embedding ``(1, 1 + N, size)``, zero for the class token."""
    places = build_sincos2d_pos_embed(grid, size)[None]
    return torch.cat([torch.zeros(1, 1, size), places], dim=1)


def _taken(tokens: Tensor, index: Tensor) -> Tensor:
    """Tokens ``(B, N, D)`` at ``index`` (B, M), ``(B, M, D)``."""
    return tokens.gather(1, index[..., None].expand(-1, -1, tokens.shape[-1]))


def _normalised(patches: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Patches with mean 0 and variance 1 (He et al. 2022, section 4.1), their means and deviations."""
    mean, deviation = patches.mean(-1, keepdim=True), (patches.var(-1, keepdim=True) + 1e-6).sqrt()
    return (patches - mean) / deviation, mean, deviation
