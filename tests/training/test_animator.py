import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from freeavatar.avatars import load_avatar
from freeavatar.errors import InputError
from freeavatar.models import DecoderConfig, EncoderConfig, open_bundle
from freeavatar.networks import (
    Bundle,
    Encoder,
    Identity,
    NeuralRenderer,
    NeuralRendererConfig,
    RigDecoder,
    load_bundle,
    save_bundle,
    to_luma,
)
from freeavatar.rig import ARKIT
from tests.bundles import make_bundle
from tests.files import ROOT
from tests.jobs import make_portraits
from training import train_emb2rig_multichar
from training.data.expressions import ExpressionConfig, Expressions
from training.data.portraits import Portraits, read_portraits
from training.engine.batches import Batch
from training.engine.loop import EngineConfig
from training.engine.metrics import read_metrics
from training.objectives.animator import (
    AnimatorLosses,
    AnimatorObjective,
    MeshJudge,
    Student,
    bounded,
    look,
    make_judge,
)
from training.objectives.losses import picture_loss
from training.train_emb2rig_multichar import AnimatorConfig, main, read_config, train

SHIPPED = ROOT / "training" / "configs_emb2rig_multi.yaml"
REFIT = SHIPPED.with_name("configs_refit.yaml")
CAST = ("ines", "pip")


def write_faces(folder: Path) -> Path:
    rng, names = np.random.default_rng(1), [n for n in ARKIT if n != "tongueOut"]
    folder.mkdir()
    lines = [",".join(["file", "split", "emotion", *names])]
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for k in range(12):
            archive.writestr(f"{k}.jpg", cv2.imencode(".jpg", rng.integers(0, 255, (144, 144), np.uint8))[1].tobytes())
            lines.append(",".join([f"{k}.jpg", "train", "joy", *(f"{v:.3f}" for v in rng.random(51))]))
    (folder / "labels.csv").write_text("\n".join(lines))
    return folder


def write_renders(folder: Path) -> Path:
    rng = np.random.default_rng(2)
    folder.mkdir()
    np.save(folder / "crops.npy", rng.integers(0, 255, (12, 144, 144), np.uint8))
    np.save(folder / "rigs.npy", rng.random((12, 52)).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(image_size=112, feature_size=16)).eval().requires_grad_(False)
    renderer = NeuralRenderer(NeuralRendererConfig(hidden_size=24, plan_size=4)).eval().requires_grad_(False)
    torch.nn.init.normal_(renderer.out.weight, std=0.05)
    avatars = [load_avatar(name) for name in CAST]
    known = {a.name: Identity(a.target_names, torch.from_numpy(a.drive)) for a in avatars}
    return Bundle(encoder, RigDecoder(DecoderConfig(16, hidden_size=24)), {}, renderer, known)


@pytest.fixture(scope="module")
def material(bundle, tmp_path_factory) -> Path:
    """Portraits, faces, renders, and a bundle."""
    folder = tmp_path_factory.mktemp("material")
    make_portraits(folder / "portraits", (*CAST, "random_0000"))
    write_faces(folder / "faces"), write_renders(folder / "renders")
    save_bundle(folder / "bundle", bundle)
    return folder


@pytest.fixture
def parts(bundle, material, tmp_path):
    """Student, objective and a batch; the losses are for the test to choose."""
    device, portraits = torch.device("cpu"), read_portraits(material / "portraits")

    def build(losses: AnimatorLosses, kind="neural") -> tuple[Student, AnimatorObjective, Batch]:
        judge = make_judge(kind, bundle.encoder, bundle.neural_renderer, portraits, device)
        config = ExpressionConfig(material / "faces", (material / "renders",))
        expressions = Expressions(
            config, bundle.encoder, portraits, batch=16, cache=material, seed=0, device=device, named=CAST
        )
        fresh = RigDecoder(bundle.decoder.config)
        fresh.load_state_dict(bundle.decoder.state_dict())
        known = {name: _copy(identity) for name, identity in bundle.identities.items()}
        student = Student(fresh, known, codes=judge.appearance.code, is_code_learned=False)
        declared = {"pip": bundle.identities["pip"].drive.detach().clone()}
        return (
            student,
            AnimatorObjective(judge, losses, expressions.deviations(device), declared, 6),
            expressions.draw(0, 0),
        )

    return build


