"""Avatar and rig weights in, picture out."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import TYPE_CHECKING

import numpy as np

from freeavatar.avatars.avatar import Avatar
from freeavatar.files import is_installed
from freeavatar.framing import Framing
from freeavatar.render.camera import Camera, frame
from freeavatar.render.compiled.fused import PASSES, FusedRenderer
from freeavatar.render.compiled.packing import PackedAvatar
from freeavatar.render.look import Look, head_matrix

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from freeavatar.render.differentiable.renderer import DifferentiableRenderer


_log = logging.getLogger(__name__)

GPU_BATCH, GPU_PIXELS = 16, 2**22
"""Pictures that a GPU draws together at most, and their pixels."""


@cache
def _gpu_draws() -> bool:
    """Whether what draws on a GPU is installed; warns once where it is not."""
    for name in ("torch", "nvdiffrast"):
        if not is_installed(name):
            _log.warning("%s is not installed: avatars are drawn on the CPU.", name)
            return False
    return True


class Renderer:
    """Renders one avatar, on the CPU or through nvdiffrast; threads draw side by side.

    :meth:`render` is differentiable, takes batches and needs torch; :meth:`picture` gives the same picture, one at a
    time and at the speed of video, on the CPU without torch.
    """

    def __init__(self, avatar: Avatar, *, device: "torch.device | str" = "cpu") -> None:
        self.avatar, self._asked = avatar, str(device)
        self._made: list[FusedRenderer] = []
        self._idle: list[FusedRenderer] = []
        self._lock = threading.Lock()

    @cached_property
    def differentiable(self) -> "DifferentiableRenderer":
        """What draws in torch, with its tensors on the device of nvdiffrast, or the CPU."""
        from freeavatar.render.differentiable.renderer import DifferentiableRenderer

        return DifferentiableRenderer(self.avatar, device=self._asked)

    @property
    def device(self) -> "torch.device":
        """Where the tensors of :meth:`render` lie."""
        return self.differentiable.device

    @cached_property
    def _packed(self) -> PackedAvatar:
        return PackedAvatar(self.avatar)

    @cached_property
    def is_on_gpu(self) -> bool:
        """Whether nvdiffrast draws the pictures; else numba does."""
        return self._asked.startswith("cuda") and _gpu_draws() and self.differentiable.device.type == "cuda"

    def camera(self, framing: Framing = "face") -> Camera:
        """The camera for a square picture of the face, or of the bust: head, hair and neck."""
        return frame(self.avatar, framing)

    def deform(self, weights: "Tensor", head: np.ndarray | None = None) -> "tuple[Tensor, Tensor]":
        """Pose the mesh.

        Args:
            weights: ``(N, K)`` rig weights.
            head: ``(N, 3)`` degrees yaw, pitch, roll; None leaves the head as modelled.

        Returns:
            Positions and unit normals, ``(N, V, 3)`` each.
        """
        return self.differentiable.deform(weights, head)

    def picture(
        self,
        weights: np.ndarray,
        head: np.ndarray | None = None,
        *,
        look: Look | None = None,
        camera: Camera | None = None,
        view: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        """One antialiased picture, as fast as it can be had; the same as :meth:`render` at supersample 2.

        Args:
            weights: ``(K,)`` rig weights in the order of ``avatar.target_names``.
            head: ``(3,)`` degrees yaw, pitch, roll; None leaves the head as modelled.
            look: size, lights and background; always 2 x 2 samples a pixel, whatever its ``supersample``.
            camera: default :meth:`camera`'s of the face.
            view: ``(4, 4)`` similarity applied after the camera in clip space, e.g. to align a crop.
            out: ``(H, W, 3)`` uint8, or 4 without a background, to be filled; default a new array.

        Returns:
            sRGB, ``(H, W, 3)`` uint8; with straight alpha, ``(H, W, 4)``, where the look has no background.

        Raises:
            ValueError: ``weights`` or ``out`` is of the wrong shape.
        """
        look, camera = look or Look(), camera or self.camera()
        weights = np.asarray(weights, np.float32)
        shape = (*look.size, 4 if look.background is None else 3)
        out = np.empty(shape, np.uint8) if out is None else out
        if weights.shape != (len(self.avatar.target_names),) or out.shape != shape or out.dtype != np.uint8:
            raise ValueError(
                f"weights {weights.shape} and out {out.shape} {out.dtype} must be ({len(self.avatar.target_names)},) "
                f"and {shape} uint8"
            )
        turn = np.eye(3, dtype=np.float32) if head is None else head_matrix(np.asarray(head))
        if not self.is_on_gpu:
            with self._take_fused() as fused:
                fused.draw(weights, turn, look, camera, out, view=view)
            return out
        heads, views = (None if array is None else np.asarray(array)[None] for array in (head, view))
        self.differentiable.draw(weights[None], heads, look, camera, out[None], view=views)
        return out

    @contextmanager
    def _take_fused(self) -> Iterator[FusedRenderer]:
        """One that no other thread draws with."""
        with self._lock:
            if not self._idle:
                self._made.append(FusedRenderer(self._packed))
                self._idle.append(self._made[-1])
            fused = self._idle.pop()
        try:
            yield fused
        finally:
            self._idle.append(fused)

    def batch(self, size: tuple[int, int]) -> int:
        """How many pictures of ``size`` ``(H, W)`` are best drawn together; if it is 1, threads draw side by side."""
        return max(1, min(GPU_BATCH, GPU_PIXELS // (size[0] * size[1]))) if self.is_on_gpu else 1

    def pictures(self, weights: np.ndarray, heads: np.ndarray, *, look: Look, camera: Camera) -> np.ndarray:
        """What :meth:`picture` draws of several poses: on a GPU all together, on the CPU one after the other.

        Args:
            weights: ``(N, K)`` rig weights in the order of ``avatar.target_names``.
            heads: ``(N, 3)`` degrees yaw, pitch, roll.
            look: size, lights and background.
            camera: where from.

        Returns:
            sRGB, ``(N, H, W, 3)`` uint8; with straight alpha, ``(N, H, W, 4)``, where the look has no background.
        """
        out = np.empty((len(weights), *look.size, 4 if look.background is None else 3), np.uint8)
        if self.is_on_gpu:
            self.differentiable.draw(weights.astype(np.float32), heads, look, camera, out)
            return out
        for row, head, picture in zip(weights, heads, out, strict=True):
            self.picture(row, head, look=look, camera=camera, out=picture)
        return out

    @property
    def pass_seconds(self) -> dict[str, float]:
        """Seconds that :meth:`picture` has spent in each pass so far, on the CPU; empty before the first."""
        return {name: sum(fused.seconds[name] for fused in self._made) for name in PASSES if self._made}

    def render(
        self,
        weights: "Tensor",
        *,
        head: np.ndarray | None = None,
        look: Look | None = None,
        camera: Camera | None = None,
        view: np.ndarray | None = None,
    ) -> "Tensor":
        """Render poses; gradients reach the weights.

        Args:
            weights: ``(N, K)`` rig weights in the order of ``avatar.target_names``.
            head: ``(N, 3)`` degrees yaw, pitch, roll.
            look: size, lights and background.
            camera: default :meth:`camera`'s of the face.
            view: ``(N, 4, 4)`` applied after the camera in clip space, e.g. to align a crop.

        Returns:
            sRGB pictures, ``(N, 3, H, W)`` float32 in [0, 1]; ``(N, 4, H, W)`` with straight alpha where the
            look has no background.
        """
        return self.differentiable.render(weights, head, look or Look(), camera or self.camera(), view=view)
