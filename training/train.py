"""Train the expression encoder on triplets, and the rig decoder along with it: the paper's second stage.

    python -m training.train --faces FACES --renders DIR [DIR ...] --out RUN --minutes 60
    python -m training.train --faces FACES --renders DIR --start PRETRAINED --backbone vit_tiny_patch16_224 \
        --patch-size 14 --teacher freeavatar/weights/default --distillation 20 --embedding-share 0.1 --out RUN
    python -m training.train --renders DIR --out /tmp/run --steps 20 --batch 16   # under a minute

FACES is a folder with images.zip and labels.csv; renders come from ``training.render_faces``. The embedding
learns from triplets: of human emotion labels and of rigs, drawn in each batch, and of lists
(``--triplets``: snapshots of labels, or what ``training.build_triplets`` makes). The feature also learns rigs:
true ones of renders, silver ones of real faces; emotions; and what a teacher
makes of the same views. A loss with weight 0 is off. The run's folder, checkpoints and several processes:
``training/engine/loop.py``.
"""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from timm.layers import DropPath
from timm.optim import param_groups_layer_decay
from torch import Tensor, nn
from torch.nn.functional import interpolate

from freeavatar.errors import WeightsError
from freeavatar.models import DecoderConfig, EncoderConfig
from freeavatar.networks import Bundle, Encoder, RigDecoder, load_bundle, save_bundle
from training.data.emotions import emotion_reader
from training.data.features import ENCODED_VIEWS
from training.data.mixture import Mixture, MixtureConfig
from training.data.starting_weights import load_backbone, load_imagenet, load_resized
from training.data.triplets import MARGINS
from training.engine.batches import Batch
from training.engine.loop import enter, run
from training.engine.optimizer import parameter_groups
from training.engine.stage import EngineConfig, Stage, device_of
from training.measure.validation import HeldOutTriplets, Validation
from training.objectives.losses import bounded, distillation_loss, emotion_loss, rig_loss, triplet_loss

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses; 0 turns one off."""

    emotion_triplets: float = 1.0
    """Triplets of human emotion labels within a batch."""
    rig_triplets: float = 1.0
    """Triplets of rigs within a batch, real faces and renders together."""
    listed_triplets: float = 2.0
    """Triplets of the files given."""
    rig: float = 1.0
    """Rigs of renders."""
    silver: float = 1.0
    """Rigs of real faces (:func:`training.data.labelled_faces.read_rigs`)."""
    emotion: float = 0.2
    """Emotions of real faces, told from the feature."""
    rig_emotion: float = 0.0
    """Emotions of real faces, read in their rigs (:func:`training.data.emotions.emotion_reader`)."""
    distillation: float = 0.0
    """Feature and embedding of the teacher."""
    embedding_share: float = 1.0
    """Of the distillation, the part of the embedding; 0 leaves it to the triplets."""


@dataclass(frozen=True)
class PartRates:
    """Factors on the learning rate of the parts of the model; 0 freezes one."""

    backbone_rate: float = 1.0
    feature_rate: float = 1.0
    """The map from the backbone to the feature."""
    decoder_rate: float = 1.0

    def __post_init__(self) -> None:
        if min(self.backbone_rate, self.feature_rate, self.decoder_rate) < 0:
            raise ValueError(f"rates are {self}, expected factors of 0 or more")


@dataclass(frozen=True)
class TrainConfig:
    """What to train, on what, and for how long."""

    engine: EngineConfig
    data: MixtureConfig
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    rates: PartRates = field(default_factory=PartRates)
    start: Path | None = None
    """Weights to start from: a bundle, a run of training.pretrain, or a ViT's public checkpoint."""
    is_pretrained: bool = True
    """Start EfficientNet-Lite0 from ImageNet weights, unless ``start`` is given."""
    teacher: Path | None = None
    """Bundle to distil from."""
    held_out: Path | None = None
    """Triplets that are looked at every ``report_every`` steps and not trained on, with the images of the others."""
    is_norm_frozen: bool = False
    """Keep batch normalisation's statistics: a short run on few pictures would forget those of real faces."""
    frozen_stages: int = 0
    """Stages of a CNN that keep weights and statistics, the stem with them: the first two of EfficientNet-Lite0, which
    see edges, take a third of the time."""
    drop_path: float = 0.0
    """How often the last of the blocks of a CNN that have a shortcut is passed over, the ones before it the less the
    earlier they come (Huang et al. 2016): labels are then harder to learn by heart."""
    layer_decay: float = 0.75
    """Factor on the rate from each block of a ViT to the one below it (He et al. 2022, table 9); 1 from scratch."""

    def __post_init__(self) -> None:
        if self.losses.distillation and self.teacher is None:
            raise ValueError("there is nobody to distil from: give --teacher, or --distillation 0")
        if self.frozen_stages and self.encoder.is_vit:
            raise ValueError("a ViT has no stages to freeze: expected --frozen-stages 0")
        if not 0 <= self.drop_path < 1 or (self.drop_path and self.encoder.is_vit):
            raise ValueError(f"drop_path is {self.drop_path}, expected a number in [0, 1), and 0 for a ViT")

    @property
    def is_backbone_shared(self) -> bool:
        """Whether the backbone stays as it is, and is the teacher's if there is one."""
        has_own = self.losses.distillation and self.start != self.teacher
        return self.rates.backbone_rate == 0 and self.is_norm_frozen and not has_own

    def encoded_views(self, total: int) -> int:
        """Views of each of ``total`` images that a shared backbone encodes once for the whole run: an even number; 0
        where the schedule is too short for that, or the backbone is trained."""
        engine = self.engine
        asked = engine.steps * engine.batch * engine.parts / total or engine.epochs or ENCODED_VIEWS
        return min(ENCODED_VIEWS, int(asked) // 2 * 2) if self.is_backbone_shared else 0


class Trainee(nn.Module):
    """Encoder and decoder with the heads that only training needs."""

    def __init__(self, config: TrainConfig, emotions: int = 0, teacher: Bundle | None = None) -> None:
        """Build it, and fill it with the weights to start from.

        Args:
            config: settings.
            emotions: number of emotions to tell apart.
            teacher: whom to imitate.

        Raises:
            WeightsError: the weights to start from are missing or of another architecture.
        """
        super().__init__()
        size = config.encoder.feature_size
        self.encoder = Encoder(config.encoder)
        self.decoder = RigDecoder(DecoderConfig(size))
        self.emotion = nn.Linear(size, emotions) if emotions else None
        self.imitate = nn.Linear(size, teacher.encoder.config.feature_size) if teacher else None
        if self.imitate is not None and config.start == config.teacher:
            nn.init.eye_(self.imitate.weight)  # a student that starts as its teacher has nothing to translate
            nn.init.zeros_(self.imitate.bias)
        self._is_norm_frozen = config.is_norm_frozen
        self._start(config)
        for part, rate in self.parts(config.rates):
            part.requires_grad_(rate > 0)
        backbone: Any = self.encoder.backbone
        if config.drop_path:
            _drop_paths(backbone, config.drop_path)
        stages = config.frozen_stages
        self._frozen = [backbone.conv_stem, backbone.bn1, *backbone.blocks[:stages]] if stages else []
        for module in self._frozen:
            module.requires_grad_(False)
        # Nobody in particular is driven here: identity codes are injected in the third stage.
        self.decoder.film.weight.requires_grad_(False)

    def parts(self, rates: PartRates) -> list[tuple[nn.Module, float]]:
        """The parts whose learning rate has a factor, with it; all others have 1."""
        encoder = self.encoder
        return [
            (encoder.backbone, rates.backbone_rate),
            (encoder.reduce, rates.backbone_rate),
            (encoder.project, rates.feature_rate),
            (self.decoder, rates.decoder_rate),
        ]

    def forward(self, views: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features ``(B, F)``, embeddings ``(B, 16)``, unbounded rigs ``(count, 52)`` of the first views, and what the
        backbone gave; instead of views ``(B, 1, S, S)`` that may be given, too, ``(B, P)``."""
        pooled = views if views.ndim == 2 else self.encoder.pool(views)
        feature, embedding = (values.float() for values in self.encoder.from_pooled(pooled))
        return feature, embedding, self.decoder.unbounded(feature[:count]).float(), pooled

    def train(self, mode: bool = True) -> "Trainee":
        """Set training mode, but for what is frozen."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        if self._is_norm_frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def _start(self, config: TrainConfig) -> None:
        backbone: Any = self.encoder.backbone
        if config.start is None:
            if config.is_pretrained and not config.encoder.is_vit:
                load_imagenet(backbone)
        elif (config.start / "encoder.safetensors").is_file():
            bundle = load_bundle(config.start)
            source, size = bundle.encoder, config.encoder.image_size
            if config.encoder.has_cells and replace(source.config, image_size=size) == config.encoder:
                load_resized(self.encoder, source)
            else:
                _load_part(self.encoder, source, config.start)
            _load_part(self.decoder, bundle.decoder, config.start)
        else:
            load_backbone(backbone, config.start)


def _drop_paths(backbone: Any, rate: float) -> None:
    blocks = [block for stage in backbone.blocks for block in stage if block.has_skip]
    for number, block in enumerate(blocks, 1):
        block.drop_path = DropPath(rate * number / len(blocks))


def _load_part(module: Any, source: Any, folder: Path) -> None:
    if module.config != source.config:
        raise WeightsError(
            "{} is of another architecture ({}): expected {}; name its settings.", folder, source.config, module.config
        )
    module.load_state_dict(source.state_dict())


class Objective:
    """The sum of the losses."""

    def __init__(self, mixture: Mixture, config: TrainConfig, device: torch.device, teacher: Bundle | None) -> None:
        self._weights, self._teacher = config.losses, teacher
        self._is_shared = config.is_backbone_shared
        self._real, self._rendered, _ = mixture.counts
        self._rendered_std = mixture.rendered_std.clamp_min(0.08).to(device)
        self._silver_std = mixture.silver_std.clamp_min(0.08).to(device)
        has_emotions, has_rigs, has_lists = bool(mixture.classes), any(mixture.counts[:2]), bool(mixture.counts[2])
        sources = {"emotion_triplets": has_emotions, "rig_triplets": has_rigs, "listed_triplets": has_lists}
        is_read = has_emotions and config.losses.rig_emotion
        self._reader = tuple(part.to(device) for part in emotion_reader(mixture.classes)) if is_read else None
        self._absent = {name for name, has_source in sources.items() if not has_source}

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Weighted losses of a batch of :class:`Mixture`."""
        is_encoded = "pooled" in batch
        views = batch["pooled"].float() if is_encoded else batch["views"].contiguous(memory_format=torch.channels_last)
        feature, embedding, rigs, pooled = model(views, len(batch["rigs"]))
        found = {
            "emotion_triplets": triplet_loss(embedding, batch["by_emotion"], MARGINS[2]),
            "rig_triplets": triplet_loss(embedding, batch["by_rig"], MARGINS[1]),
            "listed_triplets": triplet_loss(embedding, batch["by_list"], batch["margins"]),
            **self._rig_losses(rigs, batch["rigs"]),
        }
        if self._reader is not None:
            matrix, offset = self._reader
            read = bounded(rigs[: self._real]) @ matrix + offset
            found["rig_emotion"] = emotion_loss(read, batch["emotions"])
        if model.emotion is not None:
            found["emotion"] = emotion_loss(model.emotion(feature[: self._real]).float(), batch["emotions"])
        if self._teacher is not None:
            found["distillation"] = distillation_loss(
                model.imitate(feature).float(), embedding, self._taught(views, pooled if self._is_shared else None),
                embedding_share=self._weights.embedding_share,
            )  # fmt: skip
        weights = {name: getattr(self._weights, name) for name in found if name not in self._absent}
        return {name: weight * found[name] for name, weight in weights.items() if weight}

    def _rig_losses(self, found: Tensor, true: Tensor) -> dict[str, Tensor]:
        """On rigs of renders, which are true, and of real faces, which are guessed."""
        losses, real = {}, self._real
        if self._rendered:
            losses["rig"] = rig_loss(found[real:], true[real:], self._rendered_std)
        if real:
            losses["silver"] = rig_loss(found[:real], true[:real], self._silver_std)
        return losses

    def _taught(self, views: Tensor, pooled: Tensor | None) -> tuple[Tensor, Tensor]:
        """The teacher's feature and embedding of the same views; of what a backbone that both share made of them."""
        assert self._teacher is not None
        encoder = self._teacher.encoder
        size = encoder.config.image_size
        with torch.no_grad():
            if pooled is None:
                if size != views.shape[-1]:
                    views = interpolate(views, (size, size), mode="bilinear", antialias=True)
                pooled = encoder.pool(views)
            feature, embedding = encoder.from_pooled(pooled)
        return feature.float(), embedding.float()


def export_bundle(config: TrainConfig, inherited: Bundle | None, model: Any, info: dict[str, Any]) -> None:
    """Write encoder and decoder as a bundle, with the renderer and the identities of the one they began with."""
    made = Bundle(model.encoder, model.decoder, info)
    if inherited is not None:
        made = replace(made, neural_renderer=inherited.neural_renderer, identities=inherited.identities)
    save_bundle(config.engine.out / "weights", made)


def groups_of(config: TrainConfig, model: Any) -> list[dict[str, Any]]:
    """Parameter groups; in a ViT the rate falls from block to block downwards."""
    decay, groups = config.engine.weight_decay, []
    parts = model.parts(config.rates)
    for part, rate in parts:
        is_layered = part is model.encoder.backbone and config.encoder.is_vit
        own = (
            param_groups_layer_decay(part, decay, layer_decay=config.layer_decay)
            if is_layered
            else (parameter_groups(part, decay))
        )
        groups += [{**group, "lr_scale": rate * group.get("lr_scale", 1.0)} for group in own]
    taken = {id(p) for part, _ in parts for p in part.parameters()}
    rest = nn.ParameterList(p for p in model.parameters() if id(p) not in taken)
    return [group for group in groups + parameter_groups(rest, decay) if group["params"]]


def open_mixture(config: TrainConfig, **more: Any) -> Mixture:
    """The data of a run.

    Args:
        config: settings.
        more: what :class:`Mixture` takes besides.

    Raises:
        InputError: a source is missing.
    """
    engine = config.engine
    return Mixture(
        config.data, batch=engine.batch, parts=engine.parts, view=config.encoder.image_size, seed=engine.seed,
        cache=engine.out.parent, **more,
    )  # fmt: skip


def make_report(config: TrainConfig, device: torch.device) -> Callable[[Any, int], dict[str, float]]:
    """What looks at a model while it trains: on labelled faces, on held-out triplets, on both or on nothing."""
    more: Any = {"cache": config.data.cache or config.engine.out.parent, "view": config.encoder.image_size}
    faces = Validation(config.data.faces, **more) if config.data.faces else None
    held_out = HeldOutTriplets(config.held_out, images=config.data.triplet_images, **more) if config.held_out else None

    def report(model: Any, step: int) -> dict[str, float]:
        numbers = {"val_triplet_accuracy": faces.accuracy(model.encoder, device)} if faces else {}
        if held_out:
            figure = held_out.figure(model.encoder, device)
            numbers |= {"held_out": figure.value, "held_out_low": figure.low, "held_out_high": figure.high}
        return numbers

    return report


def hashes_of(data: MixtureConfig) -> dict[str, str]:
    """Sha256 of each file of triplets."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in data.triplets}


def train(config: TrainConfig, **more: Any) -> Path:
    """Train to the end of the schedule.

    Args:
        config: settings.
        more: what :func:`training.engine.loop.run` takes.

    Returns:
        The folder of the weights.

    Raises:
        InputError, WeightsError: data or weights to start from are missing or do not fit.
        FloatingPointError: the loss is not finite.
    """
    torch.manual_seed(config.engine.seed)
    device, mixture = device_of(config.engine), open_mixture(config)
    teacher = load_bundle(config.teacher, device=device) if config.teacher and config.losses.distillation else None
    model = Trainee(config, len(mixture.classes) if config.losses.emotion else 0, teacher)
    model = model.to(device).to(memory_format=torch.channels_last)
    if views := config.encoded_views(mixture.total):
        mixture.encode(model.encoder.eval(), views=views, cache=config.engine.out.parent, device=device)
    report = make_report(config, device) if config.engine.report_every else None
    inherited = load_bundle(config.start) if config.start and (config.start / "encoder.safetensors").is_file() else None
    stage = Stage(
        model=model, draw=mixture.draw, names=mixture.names, prepare=mixture.prepare,
        loss=Objective(mixture, config, device, teacher), export=partial(export_bundle, config, inherited),
        total=mixture.total, groups=partial(groups_of, config), sources=hashes_of(config.data), report=report,
    )  # fmt: skip
    run(stage, config.engine, config, **more)
    return config.engine.out / "weights"


if __name__ == "__main__":
    enter(lambda: train(tyro.cli(TrainConfig, description=__doc__, config=(tyro.conf.OmitArgPrefixes,))))