def _copy(identity: Identity) -> Identity:
    made = Identity(identity.names, identity.drive.detach())
    made.load_state_dict(identity.state_dict())
    return made


ONLY = AnimatorLosses(0, 0, 0, 0, 0, 0, 0)


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_the_perceptual_gradient_reaches_the_decoder_and_moves_nothing_frozen(parts, bundle):
    student, objective, batch = parts(replace(ONLY, perceptual=1.0))
    frozen = [snapshot(bundle.encoder), snapshot(bundle.neural_renderer)]
    losses = objective(student, batch)
    assert set(losses) == {"perceptual"}
    losses["perceptual"].backward()
    for name, parameter in student.decoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name
    assert student.identities["pip"].drive.grad.abs().sum() > 0
    torch.optim.SGD([p for p in student.parameters() if p.requires_grad], 0.1).step()
    for before, module in zip(frozen, (bundle.encoder, bundle.neural_renderer), strict=True):
        assert all(p.grad is None for p in module.parameters())
        assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert student.identities["ines"].drive.grad is None, "ARKit's blendshapes are driven as they are"


def test_pictures_are_looked_at_in_the_size_of_the_encoder():
    encoder = Encoder(EncoderConfig(image_size=64, feature_size=16)).eval()
    pictures = torch.rand(2, 3, 112, 112, requires_grad=True)
    feature, embedding = look(encoder, pictures)
    expected = encoder(to_luma(interpolate(pictures, (64, 64), mode="bilinear", antialias=True)))
    torch.testing.assert_close((feature, embedding), expected)
    embedding[0].sum().backward()
    assert pictures.grad[0].abs().sum() > 0


def test_the_error_within_regions_is_that_of_one_picture_however_many_there_are():
    region = torch.zeros(1, 1, 8, 8)
    region[..., 2:4, 2:4] = 1
    found, true = torch.full((6, 3, 8, 8), 0.5), torch.zeros(6, 3, 8, 8)
    assert picture_loss(found, true, region, 10.0)["regions"] == pytest.approx(5.0)


@pytest.mark.parametrize("name", ["rig", "image", "silver", "symmetry"])
def test_every_loss_moves_the_decoder(parts, name):
    student, objective, batch = parts(replace(ONLY, **{name: 1.0}))
    losses = objective(student, batch)
    assert set(losses) == {name}
    losses[name].backward()
    assert student.decoder.hidden.weight.grad.abs().sum() > 0


def test_controls_are_held_to_what_the_file_declares(parts):
    student, objective, batch = parts(replace(ONLY, drive=1.0))
    assert objective(student, batch)["drive"] == 0
    with torch.no_grad():
        student.identities["pip"].drive += 0.1
    assert objective(student, batch)["drive"] > 0


def test_the_mesh_may_draw_in_the_neural_renderers_place(parts):
    student, objective, batch = parts(replace(ONLY, perceptual=1.0), kind="mesh")
    assert isinstance(objective._judge, MeshJudge)
    few = {"avatars": torch.tensor([0, 1]), "feature": batch["feature"][:2], "embedding": batch["embedding"][:2],
           "rendered": batch["rendered"], "players": batch["players"]}  # fmt: skip
    objective(student, {**batch, **few})["perceptual"].backward()
    assert student.decoder.hidden.weight.grad.abs().sum() > 0


def test_bounded_weights_are_clamped_and_can_come_back():
    weights = torch.tensor([-0.5, 0.5, 2.0], requires_grad=True)
    bounded(weights).sum().backward()
    torch.testing.assert_close(bounded(weights).detach(), torch.tensor([0.0, 0.5, 1.0]))
    assert (weights.grad > 0).all()


def config_of(material: Path, out: Path, **more) -> AnimatorConfig:
    engine = EngineConfig(out, **{"steps": 16, "batch": 16, "log_every": 4, "rate": 5e-3, **more.pop("engine", {})})
    data = ExpressionConfig(material / "faces", (material / "renders",))
    rest = {"portraits": material / "portraits", "pretrained": material / "bundle", "perceived": 4}
    return AnimatorConfig(engine, data, **{**rest, **more})


