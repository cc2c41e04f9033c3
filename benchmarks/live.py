"""Live in a real browser: frames followed a second, and how far the avatar is behind the camera.

python -m benchmarks.live [--clip examples/actor.mp4] [--seconds 20] [--avatar ines ...] [--screenshot live.png]

Chromium's fake camera plays the clip. First the stage is paused, so that what follows the face has the machine to
itself: frames a second, the time from the capture of a frame to the weights that came of it, and what the server took
of that. Then the stage draws: the same, and the time to the pixels. Without a graphics card the browser draws on the
cores that also follow the face, and fewer pixels where it is too slow; `--size` is the side of the window. The round
trip of a request that asks for nothing is printed beside them.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import cv2

import app
from freeavatar.avatars import DEFAULT_AVATAR
from freeavatar.video import VideoReader

RATE = 30
LEAD = 3.0
"""Seconds that are not counted after a change: the page's figures are of its last 45 frames."""
ROUND_TRIP = """async () => {
  const body = new Uint8Array(20000), times = [];
  for (let k = 0; k < 60; k++) {
    const start = performance.now();
    await (await fetch('live/frame/nobody?time=0', {method: 'POST', body})).json();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[30];
}"""
STAGE = "document.querySelector('.fa-live').stage"


def write_camera(clip: Path, target: Path) -> None:
    """Write the camera's file (MJPEG), 640 x 480."""
    with target.open("wb") as file:
        for frame in VideoReader(clip):
            image = cv2.resize(frame.image, (640, 480), interpolation=cv2.INTER_AREA)
            file.write(cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())


def figures(page: Any, seconds: float) -> dict[str, float]:
    """What the page says of itself after a while."""
    drawn = page.evaluate(f"{STAGE}.drawn")
    for name in ("Pause", "Go on"):  # forgets what was measured before
        page.get_by_role("button", name=name).click()
    page.wait_for_timeout(1000 * (LEAD + seconds))
    own = page.locator(".fa-live-rate").evaluate("node => ({...node.dataset})")
    pictures = (page.evaluate(f"{STAGE}.drawn") - drawn) / (LEAD + seconds)
    return {
        "frames followed a second": float(own["fps"]), "camera to weights, ms": float(own["weights"]),
        "of that the server, ms": float(own["server"]), "pictures a second": round(pictures, 1),
        "camera to pixels, ms": float(own["pixels"]),
    }  # fmt: skip


def measure(clip: Path, seconds: float, avatars: list[str], size: int, screenshot: Path | None) -> dict[str, object]:
    """Serve the app, open it, and watch."""
    from playwright.sync_api import sync_playwright

    demo = app.build(["animate"])
    _, url, _ = app.launch(demo, tabs=["animate"], prevent_thread_lock=True, quiet=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        camera = Path(folder) / "camera.mjpeg"
        write_camera(clip, camera)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--no-sandbox", "--enable-unsafe-swiftshader", "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}",
            ],
        )  # fmt: skip
        page = browser.new_page(viewport={"width": size, "height": size})
        page.goto(url)
        trip = page.evaluate(ROUND_TRIP)
        page.get_by_role("tab", name="Live").click()
        page.wait_for_selector(".fa-live-stage[data-cast]", timeout=120_000)
        page.evaluate(f"() => {{ {STAGE}.isPaused = true; }}")
        for name in sorted(set(avatars) ^ {DEFAULT_AVATAR}, key=DEFAULT_AVATAR.__eq__):  # somebody always stays
            page.click(f".fa-live-cast button[data-name={name}]")
        page.get_by_text("Start the camera").click()
        page.wait_for_selector(".fa-live-rate[data-fps]", timeout=120_000)
        paused = figures(page, seconds)
        page.evaluate(f"() => {{ {STAGE}.isPaused = false; }}")
        page.wait_for_timeout(1000 * seconds)
        drawing = figures(page, seconds)
        card = page.evaluate(
            f"""() => {{
                const gl = {STAGE}.renderer.getContext(), info = gl.getExtension('WEBGL_debug_renderer_info');
                return info ? gl.getParameter(info.UNMASKED_RENDERER_WEBGL) : '';
            }}"""
        )
        if screenshot:
            page.screenshot(path=screenshot)
        browser.close()
    demo.close()
    del paused["pictures a second"], paused["camera to pixels, ms"]
    return {"empty round trip, ms": round(trip, 1), "stage paused": paused, "stage drawing": drawing, "drawn by": card}


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=Path("examples/actor.mp4"))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--avatar", nargs="+", default=["ines"])
    parser.add_argument("--size", type=int, default=900, help="side of the browser's window in pixels")
    parser.add_argument("--screenshot", type=Path)
    args = parser.parse_args()
    print(json.dumps(measure(args.clip, args.seconds, args.avatar, args.size, args.screenshot), indent=1))


if __name__ == "__main__":
    main()
