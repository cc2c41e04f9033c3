"""50,000 points on the Explore tab: first paint, frames a second while turning, memory of page and server.

python -m benchmarks.explore --out /tmp/explore                          # 50,000 points, a few minutes
python -m benchmarks.explore --out /tmp/explore --points 2000 --seconds 2

Frames are counted on the page and, in the same run, on a bare Plotly page with as many points: on a machine without
a GPU the ratio says more than the figure. Needs Chromium and requirements-dev.txt.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from playwright.sync_api import Page, sync_playwright

from annotation.store.ids import now
from annotation.store.images import add_embeddings, weights_id
from annotation.store.store import Store
from freeavatar.explore.export import plotly_script

PORT = 7955
_TURN = """async (seconds) => {
  const plot = document.querySelector('.exp-plot') || document.getElementById('bare');
  const frame = () => new Promise(requestAnimationFrame);
  await frame();
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < 1000 * seconds) {
    const angle = count / 20;
    await Plotly.relayout(plot, { 'scene.camera.eye': { x: 1.4 * Math.cos(angle), y: 1.4 * Math.sin(angle), z: 0.8 } });
    await frame();
    count += 1;
  }
  return count / (performance.now() - start) * 1000;
}"""
_PLACE = """() => {
  const plot = document.querySelector('.exp-plot'), box = plot.getBoundingClientRect();
  const { xaxis, yaxis } = plot._fullLayout, { x, y } = plot.data[0];
  return [box.left + xaxis._offset + xaxis.l2p(x[0]), box.top + yaxis._offset + yaxis.l2p(y[0])];
}"""
_BARE = """<!doctype html><div id="bare" style="width:{width}px;height:560px"></div><script src="{script}"></script>
<script>
const n = {points}, draw = () => Float32Array.from({{ length: n }}, () => Math.random() - .5);
Plotly.newPlot("bare", [{{ type: "scatter3d", mode: "markers", x: draw(), y: draw(), z: draw(), hoverinfo: "none",
  marker: {{ size: 1.5, color: draw() }} }}], {{ margin: {{ l: 0, r: 0, t: 0, b: 0 }} }})
  .then(() => {{ window.isDrawn = true; }});
</script>"""


def fill(path: Path, count: int) -> None:
    """A pool of ``count`` small crops with embeddings in twenty blobs."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 16))
    vectors = (centres[rng.integers(0, 20, count)] + 0.4 * rng.normal(size=(count, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    faces = [cv2.imencode(".jpg", rng.integers(0, 255, (96, 96, 3), np.uint8))[1].tobytes() for _ in range(64)]
    store, ids = Store(path), [f"{k:032x}" for k in range(count)]
    with store.write() as db:
        rows = [(i, "photo", f"faces/{k % 8}/{k}.jpg", "CC0", faces[k % 64], now()) for k, i in enumerate(ids)]
        sql = "insert into images (id, kind, source, licence, crop, created) values (?, ?, ?, ?, ?, ?)"
        db.conn.executemany(sql, rows)
        add_embeddings(store, ids, weights_id(), vectors)
    store.set("builtin", True)
    store.close()


def resident(pid: int) -> float:
    """Memory of a process and its children in megabytes, shared pages counted in part (PSS)."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    return own + sum(resident(int(child)) for child in children)


def measure(page: Page, url: str, points: int, seconds: float, out: Path) -> dict[str, float]:
    """Figures of the app's page."""
    figures = {}
    page.goto(url)
    page.wait_for_selector(f".exp[data-drawn] figcaption:has-text('{points} faces')")
    figures["first visit, navigation to first paint, s"] = page.evaluate("performance.now() / 1000")
    page.reload()
    page.wait_for_selector(f".exp[data-drawn] figcaption:has-text('{points} faces')")
    figures["navigation to first paint, s"] = page.evaluate("performance.now() / 1000")
    page.screenshot(path=out / "flat.png")
    x, y = page.evaluate(_PLACE)
    started = time.monotonic()
    page.mouse.move(x - 3, y)
    page.mouse.move(x, y)
    page.wait_for_function("document.querySelector('.exp-hover div').style.backgroundImage.startsWith('url')")
    figures["mouse to face, s"] = time.monotonic() - started
    page.click("button[data-dims='3']")
    page.wait_for_function("document.querySelector('.exp-plot').data[0].type === 'scatter3d'")
    figures["frames/s, 3-D"] = page.evaluate(_TURN, seconds)
    page.screenshot(path=out / "turned.png")
    figures["page's JavaScript heap, MB"] = page.evaluate("performance.memory.usedJSHeapSize / 2**20")
    return figures


def bare(page: Page, points: int, seconds: float, out: Path) -> float:
    """Frames a second of nothing but Plotly."""
    file = out / "bare.html"
    file.write_text(_BARE.format(points=points, script=plotly_script().as_uri(), width=866))
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_function("window.isDrawn")
    return page.evaluate(_TURN, seconds)


def main() -> None:
    """Print the figures and write them to ``out/explore.json``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and screenshots")
    parser.add_argument("--points", type=int, default=50_000)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long to turn")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    labels = args.out / f"labels-{args.points}.db"
    if not labels.exists():
        fill(labels, args.points)
    command = ["app.py", "--no-browser", "--tabs", "explore", "--port", str(PORT), "--labels", str(labels)]
    server = subprocess.Popen([sys.executable, *command])
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--enable-precise-memory-info"]
            )
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(300_000)
            _wait_for(page)
            figures = measure(page, f"http://127.0.0.1:{PORT}", args.points, args.seconds, args.out)
            figures["server, MB"] = resident(server.pid)
            _report(figures)
            figures["frames/s, bare Plotly"] = bare(page, args.points, args.seconds, args.out)
            browser.close()
    finally:
        server.terminate()
        server.wait()
    figures["ratio to bare Plotly"] = figures["frames/s, 3-D"] / figures["frames/s, bare Plotly"]
    _report(figures)
    (args.out / "explore.json").write_text(json.dumps({"points": args.points, **figures}, indent=1))


def _report(figures: dict[str, float]) -> None:
    for name, value in figures.items():
        print(f"{name:45} {value:8.2f}", flush=True)


def _wait_for(page: Page) -> None:
    for _ in range(120):
        try:
            page.goto(f"http://127.0.0.1:{PORT}", wait_until="commit")
            return
        except Exception:
            time.sleep(1)
    raise SystemExit("the app did not start")


if __name__ == "__main__":
    main()
