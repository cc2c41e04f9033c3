"""Train one rig decoder for all avatars, by perception: the paper's third stage.

    python -m training.train_emb2rig_multichar training/configs_emb2rig_multi.yaml
    python -m training.train_emb2rig_multichar training/configs_emb2rig_multi.yaml --pretrained RUN/weights \
        --neural-renderer RIG2IMG/weights --engine.out OUT --engine.minutes 20
    python -m training.train_emb2rig_multichar training/configs_emb2rig_multi.yaml --mode test --test.source clip.mp4

The decoder sees an expression's feature and the identity code of the avatar that is to play it. Rigs of renders
are known (``rig``, ``image``); a real face is played by an avatar, drawn by the neural renderer, and looked at by the
encoder: what that sees should be what it saw in the face (``perceptual``). Encoder and renderer never move; the
gradient goes through both. Silver labels of real faces may help (``silver``). The features of all images are encoded
once. Without labelled faces, as after a fine-tune (``configs_refit.yaml``), pictures without labels and the
renders are played, and ``distillation`` keeps the rigs to those of the bundle before. ``OUT/weights`` is a whole
bundle. Checkpoints and several processes: ``training/engine/loop.py``.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_type_hints

import torch
import tyro
import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from freeavatar.avatars import builtin_avatars, load_avatar
from freeavatar.errors import InputError
from freeavatar.models import DEFAULT_WEIGHTS, choose_device, open_bundle
from freeavatar.models.library import convert_bundle
from freeavatar.networks import Bundle, Identities, Identity, load_bundle, load_renderer, save_bundle
from training.data.expressions import ExpressionConfig, Expressions
from training.data.portraits import Portraits, read_portraits
from training.engine.loop import enter, run
from training.engine.stage import EngineConfig, Stage, device_of
from training.objectives.animator import AnimatorLosses, AnimatorObjective, Renderers, Student, make_judge


@dataclass(frozen=True)
class TestConfig:
    """What to animate in mode test."""

    source: Path = Path("examples/actor.mp4")
    """Video, image or folder of images."""
    out: Path = Path("test")
    avatars: tuple[str, ...] = ("ines", "pip", "moss")


@dataclass(frozen=True)
class AnimatorConfig:
    """What to train, on what, and for how long."""

    engine: EngineConfig
    data: ExpressionConfig
    portraits: Path = Path("portraits")
    """Folder of training.render_portraits."""
    losses: AnimatorLosses = field(default_factory=AnimatorLosses)
    test: TestConfig = field(default_factory=TestConfig)
    mode: Literal["train", "test"] = "train"
    pretrained: Path | None = None
    """Bundle to begin with; default the one that ships."""
    teacher: Path | None = None
    """Bundle whose rigs to keep to, by its own encoder and decoder; None keeps to nobody's."""
    neural_renderer: Path | None = None
    """Run of training.train_rig2img, or a bundle; default that of ``pretrained``."""
    renderer: Renderers = "neural"
    """What draws the avatars in training."""
    identity: Literal["encoder", "learned"] = "encoder"
    """Where identity codes come from."""
    perceived: int = 12
    """Faces, and renders, of a batch that are drawn and looked at again."""
    is_fresh: bool = False
    """Begin with an untrained decoder."""
    cache: Path | None = None
    """Folder for features and decoded images; by default the one the run's folder lies in."""

    def __post_init__(self) -> None:
        if self.renderer == "mesh" and self.data.cast_share < 1:
            raise ValueError("the mesh draws avatars that have a name of their own alone: set data.cast_share to 1")
        if self.losses.silver and self.data.faces is None:
            raise ValueError("only labelled faces have silver labels: give data.faces, or set losses.silver to 0")
        if self.losses.distillation and self.teacher is None:
            raise ValueError("there are nobody's rigs to keep to: give teacher, or set losses.distillation to 0")


def read_config(path: Path) -> AnimatorConfig:
    """The configuration in a YAML file.

    Raises:
        InputError: no such file, or it does not say what it should.
    """
    if not path.is_file():
        raise InputError("{} does not exist: give a YAML file such as training/configs_emb2rig_multi.yaml.", path)
    try:
        return TypeAdapter(AnimatorConfig).validate_python(yaml.safe_load(path.read_text()) or {})
    except yaml.YAMLError as error:
        raise InputError(
            "{} is no YAML ({}): compare it with the one that ships.", path, str(error).splitlines()[0]
        ) from error
    except ValidationError as error:
        raise InputError("{}{}.", path.name, _said(error)) from error


