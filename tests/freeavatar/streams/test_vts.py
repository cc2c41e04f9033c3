"""VTube Studio, played by a websocket server that answers as its documentation has it."""

import json
import logging
import threading
import time

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

from freeavatar.rig import ARKIT
from freeavatar.streams import open_stream


class Studio:
    """A VTube Studio that keeps what it is asked."""

    def __init__(self, port: int = 0, *, tokens: tuple[str, ...] = (), allows: bool = True, taken: str = "") -> None:
        self.tokens, self.allows, self.taken = set(tokens), allows, taken
        self.kinds: list[str] = []
        self.injected: list[dict] = []
        self.created: list[str] = []
        self._server = serve(self._talk, "127.0.0.1", port)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def _talk(self, socket: ServerConnection) -> None:
        is_in = False
        try:
            for message in socket:
                request = json.loads(message)
                assert (request["apiName"], request["apiVersion"]) == ("VTubeStudioPublicAPI", "1.0")
                kind, data = request["messageType"], request.get("data", {})
                self.kinds.append(kind)
                answer = self._answer(kind, data) if is_in or kind.startswith("Authentication") else self._error(8)
                is_in = is_in or answer.get("data", {}).get("authenticated", False)
                socket.send(json.dumps({"apiName": "VTubeStudioPublicAPI", "requestID": request["requestID"]} | answer))
        except ConnectionClosed:
            pass

    def _answer(self, kind: str, data: dict) -> dict:
        if kind == "AuthenticationTokenRequest":
            if not self.allows:
                return self._error(50, "User has denied API access for your plugin.")
            assert all(3 <= len(data[key]) <= 32 for key in ("pluginName", "pluginDeveloper"))
            self.tokens.add("a-token")
            return {"messageType": "AuthenticationTokenResponse", "data": {"authenticationToken": "a-token"}}
        if kind == "AuthenticationRequest":
            return {
                "messageType": "AuthenticationResponse",
                "data": {"authenticated": data["authenticationToken"] in self.tokens, "reason": ""},
            }
        if kind == "ParameterCreationRequest":
            name = data["parameterName"]
            if name == self.taken:
                return self._error(354)
            assert name.isalnum() and 4 <= len(name) <= 32 and len(data["explanation"]) < 256
            self.created.append(name)
        elif kind == "InjectParameterDataRequest":
            self.injected.append(data)
        return {"messageType": kind.replace("Request", "Response"), "data": {}}

    def _error(self, number: int, message: str = "no") -> dict:
        return {"messageType": "APIError", "data": {"errorID": number, "message": message}}

    def values(self, index: int = -1) -> dict[str, float]:
        return {entry["id"]: entry["value"] for entry in self.injected[index]["parameterValues"]}

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(5)


def soon(holds, seconds: float = 5.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.005)


@pytest.fixture
def studio():
    studio = Studio()
    yield studio
    studio.close()


def send_until(stream, given, holds):
    """Send a sample again and again, as a take does, until something holds."""

    def act():
        stream.send(*given)
        return holds()

    soon(act)


def test_it_asks_for_a_token_once_and_keeps_it(studio, sample, user_home):
    url = f"vts://127.0.0.1:{studio.port}"
    for times in (1, 2):
        with open_stream(url) as stream:
            send_until(stream, sample(), lambda times=times: len(studio.injected) >= 3 * times)
    assert studio.kinds.count("AuthenticationTokenRequest") == 1 and studio.kinds.count("AuthenticationRequest") == 2
    path = user_home / "vts_tokens.json"
    assert json.loads(path.read_text()) == {f"127.0.0.1:{studio.port}": "a-token"}
    assert path.stat().st_mode & 0o077 == 0


def test_a_token_that_was_revoked_is_asked_for_again(studio, sample, user_home):
    (user_home / "vts_tokens.json").write_text(json.dumps({f"127.0.0.1:{studio.port}": "old", "other:1": "kept"}))
    with open_stream(f"vts://127.0.0.1:{studio.port}") as stream:
        send_until(stream, sample(), lambda: studio.injected)
    stored = json.loads((user_home / "vts_tokens.json").read_text())
    assert stored == {f"127.0.0.1:{studio.port}": "a-token", "other:1": "kept"}


def test_its_own_parameters_and_arkits_get_values(studio, sample):
    given = sample(
        head=(10, 5, 3), jawOpen=0.6, mouthSmileLeft=1, mouthSmileRight=1, eyeBlinkLeft=1, eyeLookOutLeft=0.5
    )
    with open_stream(f"vts://127.0.0.1:{studio.port}") as stream:
        send_until(stream, given, lambda: studio.injected)
        found, data = studio.values(0), studio.injected[0]
    assert studio.created == list(ARKIT) and data["faceFound"] and data["mode"] == "set"
    wanted = {
        "FaceAngleX": 10, "FaceAngleY": -5, "FaceAngleZ": 3, "MouthOpen": 0.6, "MouthSmile": 1, "EyeOpenLeft": 0,
        "EyeOpenRight": 1, "EyeLeftX": 0.5, "Brows": 0.5, "TongueOut": 0, "jawOpen": 0.6, "eyeBlinkLeft": 1,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-4)
    assert set(ARKIT) < set(found)


def test_a_parameter_of_another_plugin_is_left_to_it(sample, caplog):
    studio = Studio(taken="jawOpen")
    with open_stream(f"vts://127.0.0.1:{studio.port}") as stream:
        send_until(stream, sample(), lambda: studio.injected)
    assert "jawOpen" not in studio.values() and "other plugins' parameters of these names: jawOpen" in caplog.text
    studio.close()


def test_it_ends_with_a_face_at_rest_and_then_none(studio, sample):
    with open_stream(f"vts://127.0.0.1:{studio.port}") as stream:
        send_until(stream, sample(jawOpen=1.0), lambda: studio.injected)
    assert [data["faceFound"] for data in studio.injected[-2:]] == [True, False]
    assert studio.values(-2)["jawOpen"] == studio.values(-1)["jawOpen"] == 0


def test_a_studio_that_starts_again_is_found(sample, caplog):
    caplog.set_level(logging.WARNING)
    first = Studio()
    with open_stream(f"vts://127.0.0.1:{first.port}") as stream:
        send_until(stream, sample(), lambda: first.injected)
        first.close()
        start = time.monotonic()
        for k in range(200):
            stream.send(*sample(time=k / 30))
        assert time.monotonic() - start < 0.2  # sending does not wait for the studio
        second = Studio(first.port, tokens=("a-token",))
        send_until(stream, sample(), lambda: second.injected)
    assert "AuthenticationTokenRequest" not in second.kinds
    assert caplog.text.count("cannot be reached") == 1
    second.close()


def test_a_studio_that_is_not_there_holds_nothing_up(sample):
    start = time.monotonic()
    with open_stream("vts://127.0.0.1:9") as stream:
        stream.send(*sample())
    assert time.monotonic() - start < 1


def test_a_user_who_says_no_is_not_asked_again(sample, caplog):
    studio = Studio(allows=False)
    with open_stream(f"vts://127.0.0.1:{studio.port}") as stream:
        soon(lambda: not stream._thread.is_alive())
        stream.send(*sample())
    assert studio.kinds == ["AuthenticationTokenRequest"] and "allow FreeAvatar there" in caplog.text
    studio.close()
