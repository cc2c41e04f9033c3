"""What faces of an emotion do, in ARKit's blendshapes: for drawing rigs, and for reading emotions in them.

After the action units of EMFACS (Ekman and Friesen 1983; Ekman, Friesen and Hager, FACS Investigator's Guide, 2002,
table 10-1), each as the blendshape that shows it.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from freeavatar.rig import ARKIT

Shapes = dict[str, tuple[float, float]]
"""Blendshapes, without Left or Right where both sides have one, with the least and the most of each in [0, 1]."""

PROTOTYPES: dict[str, tuple[Shapes, ...]] = {
    "neutral": ({},),
    "happiness": (
        {"mouthSmile": (0.4, 1), "cheekSquint": (0.3, 0.9), "eyeSquint": (0, 0.6), "mouthDimple": (0, 0.3)},
        {"mouthSmile": (0.5, 1), "cheekSquint": (0.3, 1), "eyeSquint": (0, 0.7), "jawOpen": (0.1, 0.6),
         "mouthUpperUp": (0.1, 0.6), "mouthLowerDown": (0.1, 0.5)},
    ),
    "sadness": (
        {"browInnerUp": (0.4, 1), "browDown": (0, 0.4), "mouthFrown": (0.3, 1), "mouthShrugLower": (0, 0.8),
         "eyeBlink": (0, 0.35), "eyeLookDown": (0, 0.6)},
        {"browInnerUp": (0.3, 1), "browDown": (0.2, 0.7), "mouthFrown": (0.3, 1), "eyeSquint": (0.2, 0.8),
         "cheekSquint": (0.2, 0.8), "mouthPress": (0, 0.6), "mouthRollLower": (0, 0.6), "mouthShrugLower": (0.2, 1)},
        {"browInnerUp": (0.4, 1), "browDown": (0.2, 0.8), "eyeSquint": (0.4, 1), "cheekSquint": (0.3, 1),
         "mouthUpperUp": (0.2, 0.8), "mouthStretch": (0.2, 0.8), "mouthLowerDown": (0.1, 0.6), "jawOpen": (0.1, 0.7),
         "mouthFrown": (0.2, 0.8), "eyeBlink": (0, 0.8), "noseSneer": (0, 0.5)},
    ),
    "anger": (
        {"browDown": (0.5, 1), "eyeSquint": (0.2, 0.8), "mouthPress": (0.3, 1), "mouthRollLower": (0, 0.6),
         "mouthRollUpper": (0, 0.5), "mouthFrown": (0, 0.6), "noseSneer": (0, 0.5)},
        {"browDown": (0.5, 1), "eyeWide": (0, 0.6), "mouthUpperUp": (0.3, 1), "mouthLowerDown": (0.2, 1),
         "noseSneer": (0.3, 1), "jawOpen": (0, 0.7), "jawForward": (0, 0.6), "mouthStretch": (0, 0.6)},
        {"browDown": (0.5, 1), "eyeSquint": (0.1, 0.6), "mouthFunnel": (0.2, 0.8), "jawOpen": (0.3, 1),
         "noseSneer": (0, 0.7), "mouthUpperUp": (0, 0.5)},
    ),
    "disgust": (
        {"noseSneer": (0.5, 1), "mouthUpperUp": (0.2, 0.9), "browDown": (0.1, 0.7), "cheekSquint": (0.2, 0.8),
         "eyeSquint": (0.1, 0.7), "mouthFrown": (0, 0.7)},
        {"noseSneer": (0.4, 1), "mouthShrugUpper": (0.2, 0.8), "mouthShrugLower": (0.2, 0.9), "mouthFrown": (0.2, 0.8),
         "browDown": (0, 0.6), "eyeSquint": (0.1, 0.6)},
        {"noseSneer": (0.4, 1), "mouthUpperUp": (0.3, 1), "jawOpen": (0.2, 0.6), "tongueOut": (0, 0.8),
         "browDown": (0.1, 0.7), "cheekSquint": (0.2, 0.8)},
    ),
    "fear": (
        {"browInnerUp": (0.5, 1), "browOuterUp": (0.1, 0.6), "browDown": (0, 0.4), "eyeWide": (0.4, 1),
         "mouthStretch": (0.3, 1), "jawOpen": (0, 0.5)},
        {"browInnerUp": (0.5, 1), "browOuterUp": (0.1, 0.7), "eyeWide": (0.4, 1), "jawOpen": (0.2, 0.9),
         "mouthStretch": (0.1, 0.7), "mouthLowerDown": (0, 0.6)},
    ),
    "surprise": (
        {"browInnerUp": (0.4, 1), "browOuterUp": (0.5, 1), "eyeWide": (0.3, 1), "jawOpen": (0.2, 1),
         "mouthFunnel": (0, 0.4)},
        {"browInnerUp": (0.4, 1), "browOuterUp": (0.4, 1), "eyeWide": (0.2, 0.8), "mouthPucker": (0, 0.5)},
    ),
}  # fmt: skip
"""Forms of each emotion, as FER2013 names them."""
_NOISE = 0.08
"""Standard deviation of what is drawn on every channel of a rig that an emotion is read from."""
_READ = 1500
"""Rigs of each emotion that the reader is fitted to."""


def emotional_rig(emotion: str, rng: np.random.Generator, *, strength: float) -> np.ndarray:
    """A face of an emotion, ``(52,)`` float32 in [0, 1].

    Args:
        emotion: a key of :data:`PROTOTYPES`.
        rng: source of randomness.
        strength: factor on all shapes, in [0, 1].
    """
    forms = PROTOTYPES[emotion]
    return draw_form(forms[rng.integers(len(forms))], rng, strength=strength)


def draw_form(form: Shapes, rng: np.random.Generator, *, strength: float) -> np.ndarray:
    """A face of a form, ``(52,)`` float32 in [0, 1]: each shape as strong as its range allows, times ``strength``, both
    sides nearly alike."""
    rig = np.zeros(len(ARKIT), np.float32)
    for name, (low, high) in form.items():
        amount = rng.uniform(low, high) * strength
        sides = [name] if name in ARKIT else [name + "Left", name + "Right"]
        for side in sides:
            rig[ARKIT.index(side)] = amount * (rng.uniform(0.7, 1) if len(sides) > 1 else 1)
    return rig


@lru_cache(maxsize=4)
def emotion_reader(classes: tuple[str, ...]) -> tuple[Tensor, Tensor]:
    """A linear reading of emotions in rigs, fitted to drawn ones of all strengths.

    Args:
        classes: names of emotions, those without a prototype among them too.

    Returns:
        Matrix ``(52, C)`` and offset ``(C,)`` of the logits; classes without a prototype are never read.
    """
    rng = np.random.default_rng(0)
    known = [name for name in classes if name in PROTOTYPES]
    rigs = np.stack([emotional_rig(name, rng, strength=rng.uniform(0.3, 1)) for name in known for _ in range(_READ)])
    drawn = torch.from_numpy(rigs + rng.normal(0, _NOISE, rigs.shape).astype(np.float32))
    labels = torch.arange(len(known)).repeat_interleave(_READ)
    matrix = torch.zeros(len(ARKIT), len(known), requires_grad=True)
    offset = torch.zeros(len(known), requires_grad=True)
    solver = torch.optim.LBFGS([matrix, offset], max_iter=60)

    def closure() -> Tensor:
        solver.zero_grad()
        loss = cross_entropy(drawn @ matrix + offset, labels) + 3e-4 * matrix.square().sum()
        loss.backward()
        return loss

    solver.step(closure)  # type: ignore[arg-type]
    columns = torch.tensor([classes.index(name) for name in known])
    full, at = torch.zeros(len(ARKIT), len(classes)), torch.full((len(classes),), -1e4)
    full[:, columns], at[columns] = matrix.detach(), offset.detach()
    return full, at