def test_training_lowers_the_loss_and_gives_a_whole_bundle(material, tmp_path):
    weights = train(config_of(material, tmp_path / "run", cache=material))
    rows = read_metrics(tmp_path / "run")
    total = [sum(row[name] for name in ("rig", "silver", "perceptual", "image")) for row in rows]
    assert total[-1] < 0.9 * total[0]
    made, before = load_bundle(weights), load_bundle(material / "bundle")
    assert made.neural_renderer is not None and set(made.identities) == set(CAST)
    assert made.identities["ines"].code.abs().sum() > 0
    for name, value in made.encoder.state_dict().items():
        assert torch.equal(value, before.encoder.state_dict()[name]), name
    assert not torch.equal(made.decoder.out.weight, before.decoder.out.weight)


@pytest.mark.parametrize("renderer", ["neural", "mesh"])
def test_the_animator_trains_in_bf16_by_either_renderer(material, tmp_path, renderer):
    engine = {"steps": 2, "log_every": 1, "precision": "bf16"}
    config = config_of(material, tmp_path / "run", cache=material, engine=engine, perceived=2)
    train(replace(config, renderer=renderer, data=replace(config.data, cast_share=1.0)))
    rows = read_metrics(tmp_path / "run")
    assert len(rows) == 2 and all(np.isfinite(value) for row in rows for value in row.values())


def test_learned_codes_take_the_identity_encoders_place(material, tmp_path):
    config = config_of(material, tmp_path / "run", cache=material, identity="learned", engine={"steps": 2})
    made = load_bundle(train(config))
    assert not torch.equal(made.identities["ines"].code, made.identities["pip"].code)


def test_without_labelled_faces_pictures_and_renders_are_played(bundle, material, tmp_path):
    portraits, device = read_portraits(material / "portraits"), torch.device("cpu")
    (tmp_path / "pool").mkdir()
    for k in range(5):
        picture = np.random.default_rng(k).integers(0, 255, (144, 144), np.uint8)
        cv2.imwrite(str(tmp_path / "pool" / f"{k}.png"), picture)

    def open_expressions(**more) -> Expressions:
        config = ExpressionConfig(None, (material / "renders",), **more)
        return Expressions(
            config, bundle.encoder, portraits, batch=64, cache=tmp_path, seed=0, device=device, named=CAST,
            teacher=bundle.encoder,
        )  # fmt: skip

    shown = open_expressions(images=(tmp_path / "pool",))
    names, batch = shown.names(0, 0), shown.draw(0, 0)
    played, rendered = set(names[:32]), set(names[32:])
    assert {Path(name).suffix for name in played} > {".png"} and played & rendered
    assert all("crops.npy" in name for name in rendered) and "labels" not in batch and shown.labels is None
    torch.testing.assert_close(batch["taught"], torch.cat([batch["feature"], batch["rendered"]]))
    assert open_expressions(images=(tmp_path / "pool",), most=2).total == 2 + 12
    assert open_expressions().total == 12


def test_losses_without_a_source_are_refused(tmp_path):
    engine, data = EngineConfig(tmp_path, steps=1), ExpressionConfig(None, (tmp_path,))
    with pytest.raises(ValueError, match="only labelled faces have silver labels"):
        AnimatorConfig(engine, data)
    with pytest.raises(ValueError, match="nobody's rigs to keep to: give teacher"):
        AnimatorConfig(engine, data, losses=replace(ONLY, distillation=1.0))
    with pytest.raises(ValueError, match="nothing to learn rigs from: give renders"):
        ExpressionConfig(tmp_path)
    with pytest.raises(ValueError, match="either faces or images"):
        ExpressionConfig(tmp_path, (tmp_path,), (tmp_path,))


