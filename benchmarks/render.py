"""Frames a second of the renderer on the CPU by size and threads that draw side by side, and the share of each pass.

    python -m benchmarks.render [--avatar ines] [--no-peer]

The peer is the differentiable path of the same renderer, at the same antialiasing (``Look.supersample`` 2).
Each figure is the best of several runs; CPU time stands beside it, which a busy machine disturbs less.
"""

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
import tyro

from freeavatar.avatars import load_avatar
from freeavatar.render import Look, Renderer


@dataclass(frozen=True)
class RenderSpeedConfig:
    """What to time."""

    avatar: str = "ines"
    """Name of an avatar that ships, or path of a GLB."""
    sizes: tuple[int, ...] = (256, 512, 1024)
    """Sides of the pictures in pixels."""
    frames: int = 30
    """Frames of a run."""
    runs: int = 5
    peer: bool = True
    """Time the differentiable path as well."""


def perform(count: int, controls: int) -> tuple[np.ndarray, np.ndarray]:
    """A talking head: weights ``(count, controls)``, about a third of them not zero, and head angles ``(count, 3)``."""
    rng = np.random.default_rng(0)
    phase, speed = rng.uniform(0, 2 * np.pi, (2, controls))
    active = rng.uniform(size=controls) < 0.35
    swing = 0.5 + 0.5 * np.sin(phase + np.arange(count)[:, None] * speed / 10)
    head = np.sin(np.arange(count)[:, None] / [9, 13, 17]) * [15, 8, 5]
    return (0.5 * active * swing).astype(np.float32), head


def best(run: Callable[[], None], runs: int) -> tuple[float, float]:
    """Least wall and least CPU seconds of ``runs`` runs."""
    times = []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(t[0] for t in times), min(t[1] for t in times)


def time_pictures(renderer: Renderer, size: int, threads: int, config: RenderSpeedConfig) -> dict[str, float]:
    """Print frames a second of one size; return the seconds of each pass."""
    weights, head = perform(config.frames, len(renderer.avatar.target_names))
    look, camera = Look((size, size)), renderer.camera()
    with ThreadPoolExecutor(threads) as pool:

        def draw(frame: int) -> None:
            renderer.picture(weights[frame], head[frame], look=look, camera=camera)

        def run() -> None:
            list(pool.map(draw, range(config.frames)))

        run()
        before = renderer.pass_seconds
        wall, cpu = best(run, config.runs)
    print(
        f"{size:5d} x {size:<5d} {threads} thread{'s' if threads > 1 else ' '} {config.frames / wall:7.1f} frames/s"
        f" {1000 * wall / config.frames:7.2f} ms a frame, {1000 * cpu / config.frames:6.2f} ms of CPU",
        flush=True,
    )
    return {name: seconds - before[name] for name, seconds in renderer.pass_seconds.items()}


def time_peer(renderer: Renderer, size: int) -> None:
    """Print the same of the differentiable path."""
    weights, head = perform(2, len(renderer.avatar.target_names))
    rigs, look = torch.from_numpy(weights), Look((size, size), supersample=2)

    def run() -> None:
        with torch.inference_mode():
            renderer.render(rigs[1:], head=head[1:], look=look)

    wall, cpu = best(run, 3)
    print(f"{size:5d} x {size:<5d} differentiable {1 / wall:6.1f} frames/s {1000 * wall:7.1f} ms a frame,", end="")
    print(f" {1000 * cpu:6.1f} ms of CPU")


def main(config: RenderSpeedConfig) -> None:
    """Print the tables."""
    renderer = Renderer(load_avatar(config.avatar))
    avatar, cores = renderer.avatar, os.cpu_count() or 1
    print(f"{avatar.name}: {len(avatar.positions):,} vertices, {len(avatar.triangles):,} triangles; {cores} cores")
    if os.getloadavg()[0] > 0.5:
        print(f"the machine is busy (load {os.getloadavg()[0]:.1f}): frames/s are a lower bound, go by CPU time")
    for size in config.sizes:
        for threads in [t for t in (1, 2, 4, 8, 16) if t <= cores]:
            seconds = time_pictures(renderer, size, threads, config)
        total = sum(seconds.values())
        print("      " + ", ".join(f"{name} {100 * s / total:.0f} %" for name, s in seconds.items()))
    if config.peer:
        for size in config.sizes:
            time_peer(renderer, size)


if __name__ == "__main__":
    main(tyro.cli(RenderSpeedConfig, description=__doc__))
