"""What Live's page asks the server past Gradio: frames, avatars, and windows of their own that show them.

The server of this app has no websockets without another package. A request for each frame over a kept connection costs
about what a websocket's message does; windows that only watch get server-sent events.
"""

import asyncio
import atexit
import html
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from freeavatar.avatars import available_avatars, avatar_path
from freeavatar.errors import FreeAvatarError
from webapp.common.replies import explained
from webapp.common.scripts import module_url
from webapp.live.desk import LARGEST_FRAME, LiveDesk, describe, watch_key

DESK = LiveDesk()
atexit.register(DESK.close)
MOST_WATCHERS = 32
"""Windows that watch at once."""
_QUIET = 10.0
"""Seconds after which something is sent to a window that has nothing to see, so that one that is gone is noticed."""
_WINDOW = (Path(__file__).parent / "window.html").read_text()


class Watchers:
    """Windows that show a session's avatars; each gets the newest moment, and misses those it was too slow for."""

    def __init__(self) -> None:
        self._queues: dict[str, set[asyncio.Queue[str]]] = {}

    def publish(self, key: str, text: str) -> None:
        """Give everybody who watches the newest moment."""
        for queue in self._queues.get(key, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(text)

    @property
    def count(self) -> int:
        """How many watch."""
        return sum(map(len, self._queues.values()))

    async def events(self, key: str) -> AsyncIterator[str]:
        """Moments as server-sent events, until the window is closed."""
        queue: asyncio.Queue[str] = asyncio.Queue(maxsize=1)
        self._queues.setdefault(key, set()).add(queue)
        try:
            yield ": open\n\n"
            while True:
                try:
                    yield f"data: {await asyncio.wait_for(queue.get(), _QUIET)}\n\n"
                except TimeoutError:
                    yield ": quiet\n\n"
        finally:
            self._queues[key].discard(queue)
            if not self._queues[key]:
                del self._queues[key]


WATCHERS = Watchers()
_step = explained(DESK.step)


async def _frame(request: Request) -> Response:
    """A frame in, what the avatars play out."""
    data = bytearray()
    try:
        async for part in request.stream():
            data += part
            if len(data) > LARGEST_FRAME:
                return PlainTextResponse("", status_code=413)
    except ClientDisconnect:
        return PlainTextResponse("", status_code=400)
    key, query = request.path_params["key"], request.query_params
    asked: dict[str, Any] = {
        "key": key,
        "jpeg": bytes(data),
        "time": query.get("time"),
        "language": query.get("language"),
    }
    reply = await run_in_threadpool(_step, asked)
    text = json.dumps(reply)
    if "avatars" in reply:
        WATCHERS.publish(watch_key(key), text)
    return Response(text, media_type="application/json")


async def _glb(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in available_avatars():
        return PlainTextResponse("", status_code=404)
    return FileResponse(avatar_path(name), media_type="model/gltf-binary")


async def _description(request: Request) -> Response:
    try:
        return JSONResponse(await run_in_threadpool(describe, request.path_params["name"]))
    except FreeAvatarError:
        return PlainTextResponse("", status_code=404)


async def _window(request: Request) -> Response:
    url = html.escape(f"../../gradio_api/{module_url(Path(__file__).parent / 'window.js')}")
    return HTMLResponse(_WINDOW.replace("{module}", url))


async def _events(request: Request) -> Response:
    if WATCHERS.count >= MOST_WATCHERS:
        return PlainTextResponse("", status_code=503)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(
        WATCHERS.events(request.path_params["watch"]), media_type="text/event-stream", headers=headers
    )


ROUTES: list[BaseRoute] = [
    Route("/live/frame/{key}", _frame, methods=["POST"]),
    Route("/live/avatars/{name}.glb", _glb),
    Route("/live/avatars/{name}.json", _description),
    Route("/live/watch/{watch}", _window),
    Route("/live/watch/{watch}/events", _events),
]
"""For the app that Gradio makes."""
