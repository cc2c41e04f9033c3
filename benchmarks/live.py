"""Live in a real browser: frames a second, and the time from the actor's frame on screen to the avatar's.

python -m benchmarks.live [--clip examples/actor.mp4] [--seconds 30] [--screenshot live.png]

Chromium's fake camera plays a file in which the actor jumps between a neutral and a smiling face every second and a
half, with a white or black square in the corner. A script in the page watches the camera's element and the avatar's
picture; from the moment the square turns to the moment the avatar has changed half way is glass to glass, the filters
included. The page's own figures (from the capture of a frame to the paint of its answer) are printed beside it.
"""

import argparse
import json
import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

import app
from freeavatar.video import VideoReader

HALF_PERIOD = 1.5
"""Seconds between two changes of face."""
RATE = 30
WATCH = """() => {
  const root = document.querySelector('#live'), small = document.createElement('canvas');
  small.width = small.height = 32;
  const look = (node) => {
    const pen = small.getContext('2d', {willReadFrequently: true});
    pen.drawImage(node, 0, 0, 32, 32);
    return pen.getImageData(0, 0, 32, 32).data;
  };
  window.seen = [];
  let last = '';
  const watch = () => {
    const video = root.querySelector('video'), picture = root.querySelector('img');
    if (video.videoWidth && picture.naturalWidth) {
      const flash = look(video)[4 * (32 * 2 + 2)];
      const row = [performance.now(), flash];
      if (picture.src !== last) row.push(Array.from(look(picture)).filter((_, k) => k % 4 === 1));
      last = picture.src;
      window.seen.push(row);
    }
    requestAnimationFrame(watch);
  };
  watch();
}"""


def write_camera(clip: Path, target: Path) -> None:
    """Write the camera's file (MJPEG): two faces of the clip, the most neutral first frame and a frame of a smile."""
    frames = [frame.image for frame in VideoReader(clip)]
    faces = [cv2.resize(frames[k], (640, 480), interpolation=cv2.INTER_AREA) for k in (0, min(37, len(frames) - 1))]
    with target.open("wb") as file:
        for k, image in enumerate(faces):
            image[:80, :80] = 255 * k
            data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()
            file.write(data * round(HALF_PERIOD * RATE))


def latencies(seen: list[list]) -> list[float]:
    """Milliseconds from each turn of the square to the picture that is half way to the new face."""
    times = np.array([row[0] for row in seen])
    flash = np.array([row[1] > 127 for row in seen])
    turns = times[1:][flash[1:] != flash[:-1]]
    pictures = [(row[0], np.array(row[2], np.float32)) for row in seen if len(row) > 2]
    found = []
    for start, end in pairwise(turns[1:]):
        earlier = [picture for at, picture in pictures if at <= start]
        during = [(at, picture) for at, picture in pictures if start < at < end]
        if len(during) < 3 or not earlier:
            continue
        before, after = earlier[-1], during[-1][1]
        way = after - before
        parts = [(at, float(((picture - before) * way).sum() / (way * way).sum())) for at, picture in during]
        found.append(next(at for at, part in parts if part > 0.5) - start)
    return found


def measure(clip: Path, seconds: float, screenshot: Path | None) -> dict[str, object]:
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
                "--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-video-capture={camera}",
            ],
        )  # fmt: skip
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.get_by_role("tab", name="Live").click()
        page.get_by_text("Start the camera").click()
        page.wait_for_selector(".fa-live-rate[data-fps]", timeout=120_000)
        page.wait_for_timeout(4000)
        page.evaluate(WATCH)
        page.wait_for_timeout(1000 * seconds)
        seen = page.evaluate("window.seen")
        own = page.locator(".fa-live-rate").evaluate("node => ({...node.dataset})")
        if screenshot:
            page.screenshot(path=screenshot)
        browser.close()
    demo.close()
    pictures = [row[0] for row in seen if len(row) > 2]
    glass = latencies(seen)
    if not glass:
        raise SystemExit(
            f"{len(pictures)} pictures in {seconds:g} s are too few to see a change of face: free the machine."
        )
    return {
        "frames a second": round(1000 * (len(pictures) - 1) / (pictures[-1] - pictures[0]), 1),
        "glass to glass, median ms": round(float(np.median(glass))),
        "glass to glass, worst ms": round(max(glass)),
        "changes of face": len(glass),
        "the page says": {"frames a second": own.get("fps"), "latency ms": own.get("latency")},
    }


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clip", type=Path, default=Path("examples/actor.mp4"))
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--screenshot", type=Path)
    args = parser.parse_args()
    print(json.dumps(measure(args.clip, args.seconds, args.screenshot), indent=1))


if __name__ == "__main__":
    main()
