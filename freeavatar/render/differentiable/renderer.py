"""The differentiable path in torch: batches of pictures whose gradients reach the rig weights."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from freeavatar.avatars.avatar import Avatar
from freeavatar.render.camera import Camera
from freeavatar.render.differentiable import ops
from freeavatar.render.differentiable.folds import Folds, amounts
from freeavatar.render.differentiable.shading import Points, face_eye, shade
from freeavatar.render.differentiable.shadow import key_light, shadow_moments
from freeavatar.render.folds import fold_frames
from freeavatar.render.look import Lighting, Look, head_matrix
from freeavatar.render.shadow import light_matrix
from freeavatar.render.surfaces import material_table
from freeavatar.render.tones import to_linear, tone_map


class DifferentiableRenderer:
    """One avatar's tensors on the device of nvdiffrast, or the CPU, and what draws them.

    :class:`freeavatar.render.Renderer` describes the arguments.
    """

    def __init__(self, avatar: Avatar, *, device: torch.device | str = "cpu") -> None:
        self._avatar = avatar
        self._context = ops.make_context(device)
        self.device = ops.render_device(self._context, device)
        self._mesh = _Tensors(avatar, self.device)

    def deform(self, weights: Tensor, head: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
        """Pose the mesh; as :meth:`freeavatar.render.Renderer.deform`."""
        count = len(weights)
        by_name = dict(zip(self._avatar.target_names, weights.unbind(1), strict=True))
        products = [corrective.weight(by_name)[:, None] for corrective in self._avatar.correctives]
        weights = torch.cat([weights, *products], dim=1)
        positions = self._mesh.positions + (weights @ self._mesh.target_positions).view(count, -1, 3)
        normals = self._mesh.normals + (weights @ self._mesh.target_normals).view(count, -1, 3)
        if head is not None:
            turn = torch.from_numpy(head_matrix(head)).to(self.device)
            turned = (positions - self._mesh.pivot) @ turn.mT + self._mesh.pivot
            positions = positions + self._mesh.head_weight * (turned - positions)
            normals = self._follow(normals, turn)
        return positions, normalize(normals, dim=-1)

    def _follow(self, directions: Tensor, turn: Tensor) -> Tensor:
        return directions + self._mesh.head_weight * (directions @ turn.mT - directions)

    def draw(
        self,
        weights: np.ndarray,
        head: np.ndarray | None,
        look: Look,
        camera: Camera,
        out: np.ndarray,
        *,
        view: np.ndarray | None = None,
    ) -> None:
        """Draw poses ``(N, K)`` with heads ``(N, 3)`` into ``out`` ``(N, H, W, C)``, fetched from the device at once;
        as :meth:`freeavatar.render.Renderer.pictures`."""
        with torch.inference_mode():
            images = self.render(
                torch.from_numpy(weights).to(self.device), head, replace(look, supersample=2), camera, view=view
            )
            out[:] = (images.permute(0, 2, 3, 1) * 255 + 0.5).to(torch.uint8).cpu().numpy()

    def render(
        self, weights: Tensor, head: np.ndarray | None, look: Look, camera: Camera, *, view: np.ndarray | None = None
    ) -> Tensor:
        """Render poses; as :meth:`freeavatar.render.Renderer.render`."""
        height, width = (s * look.supersample for s in look.size)
        positions, normals = self.deform(weights, head)
        clip_matrix = torch.from_numpy(camera.matrix(width / height)).to(self.device)
        if view is not None:
            clip_matrix = torch.from_numpy(view.astype(np.float32)).to(self.device) @ clip_matrix
        clip = torch.cat([positions, torch.ones_like(positions[..., :1])], dim=-1) @ clip_matrix.mT
        rast, _ = ops.rasterize(self._context, clip.contiguous(), self._mesh.triangles, (height, width))
        tangents = self._mesh.tangents.expand_as(positions)
        if head is not None:
            tangents = self._follow(tangents, torch.from_numpy(head_matrix(head)).to(self.device))
        posed = torch.cat([positions, normals, tangents], dim=-1)
        image = self._shade(rast, posed, amounts(self._avatar, weights), camera, look)
        image = ops.antialias(image.contiguous(), rast, clip, self._mesh.triangles, self._mesh.topology)
        image = image.clamp(0, 1).permute(0, 3, 1, 2)
        image = avg_pool2d(image, look.supersample) if look.supersample > 1 else image
        if look.background is not None:
            return image
        color, alpha = image.split([3, 1], dim=1)
        return torch.cat([(color / alpha.clamp_min(1e-6)).clamp_max(1), alpha], dim=1)

    def _shade(self, rast: Tensor, posed: Tensor, layers: Tensor, camera: Camera, look: Look) -> Tensor:
        """Pictures ``(N, H, W, 3 or 4)`` of ``posed`` vertices: positions, normals, tangents ``(N, V, 9)``.

        ``layers`` are the weights of the wrinkles, ``(N, L)``.
        """
        attributes = torch.cat([posed, self._mesh.static.expand(len(posed), -1, -1)], dim=-1)
        pixels, _ = ops.interpolate(attributes.contiguous(), rast, self._mesh.triangles)
        covered = rast[..., 3] > 0
        position, normal, tangent, uv, color, skew = pixels[covered].split([3, 3, 3, 2, 3, 2], dim=1)
        material = self._mesh.triangle_material[rast[..., 3][covered].long() - 1]
        albedo = color * self._base_color(uv, material)
        if layers.requires_grad or layers.any():
            folds = self._mesh.folds
            skin = folds.is_folding[material].nonzero()[:, 0]
            picture, frame = covered.nonzero()[skin, 0], (normal[skin], tangent[skin], skew[skin])
            folded = folds.apply(layers, picture, uv[skin], frame, albedo[skin])
            normal, albedo = normal.index_put((skin,), folded[0]), albedo.index_put((skin,), folded[1])
        to_eye = normalize(torch.from_numpy(camera.eye).to(position) - position, dim=1)
        points = Points(
            albedo=albedo,
            normal=face_eye(normal, to_eye),
            to_eye=to_eye,
            tangent=normalize(tangent, dim=1),
            material=self._mesh.materials[material],
            key=self._key_light(posed[..., :3], position, covered, look.lighting),
        )
        image = self._backdrop(rast, look)
        image[covered] = torch.nn.functional.pad(
            tone_map(shade(points, look.lighting)), (0, image.shape[-1] - 3), value=1.0
        )
        return image

    def _key_light(self, positions: Tensor, points: Tensor, covered: Tensor, lighting: Lighting) -> Tensor:
        """How much of the key light reaches the ``covered`` pixels at ``points`` ``(P, 3)``: ``(P, 1)``."""
        if not lighting.lights or lighting.shadow == 0:
            return torch.ones_like(points[:, :1])
        matrix = torch.from_numpy(light_matrix(self._avatar.positions, lighting.lights[0].direction)).to(points)
        seen = torch.nn.functional.pad(positions.detach() @ matrix[:3, :3].mT + matrix[:3, 3], (0, 1), value=1.0)
        moments = shadow_moments(self._context, seen, self._mesh.triangles)
        local = points.detach() @ matrix[:3, :3].mT + matrix[:3, 3]
        counts = covered.flatten(1).sum(1).tolist()
        return torch.cat([key_light(m, p, lighting.shadow) for m, p in zip(moments, local.split(counts), strict=True)])

    def _base_color(self, uv: Tensor, material: Tensor) -> Tensor:
        color = torch.ones(len(uv), 3, device=self.device)
        which = self._mesh.texture_of_material[material]
        for index, texture in enumerate(self._mesh.textures):
            chosen = which == index
            color[chosen] = ops.texture(texture[None], uv[chosen][None, None].contiguous())[0, 0]
        return color

    def _backdrop(self, rast: Tensor, look: Look) -> Tensor:
        if look.background is None:
            return rast.new_zeros(*rast.shape[:3], 4)
        top, bottom = rast.new_tensor(look.background)
        ramp = torch.linspace(0, 1, rast.shape[1], device=rast.device, dtype=rast.dtype)[:, None, None]
        return (top + ramp * (bottom - top)).expand(*rast.shape[:3], 3).clone()


class _Tensors:
    """The avatar as the differentiable path takes it, dense and on its device."""

    def __init__(self, avatar: Avatar, device: torch.device) -> None:
        put = lambda array: torch.from_numpy(np.ascontiguousarray(array)).to(device)  # noqa: E731
        tangents, skew = fold_frames(avatar)
        self.positions, self.normals, self.tangents = map(put, (avatar.positions, avatar.normals, tangents))
        self.folds = Folds(avatar, device)
        self.target_positions = put(avatar.target_positions.reshape(len(avatar.target_positions), -1))
        self.target_normals = put(avatar.target_normals.reshape(len(avatar.target_normals), -1))
        self.triangles = put(avatar.triangles)
        self.topology = ops.antialias_construct_topology_hash(self.triangles)
        self.head_weight, self.pivot = put(avatar.head_weight)[:, None], put(avatar.head_pivot)
        color = np.array([m.base_color for m in avatar.materials], np.float32)[avatar.material] * avatar.colors
        self.static = put(np.concatenate([avatar.uv, color, skew], axis=1))
        self.materials = put(material_table(avatar.materials))
        self.triangle_material = put(avatar.material[avatar.triangles[:, 0]].astype(np.int64))
        images = {id(m.texture): m.texture for m in avatar.materials if m.texture is not None}
        self.textures = [to_linear(put(image).float() / 255) for image in images.values()]
        order = {key: index for index, key in enumerate(images)}
        self.texture_of_material = put(np.array([order.get(id(m.texture), -1) for m in avatar.materials]))
