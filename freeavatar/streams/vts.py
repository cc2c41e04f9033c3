"""VTube Studio's plugin API (https://github.com/DenchiSoft/VTubeStudio): requests and answers by a websocket.

A plugin asks for a token, which the user grants in VTube Studio, once; it is kept in the user-data folder. Then it
creates parameters of its own, here ARKit's blendshapes by their names, and gives values to them and to VTube Studio's,
each time it has some. Those are mapped to Live2D's standard parameters
(https://docs.live2d.com/en/cubism-editor-manual/standard-parameter-list): x is positive to the right of the screen, y
upwards, and ``FaceAngleZ`` leans to the right of the screen, so the model does what the actor does in the picture.
``MouthSmile`` and the brows are 0.5 at rest.
"""

import json
import logging
import threading
import time as clock
from pathlib import Path
from typing import Any

import numpy as np
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from freeavatar.errors import FreeAvatarError
from freeavatar.files import replacing
from freeavatar.paths import home
from freeavatar.rig import ARKIT
from freeavatar.streams.stream import Address, Sample, Stream, last_samples

logger = logging.getLogger(__name__)

PLUGIN = {"pluginName": "FreeAvatar", "pluginDeveloper": "FreeAvatar"}
FIRST_DELAY, LAST_DELAY = 0.25, 8.0
"""Seconds before the first attempt to connect again; they double, up to the last."""
_PATIENCE = 5.0
"""Seconds an answer may take."""
_LOOK = 0.2
"""Seconds between two looks whether the stream is closed, while an answer is awaited."""
_DENIED = 50
"""VTube Studio's error where the user does not let the plugin in."""


class _ApiError(Exception):
    """VTube Studio answers a request with an error."""

    def __init__(self, data: dict[str, Any]) -> None:
        super().__init__(str(data.get("message", "no reason given")))
        self.number = data.get("errorID")


class _Closed(Exception):
    """The stream was closed while an answer was awaited."""


class VtsStream(Stream):
    """Sends parameters from a thread of its own, always the latest sample; it connects again whenever it has to."""

    PORT = 8001

    def __init__(self, address: Address) -> None:
        """Start connecting."""
        super().__init__(address)
        self._changed = threading.Condition()
        self._samples: list[Sample] = []
        self._closing = threading.Event()
        self._time, self._number, self._has_failed = 0.0, 0, False
        self._thread = threading.Thread(target=self._run, name=address.url, daemon=True)
        self._thread.start()

    def send(self, weights: np.ndarray, head: np.ndarray, confidence: float, time: float) -> None:
        """Leave a sample to the thread; it takes the place of one that is not sent yet."""
        with self._changed:
            self._time, self._samples = time, [Sample(weights, head, confidence, time)]
            self._changed.notify()

    def close(self) -> None:
        """Send the face at rest and then no face, and close the connection; waits two seconds at most."""
        with self._changed:
            if self._closing.is_set():
                return
            self._closing.set()
            self._samples = last_samples(self._time)
            self._changed.notify()
        self._thread.join(2)

    def _take(self) -> list[Sample]:
        """What is to be sent, as soon as there is something."""
        with self._changed:
            self._changed.wait_for(lambda: self._samples or self._closing.is_set())
            samples, self._samples = self._samples, []
            return samples

    def _run(self) -> None:
        delay = FIRST_DELAY
        while not self._closing.is_set():
            try:
                host = f"[{self.address.host}]" if ":" in self.address.host else self.address.host
                with connect(
                    f"ws://{host}:{self.address.port}", compression=None, proxy=None, open_timeout=_PATIENCE,
                    close_timeout=1,
                ) as socket:  # fmt: skip
                    own = self._log_in(socket)
                    delay, self._has_failed = FIRST_DELAY, False
                    self._pass_on(socket, own)
            except _Closed:
                return
            except _ApiError as error:
                if error.number == _DENIED:
                    logger.warning(
                        "%s lets nobody in (%s): allow FreeAvatar there and start again.", self.address.url, error
                    )
                    return
                self._note(error)
            except (OSError, ValueError, KeyError, TypeError, WebSocketException, FreeAvatarError) as error:
                self._note(error)
            self._closing.wait(delay)
            delay = min(2 * delay, LAST_DELAY)

    def _note(self, error: Exception) -> None:
        if not self._has_failed:
            logger.warning("%s cannot be reached (%s); trying again.", self.address.url, error)
        self._has_failed = True

    def _log_in(self, socket: ClientConnection) -> list[str]:
        """Authenticate, and return the names of the parameters that could be created."""
        name = f"{self.address.host}:{self.address.port}"
        token = _load_tokens().get(name)
        if token is None or not self._authenticate(socket, token):
            answer = self._ask(socket, "AuthenticationTokenRequest", PLUGIN, patience=float("inf"))
            _save_tokens({**_load_tokens(), name: answer["authenticationToken"]})
            if not self._authenticate(socket, answer["authenticationToken"]):
                raise _ApiError({"message": "its own token is not accepted"})
        own = [name for name in ARKIT if self._create(socket, name)]
        if taken := sorted(set(ARKIT) - set(own)):
            logger.warning("%s has other plugins' parameters of these names: %s.", self.address.url, ", ".join(taken))
        return own

    def _authenticate(self, socket: ClientConnection, token: str) -> bool:
        return self._ask(socket, "AuthenticationRequest", {**PLUGIN, "authenticationToken": token})["authenticated"]

    def _create(self, socket: ClientConnection, name: str) -> bool:
        """Create a parameter, or find that it is there; whether nobody else has that name."""
        wanted = {"parameterName": name, "explanation": "ARKit's blendshape", "min": 0, "max": 1, "defaultValue": 0}
        try:
            self._ask(socket, "ParameterCreationRequest", wanted)
        except _ApiError:
            return False
        return True

    def _pass_on(self, socket: ClientConnection, own: list[str]) -> None:
        while True:
            for sample in self._take():
                values = standard_parameters(sample) | {name: sample.weight(name) for name in own}
                data = {
                    "faceFound": sample.confidence > 0, "mode": "set",
                    "parameterValues": [{"id": name, "value": round(value, 5)} for name, value in values.items()],
                }  # fmt: skip
                self._ask(socket, "InjectParameterDataRequest", data)
            if self._closing.is_set() and not self._samples:
                raise _Closed

    def _ask(
        self, socket: ClientConnection, kind: str, data: dict[str, Any], *, patience: float = _PATIENCE
    ) -> dict[str, Any]:
        """Send a request and return the data of its answer."""
        self._number += 1
        request = {
            "apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0", "requestID": str(self._number),
            "messageType": kind, "data": data,
        }  # fmt: skip
        socket.send(json.dumps(request))
        answer = self._answer(socket, clock.monotonic() + patience)
        if answer["messageType"] == "APIError":
            raise _ApiError(answer["data"])
        return answer["data"]

    def _answer(self, socket: ClientConnection, deadline: float) -> dict[str, Any]:
        while True:
            try:
                answer = json.loads(socket.recv(timeout=_LOOK))
            except TimeoutError:
                if self._closing.is_set():
                    raise _Closed from None
                if clock.monotonic() > deadline:
                    raise
                continue
            if answer["requestID"] == str(self._number):
                return answer


