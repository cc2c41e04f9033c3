"""Losses of the first stage of training."""

import torch
from torch import Tensor
from torch.nn.functional import relu, smooth_l1_loss

MARGIN = 0.1
"""Margin of the triplet loss on squared distances (Vemulapalli and Agarwala 2019, one-class triplets)."""


def rig_loss(predicted: Tensor, target: Tensor, deviation: Tensor, weight: Tensor, *, is_exact: bool) -> Tensor:
    """Error between rigs in units of each channel's standard deviation, so that rare channels count.

    Args:
        predicted: ``(B, K)``.
        target: ``(B, K)``.
        deviation: standard deviation of each channel, ``(K,)``.
        weight: of each channel, ``(K,)``; 0 masks it.
        is_exact: half the squared error, for labels that are true; else Huber's, for noisy ones. Huber's
            pulls channels that are seldom above 0 towards their median, which is 0.

    Returns:
        Scalar; the weighted mean over channels, averaged over the batch.
    """
    found, true = predicted / deviation, target / deviation
    error = (found - true).square() / 2 if is_exact else smooth_l1_loss(found, true, reduction="none")
    return (error * weight).sum(1).mean() / weight.sum()


def mine_triplets(rigs: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw triplets of a batch whose odd one out is clear from their rigs.

    Args:
        rigs: rig weights on one scale, ``(B, K)``.
        count: how many to draw; those that are not clear are dropped.
        generator: source of randomness.

    Returns:
        Indices of anchor, positive, negative, ``(T, 3)``: the first two lie within 0.6 of the
        shorter of their distances to the third.
    """
    triplets = torch.randint(len(rigs), (count, 3), generator=generator)
    distance = torch.cdist(rigs, rigs)
    sides = torch.stack([distance[triplets[:, i], triplets[:, j]] for i, j in ((0, 1), (0, 2), (1, 2))], 1)
    closest = sides.argmin(1)
    order = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 2, 0]])[closest]
    triplets = triplets.gather(1, order)
    near, far = sides.sort(1).values[:, :2].unbind(1)
    return triplets[(near > 1e-6) & (near < 0.6 * far)]


def triplet_loss(embedding: Tensor, triplets: Tensor) -> Tensor:
    """FECNet's loss in both orders: the similar pair is closer than either is to the odd one out.

    Args:
        embedding: unit length, ``(B, D)``.
        triplets: from :func:`mine_triplets`.

    Returns:
        Scalar; 0 for no triplets.
    """
    if len(triplets) == 0:
        return embedding.sum() * 0
    a, p, n = (embedding[triplets[:, k]] for k in range(3))
    near = (a - p).square().sum(1)
    return (relu(near - (a - n).square().sum(1) + MARGIN) + relu(near - (p - n).square().sum(1) + MARGIN)).mean()
