"""Training the rig decoder by perception: who is trained, who judges, and on what."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from freeavatar.avatars import load_avatar
from freeavatar.networks import Appearance, Encoder, Identities, NeuralRenderer, RigDecoder, to_luma
from freeavatar.render import Look, Renderer
from freeavatar.render.face_view import FaceView
from freeavatar.rig import ARKIT, mirrored
from training.data.emotions import PROTOTYPES, emotion_reader
from training.data.portraits import Portraits, to_images
from training.engine.batches import Batch
from training.objectives.losses import bounded, emotion_loss, picture_loss, rig_loss

_CHUNK = 16


@dataclass(frozen=True)
class AnimatorLosses:
    """Weights of the losses; 0 turns one off."""

    rig: float = 1.0
    """Rigs of renders, whoever plays them."""
    image: float = 0.5
    """Pictures of those rigs, on the whole and on mouth and eyes."""
    perceptual: float = 1.0
    """Embedding of real faces against that of the avatar that plays them."""
    silver: float = 1.0
    """Rigs of real faces (:func:`training.data.labelled_faces.read_rigs`): as strong as they are."""
    emotion: float = 0.1
    """Human labels of real faces' emotions, read in their rigs."""
    symmetry: float = 0.2
    """A mirrored face gives the mirrored rig."""
    drive: float = 1.0
    """How far an avatar's controls stray from what its file declares."""
    distillation: float = 0.0
    """Rigs of faces and renders against those of a teacher."""


class Student(nn.Module):
    """What is trained: the decoder, and what drives the controls that are not ARKit's."""

    def __init__(self, decoder: RigDecoder, identities: Identities, *, codes: Tensor, is_code_learned: bool) -> None:
        """Put it together.

        Args:
            decoder: to be trained.
            identities: of the avatars that are known by name.
            codes: identity codes of all avatars, ``(A, code_size)``.
            is_code_learned: give every avatar a code of its own in place of the identity encoder's: one-hot
                identities behind a linear map.
        """
        super().__init__()
        self.decoder = decoder.requires_grad_(True)
        self.identities = nn.ModuleDict(identities)
        for identity in identities.values():
            identity.requires_grad_(False)
            identity.drive.requires_grad_(not identity.is_arkit)
        self.codes = nn.Parameter(torch.randn_like(codes) * 0.1 if is_code_learned else codes, is_code_learned)


