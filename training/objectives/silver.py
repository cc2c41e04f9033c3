"""The losses on labels of real faces: silver ones, noisy scores some of which are dead, and human ones of emotion."""

import torch
from torch import Tensor, nn

from freeavatar.rig import ARKIT
from training.data.labelled_faces import DEAD, FAINT, ONE_SIDED
from training.objectives.losses import rig_loss

_EVENNESS = 0.3
"""Weight of what the sides of the brows differ by, which the labels do not know."""

_SELDOM = 0.7
"""Weight of what faces hardly ever do, and the labels do not know: puffed cheeks, a tongue that is out."""


class SilverLoss(nn.Module):
    """Dead channels are masked, faint ones count a tenth, and brows that the labels move together are compared by their
    mean."""

    def __init__(self, *, is_on_rig_scale: bool = False) -> None:
        """Set the loss up.

        Args:
            is_on_rig_scale: the labels are on the rig's scale, as ``read_silver_labels`` brings them to it, and rigs
                are to be as strong as they say: only an offset is learned, the sides of the brows are kept near one
                another, and what faces hardly ever do near 0. Else the labels' own scale is learned along with what is
                trained on them, and rigs may be weaker.
        """
        super().__init__()
        self._is_on_rig_scale = is_on_rig_scale
        self.scale, self.shift = nn.Parameter(torch.zeros(len(ARKIT))), nn.Parameter(torch.zeros(len(ARKIT)))
        pair = torch.arange(len(ARKIT))
        for name in ONE_SIDED:
            left, right = ARKIT.index(name + "Left"), ARKIT.index(name + "Right")
            pair[left], pair[right] = right, left
        alive = torch.tensor([0.0 if name in DEAD else 0.1 if name in FAINT else 1.0 for name in ARKIT])
        self.register_buffer("_pair", pair, persistent=False)
        self.register_buffer("_alive", alive, persistent=False)
        seldom = torch.tensor([ARKIT.index(name) for name in ("cheekPuff", "tongueOut")])
        self.register_buffer("_seldom", seldom, persistent=False)
        self.scale.requires_grad_(not is_on_rig_scale)

    def forward(self, rigs: Tensor, labels: Tensor, deviation: Tensor) -> Tensor:
        """The mean loss.

        Args:
            rigs: unbounded, ``(B, 52)``.
            labels: ``(B, 52)``.
            deviation: of the labels, ``(52,)``.

        Returns:
            Scalar.
        """
        predicted, deviation = self._mean_brows(rigs * self.scale.exp() + self.shift), deviation.clamp_min(0.05)
        alive: Tensor = self._alive  # type: ignore[assignment]
        loss = rig_loss(predicted, self._mean_brows(labels), deviation, alive, is_exact=self._is_on_rig_scale)
        if not self._is_on_rig_scale:
            return loss
        uneven = ((rigs - rigs[:, self._pair]) / deviation).square().mean()  # type: ignore[index]
        return loss + _EVENNESS * uneven + _SELDOM * rigs[:, self._seldom].abs().mean()  # type: ignore[index]

    def _mean_brows(self, rigs: Tensor) -> Tensor:
        return (rigs + rigs[:, self._pair]) / 2  # type: ignore[index]
