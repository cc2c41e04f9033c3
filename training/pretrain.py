"""Pre-train a ViT on unlabelled faces as a masked autoencoder (He et al. 2022), the paper's first stage.

    python -m training.pretrain vit_tiny_112 --images FACES/images.zip RENDERS --labels FACES/labels.csv --out RUN
    python -m training.pretrain vit_base_224 --images FOLDER --align --out RUN     # the paper's; a GPU cluster
    python -m training.pretrain vit_tiny_112 --images RENDERS --out /tmp/mae --steps 10 --batch 16  # under a minute

Images are upright luma crops with the loose margin; ``--align`` finds the faces of any photos and cuts them out.
Three quarters of the patches are hidden, the encoder sees the rest, and a light decoder fills in the hidden ones.
``RUN/weights`` is what ``training.train --start RUN`` begins with; ``RUN/pictures`` shows originals, masks and
reconstructions. RENDERS stands for a folder of ``training.render_faces``.
"""

import json
import logging
import math
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from safetensors.torch import save_file
from torch import Tensor, nn

from freeavatar.errors import InputError
from freeavatar.files import make_folder, replacing, write_png
from freeavatar.models import EncoderConfig
from training.data.augment import cut_views, draw_jitter
from training.data.images import ImagePool, crop_size, list_images, open_images
from training.data.labelled_faces import read_rows
from training.data.starting_weights import BACKBONE
from training.data.triplets import split_id
from training.engine.batches import Batch, generator_of, shuffled
from training.engine.loop import enter, run
from training.engine.stage import EngineConfig, Stage, device_of
from training.objectives.masked import MaskedAutoencoder, MaskedConfig

logger = logging.getLogger(__name__)

PICTURED = 8
"""Images in a picture of reconstructions."""


@dataclass(frozen=True)
class PretrainConfig:
    """What to pre-train, and on what."""

    images: tuple[Path, ...]
    """Folders and zips of images, and folders of renders."""
    engine: EngineConfig
    encoder: EncoderConfig
    masked: MaskedConfig
    align: bool = False
    """Find the faces and cut them out; without it images are crops as ``labels.csv`` describes them."""
    labels: Path | None = None
    """labels.csv: images of its val split are left out."""
    picture_epochs: float = 1.0
    """Passes over the images between two pictures; 0 for none."""
    cache: Path | None = None
    """Folder for decoded images; by default the one the run's folder lies in."""

    def __post_init__(self) -> None:
        if not self.images:
            raise ValueError("there are no images: give folders or zips after --images")
        if not self.encoder.is_vit:
            raise ValueError(f"{self.encoder.backbone} has no patches to mask, expected a ViT")


PRESETS = {
    "vit_tiny_112": (
        "ViT-Tiny on 112-pixel views, for two cores. Patches of 14 pixels: their 196 values fit the token's 192 "
        "dimensions, and 64 of them cost 1.3 times the 49 of 16 pixels, where the 196 of 8 pixels cost 4 times.",
        PretrainConfig(
            images=tyro.MISSING,
            engine=EngineConfig(
                out=tyro.MISSING, epochs=40, batch=128, rate=1.5e-3, rate_images=256, warmup=0.1,
                weight_decay=0.05, betas=(0.9, 0.95), ema=0.99, precision="bf16",
            ),
            encoder=EncoderConfig("vit_tiny_patch16_224", 112, patch_size=14),
            masked=MaskedConfig(decoder_size=128, decoder_depth=2, decoder_heads=4),
        ),
    ),
    "vit_base_224": (
        "The paper's ViT-Base on 224-pixel views with the recipe of He et al.: 4,096 images a step; set --parts to "
        "a multiple of the GPUs.",
        PretrainConfig(
            images=tyro.MISSING,
            engine=EngineConfig(
                out=tyro.MISSING, epochs=400, batch=256, parts=16, rate=1.5e-4, rate_images=256, warmup=0.1,
                weight_decay=0.05, betas=(0.9, 0.95), ema=0.0, precision="bf16", workers=4,
            ),
            encoder=EncoderConfig("vit_base_patch16_224", 224, feature_size=768),
            masked=MaskedConfig(decoder_size=512, decoder_depth=8, decoder_heads=16),
        ),
    ),
}  # fmt: skip
"""What ``python -m training.pretrain NAME`` starts from."""


