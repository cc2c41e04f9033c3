"""A look at a run while it trains: triplet accuracy on people, or on answers, that it does not see."""

from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import nn

from freeavatar.errors import InputError
from freeavatar.networks import view_of_crops
from training.data.images import ImagePool, crop_size, open_images
from training.data.labelled_faces import image_ids, read_rows
from training.data.triplets import read_triplets
from training.measure.figures import Figure, bootstrap, draw_label_triplets, triplet_hits


class Validation:
    """Triplet accuracy on the emotions of the val split, which nothing is trained on."""

    def __init__(self, faces: Path, *, cache: Path, view: int, images: int = 1500) -> None:
        """Open the images.

        Args:
            faces: folder with images.zip and labels.csv.
            cache: folder for decoded images.
            view: side of the views in pixels.
            images: how many to take; evenly spread over the split.
        """
        rows = [row for row in read_rows(faces / "labels.csv", split="val") if row.get("emotion")]
        rows = rows[:: max(1, len(rows) // images)]
        counts = Counter(row["emotion"] for row in rows)
        rows = [row for row in rows if counts[row["emotion"]] > 1]
        if len({row["emotion"] for row in rows}) < 2:
            raise InputError(
                "{} compares no two emotions in its val split: give --report-every 0.", faces / "labels.csv"
            )
        ids = image_ids(faces, rows)
        self._pool = open_images(ids, cache=cache, size=crop_size(view))
        self._triplets = draw_label_triplets([row["emotion"] for row in rows])
        self._view = view

    def accuracy(self, encoder: nn.Module, device: torch.device) -> float:
        """Share of triplets whose first two are closest, in [0, 1]."""
        embedding = embed_pool(self._pool, encoder, device, self._view)
        return float(triplet_hits(*(embedding[self._triplets[:, k]] for k in range(3))).mean())


class HeldOutTriplets:
    """Triplet accuracy on answers that nothing is trained on."""

    def __init__(self, path: Path, *, images: Path | None, cache: Path, view: int) -> None:
        """Open the images.

        Args:
            path: the triplets.
            images: folder of their images; default the file's own.
            cache: folder for decoded images.
            view: side of the views in pixels.
        """
        self.triplets = read_triplets(path, images=images)
        self._pool = open_images(self.triplets.images, cache=cache, size=crop_size(view))
        self._view = view

    def hits(self, encoder: nn.Module, device: torch.device) -> np.ndarray:
        """Whether the first two of each triplet are closest, ``(T,)`` bool."""
        embedding = embed_pool(self._pool, encoder, device, self._view)
        return triplet_hits(*(embedding[self.triplets.index[:, k]] for k in range(3)))

    def figure(self, encoder: nn.Module, device: torch.device) -> Figure:
        """Share of hits, with its interval."""
        return bootstrap(self.hits(encoder, device), self.triplets.index, chance=1 / 3)


@torch.no_grad()
def embed_pool(pool: ImagePool, encoder: nn.Module, device: torch.device, view: int) -> np.ndarray:
    """Embeddings ``(N, 16)`` of a whole pool."""
    found = []
    for start in range(0, len(pool), 64):
        rows = np.arange(start, min(start + 64, len(pool)))
        crops = torch.from_numpy(pool.gather(rows))[:, None].float() / 255
        found.append(encoder(view_of_crops(crops, view).to(device))[1].float().cpu())
    return torch.cat(found).numpy()
