"""Contact sheets: every target of an avatar at full weight, with its name.

mouthClose and tongueOut are made for an open jaw (in ARKit's definition too), so they are shown on one.
"""

from pathlib import Path

import cv2
import numpy as np
import torch

from freeavatar.avatars.avatar import Avatar
from freeavatar.files import make_folder, write_png
from freeavatar.render.camera import Camera
from freeavatar.render.renderer import Look, Renderer

CELL = 256
COLUMNS = 9
OPEN_JAW = {"mouthClose": 1.0, "tongueOut": 0.5}
"""Weight of jawOpen beneath a target."""


def write_contact_sheet(avatar: Avatar, folder: Path) -> Path:
    """Render the neutral face and each target at weight 1 into ``folder/<name>_targets.png``."""
    renderer = Renderer(avatar)
    names = ("neutral", *avatar.target_names)
    weights = torch.cat([torch.zeros(1, len(names) - 1), torch.eye(len(names) - 1)])
    for name, amount in OPEN_JAW.items():
        if name in names and "jawOpen" in names:
            weights[names.index(name), names.index("jawOpen") - 1] = amount
    low, high = avatar.face_box
    middle = (low + high) / 2
    camera = Camera((float(middle[0]), float(middle[1]), float(high[2])), float(high[1] - low[1]) * 1.15)
    rows = -(-len(names) // COLUMNS)
    sheet = np.zeros((rows * CELL, COLUMNS * CELL, 3), np.uint8)
    for k, name in enumerate(names):
        with torch.inference_mode():
            image = renderer.render(
                weights[k : k + 1].to(renderer.device), look=Look((CELL, CELL), supersample=2), camera=camera
            )
        cell = np.ascontiguousarray((image[0].permute(1, 2, 0).cpu().numpy() * 255 + 0.5).astype(np.uint8))
        cv2.putText(cell, name, (6, CELL - 8), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (235, 235, 235), 1, cv2.LINE_AA)
        y, x = k // COLUMNS * CELL, k % COLUMNS * CELL
        sheet[y : y + CELL, x : x + CELL] = cell
    path = make_folder(folder) / f"{avatar.name}_targets.png"
    write_png(sheet, path)
    return path