def _said(error: ValidationError) -> str:
    """The first thing that is wrong with a configuration, from its place on."""
    first = error.errors()[0]
    place = "".join(f", {name}" for name in first["loc"])
    if first["type"] != "unexpected_keyword_argument":
        return f"{place} is {first['input']!r}: {first['msg']}"
    kind: Any = AnimatorConfig
    for name in first["loc"][:-1]:
        kind = get_type_hints(kind)[str(name)]
    return f"{place}: expected {', '.join(item.name for item in fields(kind))}"


# A misspelt name is an error, not ignored.
for _kind in (AnimatorConfig, EngineConfig, ExpressionConfig, AnimatorLosses, TestConfig):
    _kind.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[union-attr]


def identities_of(
    drawn: Identities, portraits: Portraits, named: Iterable[str], codes: torch.Tensor
) -> dict[str, Identity]:
    """Identities of avatars: maps as the renderer learned them, codes as the identity encoder sees."""
    known = {}
    for name in named:
        avatar = load_avatar(name)
        identity = drawn.get(name) or Identity(avatar.target_names, torch.from_numpy(avatar.drive))
        with torch.no_grad():
            identity.code.copy_(codes[portraits.names.index(name)])
        known[name] = identity
    return known


def train(config: AnimatorConfig, **more: Any) -> Path:
    """Train to the end of the schedule and return the folder of the bundle.

    Raises:
        InputError, WeightsError: data or weights to begin with are missing or do not fit.
        FloatingPointError: the loss is not finite.
    """
    engine = config.engine
    torch.manual_seed(engine.seed)
    device, portraits = device_of(engine), read_portraits(config.portraits)
    bundle = load_bundle(config.pretrained or DEFAULT_WEIGHTS, device=device)
    teacher = load_bundle(config.teacher, device=device) if config.teacher and config.losses.distillation else None
    renderer, drawn = load_renderer(config.neural_renderer or config.pretrained or DEFAULT_WEIGHTS, device=device)
    cast = tuple(name for name in portraits.names if name in builtin_avatars())
    named = config.data.avatars or cast
    judge = make_judge(config.renderer, bundle.encoder, renderer, portraits, device)
    codes = judge.appearance.code
    expressions = Expressions(
        config.data, bundle.encoder, portraits, batch=engine.batch, cache=config.cache or engine.out.parent,
        seed=engine.seed, device=device, named=named, teacher=teacher.encoder if teacher else None,
    )  # fmt: skip
    decoder = bundle.decoder
    if config.is_fresh:
        decoder = type(decoder)(decoder.config).to(device)
    known = identities_of(drawn, portraits, {*cast, *named}, codes)
    student = Student(
        decoder, {name: known[name] for name in named}, codes=codes, is_code_learned=config.identity == "learned",
    ).to(device)  # fmt: skip
    declared = {
        name: torch.from_numpy(load_avatar(name).drive).to(device)
        for name in named if not student.identities[name].is_arkit
    }  # fmt: skip
    objective = AnimatorObjective(
        judge, config.losses, expressions.deviations(device), declared, config.perceived,
        teacher.decoder if teacher else None,
    )  # fmt: skip

    def export(model: Any, info: dict[str, Any]) -> None:
        identities = {**bundle.identities, **known, **model.identities}
        with torch.no_grad():
            for name, identity in model.identities.items():
                identity.code.copy_(model.codes[portraits.names.index(name)])
        inherited = {name: value for name, value in bundle.info.items() if name != "gains"}  # of another decoder
        described = {**inherited, "animator": info}
        save_bundle(engine.out / "weights", Bundle(bundle.encoder, model.decoder, described, renderer, identities))

    stage = Stage(
        model=student, draw=expressions.draw, names=expressions.names, loss=objective, export=export,
        total=expressions.total,
    )  # fmt: skip
    run(stage, engine, config, **more)
    return engine.out / "weights"


def test(config: AnimatorConfig) -> list[Path]:
    """Animate ``config.test.source`` side by side with its avatars, and return the files."""
    from freeavatar.pipeline import AnimateOptions, animate  # reads videos, which a machine that trains need not

    folder = config.pretrained or DEFAULT_WEIGHTS
    convert_bundle(folder)
    bundle = open_bundle(folder, device=choose_device(config.engine.device))
    options = AnimateOptions(device=config.engine.device)
    report = animate(config.test.source, config.test.avatars, out=config.test.out, bundle=bundle, options=options)
    print(report.summary())
    return report.paths


def main(arguments: Sequence[str]) -> None:
    """Read the YAML file named first, if one is, and what follows it, and train or test."""
    if arguments and not arguments[0].startswith("-"):
        more: dict[str, Any] = {"args": arguments[1:], "default": read_config(Path(arguments[0]))}
    else:
        more = {"args": arguments or ["--help"]}
    config = tyro.cli(AnimatorConfig, description=__doc__, **more)
    (train if config.mode == "train" else test)(config)


if __name__ == "__main__":
    enter(partial(main, sys.argv[1:]))