def open_pool(config: PretrainConfig) -> ImagePool:
    """The images to pre-train on.

    Raises:
        InputError: a source is missing or empty, or no image is left.
    """
    ids = list_images(config.images)
    if config.labels is not None:
        held_out = {row["file"] for row in read_rows(config.labels, split="val")}
        ids = [name for name in ids if _file_name(name) not in held_out]
        if not ids:
            raise InputError("{} leaves no image of {} to train on.", config.labels, ", ".join(map(str, config.images)))
    return open_images(
        ids,
        cache=config.cache or config.engine.out.parent,
        size=crop_size(config.encoder.image_size),
        is_aligned=not config.align,
    )


def _file_name(name: str) -> str:
    path, member = split_id(name)
    return Path(member or path).name


class MaskedViews:
    """Views and masks of a step, as a function of its number."""

    def __init__(self, pool: ImagePool, config: PretrainConfig) -> None:
        self._pool, self._config = pool, config
        self._patches = (config.encoder.image_size // config.encoder.patch_size) ** 2

    def index(self, step: int, part: int) -> np.ndarray:
        """Numbers of the images of a part of a step, ``(B,)``."""
        engine = self._config.engine
        start = (step * engine.parts + part) * engine.batch
        return shuffled(len(self._pool), start, engine.batch, seed=engine.seed)

    def names(self, step: int, part: int) -> list[str]:
        """Their ids."""
        return [self._pool.ids[k] for k in self.index(step, part)]

    def draw(self, step: int, part: int) -> Batch:
        """Crops, with what is done to them, and ``order`` (B, N): the patches shuffled; the first stay visible."""
        generator = generator_of(self._config.engine.seed, 0, step, part)
        crops = torch.from_numpy(self._pool.gather(self.index(step, part)))[:, None]
        mirror = torch.rand(len(crops), generator=generator) < 0.5
        jitter = draw_jitter(self._config.encoder.image_size, mirror, generator, relight=False)
        order = torch.rand(len(crops), self._patches, generator=generator).argsort(1)
        return {"crops": crops, "order": order, **jitter}

    def prepare(self, batch: Batch) -> Batch:
        """A batch with its ``views`` (B, 1, S, S) in the place of the crops, on its device."""
        return cut_views(batch, self._config.encoder.image_size)


def masked_loss(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Mean squared error on the hidden patches, each normalised by its own mean and deviation."""
    return {"pixels": model(batch["views"], batch["order"])}


def export_backbone(config: PretrainConfig, model: Any, info: dict[str, Any]) -> None:
    """Write the encoder's weights in timm's names, and config.json beside them."""
    folder = make_folder(config.engine.out / "weights")
    state = {name: values.contiguous() for name, values in model.backbone.state_dict().items()}
    with replacing(folder / BACKBONE) as temporary:
        save_file(state, temporary)
        temporary.chmod(0o644)
    with replacing(folder / "config.json") as temporary:
        temporary.write_text(json.dumps({"encoder": asdict(config.encoder), "info": info}, indent=1))


def picture_of(model: Any, batch: Batch) -> np.ndarray:
    """Originals, what the encoder sees of them, and reconstructions below one another, HWC uint8 RGB."""
    with torch.no_grad():
        rows = [batch["views"], *model.reconstruct(batch["views"], batch["order"])]
    grid = torch.cat([torch.cat(list(row[:, 0].float().cpu()), dim=1) for row in rows])
    return np.repeat((grid.clamp(0, 1) * 255).round().byte().numpy()[:, :, None], 3, axis=2)


def pretrain(config: PretrainConfig) -> Path:
    """Pre-train to the end of the schedule and return the folder of the weights.

    Raises:
        InputError: images are missing, or the run's folder holds another run.
        FloatingPointError: the loss is not finite.
    """
    engine = config.engine
    torch.manual_seed(engine.seed)
    pool = open_pool(config)
    logger.info("%d images", len(pool))
    every = math.ceil(config.picture_epochs * len(pool) / (engine.batch * engine.parts))
    device = device_of(engine)
    views = MaskedViews(pool, config)

    def report(model: nn.Module, step: int) -> dict[str, float]:
        drawn = {name: values[:PICTURED].to(device) for name, values in views.draw(0, 0).items()}
        batch = views.prepare(drawn)
        write_png(picture_of(model, batch), make_folder(engine.out / "pictures") / f"step_{step:07d}.png")
        return {}

    stage = Stage(
        model=MaskedAutoencoder(config.encoder, config.masked).to(device),
        draw=views.draw, names=views.names, loss=masked_loss, export=partial(export_backbone, config),
        total=len(pool), report=report, prepare=views.prepare,
    )  # fmt: skip
    run(stage, replace(engine, report_every=every), config)
    return engine.out / "weights"


if __name__ == "__main__":
    enter(
        lambda: pretrain(
            tyro.extras.overridable_config_cli(PRESETS, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))
        )
    )
