"""The rig decoder in torch: expression feature and identity code to ARKit's blendshapes as that avatar wants them."""

import torch
from torch import Tensor, nn

from freeavatar.models.decoder import DecoderConfig


class RigDecoder(nn.Module):
    """A two-layer perceptron whose hidden units an avatar's identity code scales and shifts (FiLM,
    Perez et al. 2018), beside a linear path.

    Every avatar shares it. What it says in ARKit's blendshapes, the avatar's :class:`Identity` says in the
    avatar's own controls.
    """

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.norm = nn.LayerNorm(config.feature_size)
        self.hidden = nn.Linear(config.feature_size, config.hidden_size)
        self.film = nn.Linear(config.code_size, 2 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, len(config.controls))
        self.skip = nn.Linear(config.feature_size, len(config.controls), bias=False)
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def unbounded(self, feature: Tensor, code: Tensor | None = None) -> Tensor:
        """Rig weights before they are clamped, ``(B, 52)`` float32: what losses see, so that gradients never vanish."""
        x = self.norm(feature)
        code = feature.new_zeros(1, self.config.code_size) if code is None else code
        scale, shift = self.film(code).chunk(2, dim=-1)
        hidden = torch.nn.functional.gelu(self.hidden(x) * (1 + scale) + shift)
        return (self.out(hidden) + self.skip(x)).float()

    def forward(self, feature: Tensor, code: Tensor | None = None) -> Tensor:
        """Decode rig weights.

        Args:
            feature: pooled features, ``(B, feature_size)``.
            code: identity codes, ``(B or 1, code_size)``; default that of nobody in particular, zeros.

        Returns:
            Rig weights, ``(B, 52)`` in [0, 1], in the order of ``config.controls``.
        """
        return self.unbounded(feature, code).clamp(0, 1)
