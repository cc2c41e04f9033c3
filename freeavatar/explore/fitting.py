"""UMAP and t-SNE in a process of their own, their results kept.

python -m freeavatar.explore.fitting VECTORS.npy OUT.npz --method umap --dims 2 --neighbours 15 --seed 0
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Generator
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np

import freeavatar
from freeavatar.errors import FreeAvatarError
from freeavatar.explore.maps import FaceMap, MapConfig, check_size, make_map
from freeavatar.files import make_folder, replacing

_POLL = 0.1
_KEPT = 24
"""Maps kept of a bundle, the newest."""


class FittingError(FreeAvatarError):
    """A map that could not be fitted."""


def fit_steps(vectors: np.ndarray, config: MapConfig, folder: Path) -> Generator[float, None, FaceMap]:
    """Fit a map in a child process, or read it if it was fitted before.

    Args:
        vectors: ``(N, D)`` float32.
        config: which map.
        folder: where maps of this bundle are kept.

    Yields:
        Seconds gone by. Closing the generator ends the process.

    Raises:
        InputError: too few different images.
        FittingError: the process failed.
    """
    check_size(vectors, config)
    path = cached_path(vectors, config, folder)
    if (found := read_map(path, config, len(vectors))) is not None:
        return found
    with tempfile.TemporaryDirectory(dir=make_folder(folder)) as scratch:
        source = Path(scratch) / "vectors.npy"
        np.save(source, vectors)
        yield from _run(source, path, config)
    found = read_map(path, config, len(vectors))
    if found is None:
        raise FittingError("{} left no map behind: try again, or use PCA.", config.name)
    _forget_old(folder)
    return found


def _run(source: Path, path: Path, config: MapConfig) -> Generator[float, None, None]:
    command = [sys.executable, "-m", "freeavatar.explore.fitting", str(source), str(path)]
    for name, value in asdict(config).items():
        command += [f"--{name}", str(value)]
    started = time.monotonic()
    with (source.parent / "log.txt").open("w+") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, cwd=Path(freeavatar.__file__).parents[1])
        try:
            while child.poll() is None:
                time.sleep(_POLL)
                yield time.monotonic() - started
        finally:
            if child.poll() is None:
                child.kill()
            child.wait()
        if child.returncode:
            log.seek(0)
            last = (log.read().strip().splitlines() or ["no reason given"])[-1]
            raise FittingError("{} failed ({}): use PCA, or look at the images.", config.name, last)


def cached_path(vectors: np.ndarray, config: MapConfig, folder: Path) -> Path:
    """Where the map of these vectors lies once it is fitted."""
    digest = hashlib.sha256(json.dumps(asdict(config)).encode() + np.ascontiguousarray(vectors).tobytes())
    return folder / f"{config.method}{config.dims}-{digest.hexdigest()[:16]}.npz"


def read_map(path: Path, config: MapConfig, count: int) -> FaceMap | None:
    """A kept map of ``count`` points; None if there is none, or a damaged one."""
    try:
        with np.load(path) as kept:
            points, trust = kept["points"], float(kept["trust"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return FaceMap(config, points, trust) if points.shape == (count, config.dims) else None


def _forget_old(folder: Path) -> None:
    kept = sorted(folder.glob("*.npz"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in kept[_KEPT:]:
        path.unlink(missing_ok=True)


def main() -> None:
    """Fit one map."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="embeddings, one a row, .npy")
    parser.add_argument("out", type=Path, help="the .npz to write")
    for field in fields(MapConfig):
        parser.add_argument(f"--{field.name}", type=type(field.default), default=field.default)
    args = parser.parse_args()
    config = MapConfig(**{field.name: getattr(args, field.name) for field in fields(MapConfig)})
    made = make_map(np.load(args.source), config)
    with replacing(args.out) as temporary, temporary.open("wb") as file:
        np.savez(file, points=made.points, trust=made.trust)


if __name__ == "__main__":
    main()
