"""A crowd on the Label tab: the real app in a process of its own, simulated annotators over HTTP beside it.

    python -m benchmarks.annotation_load                                   # 200 annotators, 2 minutes
    python -m benchmarks.annotation_load --annotators 20 --seconds 20      # CPU-sized

Each annotator answers every ``--pause`` seconds. A request files an answer and brings the next question
with its pictures. Afterwards every acknowledged answer must be in the database, and the 95th percentile of
the latency below 300 ms.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import tyro

from annotation.pool.builtin import fill_builtin
from annotation.store.images import Embedder
from annotation.store.maintenance import check_store
from annotation.store.store import Store

SLOWEST = 300.0
"""Largest 95th percentile of the latency in milliseconds."""
SLOWEST_START = 300.0
"""Seconds the app may take to start on a busy machine."""


@dataclass(frozen=True)
class LoadConfig:
    """How large a crowd."""

    annotators: int = 200
    seconds: float = 120.0
    pause: float = 4.0
    """Seconds between two answers of one annotator."""
    port: int = 7899


class Crowd:
    """Counts what a crowd sees."""

    def __init__(self, config: LoadConfig, client: httpx.AsyncClient, component: int) -> None:
        self._config, self._client, self._component = config, client, component
        self.acknowledged: list[str] = []
        self.latencies: list[float] = []
        self.errors: list[str] = []

    async def call(self, person: int, name: str, **request: object) -> dict:
        """One call of the page's."""
        body = {
            "session_hash": f"load{person}",
            "component_id": self._component,
            "fn_name": name,
            "data": {"annotator": f"link:load-{person}", "client": "load", **request},
        }
        response = await self._client.post("/gradio_api/component_server", json=body)
        response.raise_for_status()
        return response.json()

    async def answer_on(self, person: int, end: float) -> None:
        """One annotator's visit."""
        rng = random.Random(person)
        await asyncio.sleep(rng.uniform(0, self._config.pause))
        try:
            met = await self.call(person, "hello", source="link", key=f"load-{person}")
            await self.call(person, "agree", consent_id=met["consent_id"])
            question = (await self.call(person, "ask", holding=[]))["question"]
            while time.monotonic() < end:
                due = time.monotonic() + self._config.pause * rng.uniform(0.8, 1.2)
                count = 3 if question["form"] == "grid" else 1
                places = rng.sample(range(len(question["images"])), count)
                start = time.perf_counter()
                reply = await self.call(
                    person, "answer", lease=question["lease"], action="choice", places=places, seconds=3.0,
                    holding=[question["lease"]],
                )  # fmt: skip
                self.latencies.append(time.perf_counter() - start)
                self.acknowledged.append(reply["stored"])
                question = reply["question"]
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        except (httpx.HTTPError, KeyError) as error:
            self.errors.append(f"{person}: {error!r}")


async def _wait_for(client: httpx.AsyncClient) -> dict:
    """The page's configuration, once the app serves it."""
    end = time.monotonic() + SLOWEST_START
    while True:
        try:
            return (await client.get("/config")).json()
        except httpx.TransportError:
            if time.monotonic() > end:
                raise SystemExit(f"the app did not start within {SLOWEST_START:g} s: look at its output.") from None
            await asyncio.sleep(0.3)


async def _run(config: LoadConfig, url: str) -> Crowd:
    limits = httpx.Limits(max_connections=config.annotators, max_keepalive_connections=config.annotators)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        page = await _wait_for(client)
        component = next(c["id"] for c in page["components"] if c["props"].get("elem_id") == "label")
        crowd = Crowd(config, client, component)
        end = time.monotonic() + config.seconds
        await asyncio.gather(*(crowd.answer_on(k, end) for k in range(config.annotators)))
    return crowd


def main(config: LoadConfig) -> None:
    """Serve, answer, count; exits 1 if an acknowledged answer is missing, something failed or took too long."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labels.db"
        store = Store(path)
        fill_builtin(store, Embedder())
        command = [sys.executable, "app.py", "--no-browser", "--port", str(config.port)]
        command += ["--tabs", "label", "--labels", str(path)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            crowd = asyncio.run(_run(config, f"http://127.0.0.1:{config.port}"))
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
        stored = {row["id"] for row in store.rows("select id from answers")}
        problems = check_store(store)
    lost = set(crowd.acknowledged) - stored
    p50, p95, p99 = (1000 * np.quantile(crowd.latencies, q) for q in (0.5, 0.95, 0.99))
    print(f"{config.annotators} annotators, one answer per {config.pause:g} s each, {config.seconds:g} s")
    print(f"acknowledged {len(crowd.acknowledged)}, stored {len(stored)}, lost {len(lost)}")
    print(f"load average of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"next question: median {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms; {len(crowd.errors)} errors")
    for line in [*crowd.errors[:5], *problems[:5]]:
        print(f"- {line}")
    raise SystemExit(int(bool(lost or crowd.errors or problems or p95 > SLOWEST)))


if __name__ == "__main__":
    main(tyro.cli(LoadConfig, description=__doc__))