def test_a_refit_keeps_to_the_rigs_of_the_bundle_before(material, tmp_path):
    torch.manual_seed(1)
    before = load_bundle(material / "bundle")
    strayed = RigDecoder(before.decoder.config)
    stranger = Identity(("smirk",), torch.zeros(1, 52))
    save_bundle(tmp_path / "new", replace(before, decoder=strayed, identities={**before.identities, "moss": stranger}))
    config = replace(
        config_of(material, tmp_path / "run", cache=material, engine={"steps": 120, "batch": 32, "rate": 1e-2}),
        data=ExpressionConfig(None, (material / "renders",)), pretrained=tmp_path / "new", teacher=material / "bundle",
        losses=replace(ONLY, distillation=1.0),
    )  # fmt: skip
    made = load_bundle(train(config))
    features = before.encoder(torch.rand(16, 1, 112, 112))[0]
    apart = [(b.decoder.unbounded(features) - before.decoder.unbounded(features)).square().mean() for b in
             (made, replace(before, decoder=strayed.eval()))]  # fmt: skip
    assert apart[0] < 0.5 * apart[1]
    assert set(made.identities) == {*CAST, "moss"}, "who is not played stays known"


def test_the_shipped_configuration_is_valid_and_typed():
    config = read_config(SHIPPED)
    assert config.mode == "train" and config.pretrained is None and config.data.renders == (Path("renders"),)
    assert config.losses == AnimatorLosses() and isinstance(config.engine.out, Path)


def test_the_refit_plays_pictures_without_labels_and_keeps_to_a_teacher():
    config = read_config(REFIT)
    assert config.data.faces is None and config.teacher is not None and config.losses.distillation > 0


def test_a_configuration_that_says_something_strange_is_refused(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(SHIPPED.read_text().replace("perceptual: 1.0", "perceptul: 1.0"))
    with pytest.raises(InputError, match=r"perceptul: expected .*perceptual"):
        read_config(path)
    for old, new, expected in (
        ("mode: train ", "mode: tset ", "mode is 'tset': .*'train' or 'test'"),
        ("renders: [renders]", "renders: renders", "renders is 'renders': .*tuple"),
        ("rate: 0.0005", "rate: fast", "rate is 'fast': .*number"),
    ):
        path.write_text(SHIPPED.read_text().replace(old, new))
        with pytest.raises(InputError, match=expected):
            read_config(path)
    path.write_text(SHIPPED.read_text().replace("rate: 0.0005", "rate: 5e-4"))
    assert read_config(path).engine.rate == 5e-4, "YAML takes it for a text"
    path.write_text("mode: [")
    with pytest.raises(InputError, match="is no YAML"):
        read_config(path)
    with pytest.raises(InputError, match="does not exist"):
        read_config(tmp_path / "nothing.yaml")


def test_an_avatar_without_portrait_is_named(material, tmp_path):
    config = config_of(material, tmp_path / "run", cache=material)
    with pytest.raises(InputError, match="no portrait of moss"):
        train(replace(config, data=replace(config.data, avatars=("moss",))))


def test_mode_test_animates_without_training(actor_frames, tmp_path, capsys):
    from freeavatar.files import write_png

    write_png(actor_frames[9], tmp_path / "smile.png")
    main([str(SHIPPED), "--mode", "test", "--test.source", str(tmp_path / "smile.png"),
          "--test.out", str(tmp_path / "out"), "--test.avatars", "ines", "pip"])  # fmt: skip
    assert {path.name for path in (tmp_path / "out").glob("*.png")} == {"smile.png"}
    assert "1 frames animated" in capsys.readouterr().out


def test_mode_test_takes_weights_as_training_leaves_them(actor_frames, tmp_path, capsys, monkeypatch):
    from freeavatar.files import write_png

    write_png(actor_frames[9], tmp_path / "smile.png")
    weights, devices = make_bundle(tmp_path / "weights"), []

    def opened(folder, *, device):
        devices.append(device)
        return open_bundle(folder)

    monkeypatch.setattr(train_emb2rig_multichar, "open_bundle", opened)
    main([str(SHIPPED), "--mode", "test", "--pretrained", str(weights), "--engine.device", "cpu",
          "--test.source", str(tmp_path / "smile.png"), "--test.out", str(tmp_path / "out"),
          "--test.avatars", "ines"])  # fmt: skip
    assert "1 frames animated" in capsys.readouterr().out and devices == ["cpu"]


def test_portraits_must_be_there(tmp_path):
    with pytest.raises(InputError, match="render them with"):
        read_portraits(tmp_path)


def test_portraits_know_their_avatars(material):
    portraits = read_portraits(material / "portraits")
    assert isinstance(portraits, Portraits) and portraits.names[:2] == CAST
