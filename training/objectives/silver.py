"""The loss on silver labels of real faces: noisy scores on a scale of their own, some of them dead."""

import torch
from torch import Tensor, nn

from freeavatar.rig import ARKIT
from training.data.labelled_faces import DEAD, FAINT, ONE_SIDED
from training.objectives.losses import rig_loss


class SilverLoss(nn.Module):
    """Learns the labels' scale along with what is trained on them; dead channels are masked, faint ones count a
    tenth, and brows that the labels move together are compared by their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.zeros(len(ARKIT))), nn.Parameter(torch.zeros(len(ARKIT)))
        pair = torch.arange(len(ARKIT))
        for name in ONE_SIDED:
            left, right = ARKIT.index(name + "Left"), ARKIT.index(name + "Right")
            pair[left], pair[right] = right, left
        alive = torch.tensor([0.0 if name in DEAD else 0.1 if name in FAINT else 1.0 for name in ARKIT])
        self.register_buffer("_pair", pair, persistent=False)
        self.register_buffer("_alive", alive, persistent=False)

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
        return rig_loss(predicted, self._mean_brows(labels), deviation, self._alive, is_exact=False)  # type: ignore[arg-type]

    def _mean_brows(self, rigs: Tensor) -> Tensor:
        return (rigs + rigs[:, self._pair]) / 2  # type: ignore[index]