def standard_parameters(sample: Sample) -> dict[str, float]:
    """VTube Studio's own parameters by name: angles in degrees, the others in [0, 1] or [-1, 1]."""
    yaw, pitch, roll = map(float, sample.head)
    w = sample.weight
    inner = w("browInnerUp")
    brows = {side: 0.5 + (w(f"browOuterUp{side}") + inner) / 4 - w(f"browDown{side}") / 2 for side in ("Left", "Right")}
    corners = w("mouthSmileLeft") + w("mouthSmileRight") - w("mouthFrownLeft") - w("mouthFrownRight")
    return {
        "FaceAngleX": yaw,
        "FaceAngleY": -pitch,
        "FaceAngleZ": roll,
        "MouthOpen": max(w("jawOpen") - w("mouthClose"), 0.0),
        "MouthSmile": 0.5 + corners / 4,
        "MouthX": w("mouthLeft") - w("mouthRight"),
        "EyeOpenLeft": 1 - w("eyeBlinkLeft"),
        "EyeOpenRight": 1 - w("eyeBlinkRight"),
        "EyeLeftX": w("eyeLookOutLeft") - w("eyeLookInLeft"),
        "EyeLeftY": w("eyeLookUpLeft") - w("eyeLookDownLeft"),
        "EyeRightX": w("eyeLookInRight") - w("eyeLookOutRight"),
        "EyeRightY": w("eyeLookUpRight") - w("eyeLookDownRight"),
        "Brows": (brows["Left"] + brows["Right"]) / 2,
        "BrowLeftY": brows["Left"],
        "BrowRightY": brows["Right"],
        "CheekPuff": w("cheekPuff"),
        "TongueOut": w("tongueOut"),
    }


def _tokens_path() -> Path:
    return home() / "vts_tokens.json"


def _load_tokens() -> dict[str, str]:
    """Tokens by host and port."""
    try:
        tokens = json.loads(_tokens_path().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tokens if isinstance(tokens, dict) else {}


def _save_tokens(tokens: dict[str, str]) -> None:
    with replacing(_tokens_path()) as temporary:
        temporary.touch(mode=0o600)
        temporary.write_text(json.dumps(tokens, indent=2), encoding="utf-8")