def look(encoder: Encoder, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """Features and embeddings of avatars' pictures ``(B, 3, S, S)`` of any size, with gradient."""
    size = encoder.config.image_size
    if pictures.shape[-1] != size:
        pictures = interpolate(pictures, (size, size), mode="bilinear", antialias=True)
    feature, embedding = encoder(to_luma(pictures))
    return feature.float(), embedding.float()


class Judge:
    """What judges and is never trained: encoder and renderer, with all the avatars it can draw."""

    def __init__(self, encoder: Encoder, renderer: NeuralRenderer, portraits: Portraits, device: torch.device) -> None:
        self.encoder, self.renderer, self.names = encoder, renderer, portraits.names
        self.regions = torch.from_numpy(portraits.regions)[:, None].float().to(device)
        with torch.no_grad():
            starts = range(0, len(portraits.neutral), _CHUNK)
            looks = [renderer.identity(to_images(portraits.neutral[k : k + _CHUNK]).to(device)) for k in starts]
        maps = [torch.cat(layer) for layer in zip(*(look.maps for look in looks), strict=True)]
        self.appearance = Appearance(
            torch.cat([look.portraits for look in looks]), maps, torch.cat([look.code for look in looks])
        )

    def draw(self, rigs: Tensor, avatars: Tensor, identities: Any) -> Tensor:
        """Pictures ``(B, 3, S, S)`` of ARKit's blendshapes ``(B, 52)``, unbounded, on avatars ``(B,)``."""
        poses = rigs.new_zeros(len(rigs), self.renderer.config.pose_size)
        plain = bounded(rigs)
        poses[:, : len(ARKIT)] = plain
        for avatar in avatars.unique().tolist():
            name = self.names[avatar]
            if name in identities and not identities[name].is_arkit:
                rows = avatars == avatar
                identity = identities[name]
                poses = torch.where(rows[:, None], identity.poses(bounded(identity.controls(plain))), poses)
        return self.renderer(poses, self.appearance.rows(avatars))


class MeshJudge(Judge):
    """Draws with the mesh itself: slower by far on a CPU, and exact."""

    def draw(self, rigs: Tensor, avatars: Tensor, identities: Any) -> Tensor:
        """As :meth:`Judge.draw`."""
        with torch.autocast(rigs.device.type, enabled=False):  # meshes are drawn in float32
            rows = zip(avatars.tolist(), bounded(rigs.float()), strict=True)
            return torch.cat([self._picture(avatar, row, identities) for avatar, row in rows]).to(rigs.device)

    def _picture(self, avatar: int, row: Tensor, identities: Any) -> Tensor:
        """On the renderer's device: without nvdiffrast that is the CPU."""
        view, name = self._view(avatar, self.appearance.portraits.shape[-1]), self.names[avatar]
        device = view.renderer.device
        drive = identities[name].drive if name in identities else torch.from_numpy(view.avatar.drive)
        weights = bounded(row[None].to(device) @ drive.to(device).T)
        camera = view.camera(weights[0].detach().cpu().numpy())
        return view.renderer.render(weights, look=Look((view.size, view.size), supersample=2), camera=camera)

    def _view(self, avatar: int, size: int) -> FaceView:
        views = self.__dict__.setdefault("_views", {})
        if avatar not in views:
            device = self.appearance.portraits.device
            views[avatar] = FaceView(Renderer(load_avatar(self.names[avatar]), device=device), size)
        return views[avatar]


class AnimatorObjective:
    """The sum of the losses of a batch of :class:`training.data.expressions.Expressions`."""

    def __init__(
        self,
        judge: Judge,
        losses: AnimatorLosses,
        deviations: tuple[Tensor, Tensor],
        declared: dict[str, Tensor],
        perceived: int,
        teacher: RigDecoder | None = None,
    ) -> None:
        """Remember what does not change.

        Args:
            judge: draws and looks.
            losses: their weights.
            deviations: of the rigs of renders, and of real faces, ``(52,)`` each.
            declared: what drives the avatars' controls, as their files say, ``(K, 52)`` each.
            perceived: rows of real faces, and of renders, that are drawn and looked at.
            teacher: whose rigs to keep to.
        """
        self._judge, self._losses, self._declared, self._perceived = judge, losses, declared, perceived
        self._teacher = teacher
        self._deviation, self._silver_deviation = (values.clamp_min(0.08) for values in deviations)
        device = self._deviation.device
        self._mirror = torch.tensor(mirrored(ARKIT), device=device)
        reader = emotion_reader(tuple(PROTOTYPES)) if losses.emotion else ()
        self._reader = tuple(part.to(device) for part in reader)

    def __call__(self, model: Any, batch: Batch) -> dict[str, Tensor]:
        """Weighted losses."""
        weights = self._losses
        real = model.decoder.unbounded(batch["feature"], model.codes[batch["avatars"]])
        rendered = model.decoder.unbounded(batch["rendered"], model.codes[batch["players"]])
        found: dict[str, Tensor] = {}
        if weights.rig:
            found["rig"] = rig_loss(rendered, batch["rigs"], self._deviation)
        if weights.silver:
            found["silver"] = rig_loss(real, batch["labels"], self._silver_deviation)
        if weights.emotion and "emotions" in batch:
            found["emotion"] = emotion_loss(bounded(real) @ self._reader[0] + self._reader[1], batch["emotions"])
        if weights.symmetry:
            other = model.decoder.unbounded(batch["mirrored"], model.codes[batch["avatars"]])
            apart = (other[:, self._mirror] - real) / self._deviation
            found["symmetry"] = apart.square().mean()
        if self._teacher is not None:
            found["distillation"] = self._strayed(torch.cat([real, rendered]), batch)
        if weights.image:
            found["image"] = self._image_loss(model, rendered, batch)
        if weights.perceptual:
            found["perceptual"] = self._perceptual_loss(model, real, batch)
        if weights.drive and self._declared:
            found["drive"] = sum(
                (model.identities[name].drive - rows).square().sum() for name, rows in self._declared.items()
            )  # type: ignore[assignment]
        return {name: getattr(weights, name) * value for name, value in found.items() if getattr(weights, name)}

    def _strayed(self, rigs: Tensor, batch: Batch) -> Tensor:
        assert self._teacher is not None
        players = torch.cat([batch["avatars"], batch["players"]])
        with torch.no_grad():
            taught = self._teacher.unbounded(batch["taught"], self._judge.appearance.code[players])
        return rig_loss(rigs, taught, self._deviation)

    def _image_loss(self, model: Any, rigs: Tensor, batch: Batch) -> Tensor:
        few, players = slice(self._perceived), batch["players"][: self._perceived]
        with torch.no_grad():
            true = self._judge.draw(batch["rigs"][few], players, model.identities)
        found = self._judge.draw(rigs[few], players, model.identities)
        losses = picture_loss(found, true, self._judge.regions[players], 10.0)
        return losses["whole"] + losses["regions"]

    def _perceptual_loss(self, model: Any, rigs: Tensor, batch: Batch) -> Tensor:
        few = slice(self._perceived)
        pictures = self._judge.draw(rigs[few], batch["avatars"][few], model.identities)
        _, embedding = look(self._judge.encoder, pictures)
        return 1 - (embedding * batch["embedding"][few]).sum(1).mean()


Renderers = Literal["neural", "mesh"]


def make_judge(
    kind: Renderers, encoder: Encoder, renderer: NeuralRenderer, portraits: Portraits, device: torch.device
) -> Judge:
    """The judge that draws in that way."""
    return (Judge if kind == "neural" else MeshJudge)(encoder, renderer, portraits, device)
