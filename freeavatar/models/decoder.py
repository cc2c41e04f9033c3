"""The rig decoder: expression feature and avatar identity to that avatar's rig weights."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class DecoderConfig:
    """Which decoder."""

    feature_size: int = 384
    """Dimensions of the encoder's feature."""
    controls: tuple[str, ...] = ()
    """Names of the rig's controls."""
    identities: tuple[str, ...] = ("generic",)
    """Avatars with an identity code of their own; ``generic`` serves every other one."""
    code_size: int = 16
    hidden_size: int = 384

    def __post_init__(self) -> None:
        if not self.controls:
            raise ValueError("controls is empty, expected the names of the rig's controls")
        if "generic" not in self.identities:
            raise ValueError(f"identities {self.identities} lack 'generic'")


class RigDecoder(nn.Module):
    """A two-layer perceptron whose hidden units an avatar's identity code scales and shifts (FiLM,
    Perez et al. 2018), beside a linear path."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.config = config
        self.codes = nn.Embedding(len(config.identities), config.code_size)
        self.norm = nn.LayerNorm(config.feature_size)
        self.hidden = nn.Linear(config.feature_size, config.hidden_size)
        self.film = nn.Linear(config.code_size, 2 * config.hidden_size)
        self.out = nn.Linear(config.hidden_size, len(config.controls))
        self.skip = nn.Linear(config.feature_size, len(config.controls), bias=False)
        nn.init.normal_(self.codes.weight, std=0.1)

    def identity(self, avatar: str) -> int:
        """Index of an avatar's identity code; avatars the decoder has not met share ``generic``."""
        known = self.config.identities
        return known.index(avatar if avatar in known else "generic")

    def unbounded(self, feature: Tensor, identity: Tensor) -> Tensor:
        """Rig weights before they are clamped, ``(B, K)``: what losses see, so that gradients never vanish."""
        x = self.norm(feature)
        scale, shift = self.film(self.codes(identity)).chunk(2, dim=-1)
        hidden = nn.functional.gelu(self.hidden(x) * (1 + scale) + shift)
        return self.out(hidden) + self.skip(x)

    def forward(self, feature: Tensor, identity: Tensor) -> Tensor:
        """Decode rig weights.

        Args:
            feature: pooled features, ``(B, feature_size)``.
            identity: indices from :meth:`identity`, ``(B,)`` int64.

        Returns:
            Rig weights, ``(B, K)`` in [0, 1], in the order of ``config.controls``.
        """
        return self.unbounded(feature, identity).clamp(0, 1)
