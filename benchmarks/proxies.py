"""What is measured: each proxy with one worker, in front of the same canned engine."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import peers, scene
from benchmarks.load import Request
from benchmarks.measured import Measured, answers, resident_mib
from maas_operator.gateway.envoy.names import BOOTSTRAP
from maas_operator.gateway.envoy.proto import Config, extension
from maas_operator.gateway.facts import Facts
from tests.gateway.gateway import ENVOY, Gateway
from tests.processes import cpu_seconds, free_port

LITELLM_KEY = "sk-of-the-benchmark"
FILES_SECONDS = 120


class Proxy:
    """A running proxy. base: its address."""

    def __init__(self, process: Measured, base: str) -> None:
        self.process, self.base = process, base

    def cpu_seconds(self) -> float:
        return self.process.cpu_seconds()

    def resident_mib(self) -> float:
        return self.process.resident_mib()

    def requests(self, count: int, stream: bool = False) -> Iterable[Request]:
        """So many different requests."""
        return [Request("none", scene.body(scene.MODEL, stream))]

    def stop(self) -> None:
        self.process.stop()


@contextmanager
def engine(folder: Path, **options: float) -> Iterator[int]:
    """A canned engine; its port. options: those of benchmarks/engine.py."""
    port = free_port()
    arguments = [f"--{name.replace('_', '-')}={value:g}" for name, value in options.items()]
    process = Measured(
        [sys.executable, "-m", "benchmarks.engine", "--port", str(port), *arguments], folder / "engine.log"
    )
    try:
        process.until(lambda: answers(f"http://127.0.0.1:{port}/health"))
        yield port
    finally:
        process.stop()


def bare(engine_port: int, folder: Path) -> Proxy:
    """Envoy with one route, one cluster and no filter but its router."""
    port, admin = free_port(), free_port()
    (folder / "bare.json").write_text(json.dumps(_bare(port, admin, engine_port)))
    arguments = ["-c", str(folder / "bare.json"), "--concurrency", "1", "-l", "error", "--disable-hot-restart"]
    process = Measured([ENVOY, *arguments], folder / "bare.log")
    process.until(lambda: answers(f"http://127.0.0.1:{port}/health"))
    return Proxy(process, f"http://127.0.0.1:{port}")


def _bare(port: int, admin: int, engine_port: int) -> Config:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "engine", "timeout": "0s"}}
    http = extension(
        "http",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix="bare",
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        http_filters=[extension("router", "envoy.extensions.filters.http.router.v3.Router")],
    )
    engine_address = {"endpoint": {"address": _address(engine_port)}}
    bounds = {"max_connections": 65536, "max_pending_requests": 65536, "max_requests": 65536}
    cluster = {
        "name": "engine",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [bounds]},
        "load_assignment": {"cluster_name": "engine", "endpoints": [{"lb_endpoints": [engine_address]}]},
    }
    listener = {"address": _address(port), "filter_chains": [{"filters": [http]}]}
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {"listeners": [listener], "clusters": [cluster]},
    }


def _address(port: int) -> Config:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


class Ours(Proxy):
    """Envoy with our agent beside it, all that can be switched on on."""

    def __init__(self, engine_port: int, folder: Path, services: int, keys: int) -> None:
        self.services, self.keys = services, keys
        self._gateway = Gateway(
            Facts(),
            agent_port=free_port(),
            requests_per_minute_per_address=60_000_000,
        )
        settings = folder / "settings.json"
        settings.write_text(self._gateway.settings.model_dump_json(by_alias=True, exclude_none=True))
        envoy_folder = self._gateway.files.folder
        options = {
            "services": services,
            "keys": keys,
            "engine-port": engine_port,
            "settings": settings,
            "folder": envoy_folder,
            "access-log": self._gateway.log,
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        self.agent = Measured([sys.executable, "-m", "benchmarks.agent_process", *arguments], folder / "agent.log")
        self.agent.until((envoy_folder / BOOTSTRAP).exists, FILES_SECONDS)
        self._gateway.start()
        super().__init__(self.agent, self._gateway.url)
        assert self._gateway.process
        self._envoy = self._gateway.process.pid
        self.agent.until(lambda: answers(f"{self.base}/v1/models", {"Authorization": f"Bearer {scene.text_of(0)}"}))

    def cpu_seconds(self) -> float:
        return cpu_seconds(self._envoy)

    def resident_mib(self) -> float:
        return resident_mib(self._envoy)

    def requests(self, count: int, stream: bool = False) -> Iterable[Request]:
        """Each with a key of its own, in no order."""
        return scene.requests(count, self.keys, self.services, stream)

    def stop(self) -> None:
        if self._gateway.process:
            self._gateway.process.kill()
            self._gateway.process.wait()
        self.agent.stop()
        shutil.rmtree(self._gateway.folder)


def vllm_router(engine_port: int, folder: Path) -> Proxy:
    """vllm-router with one thread; it knows neither keys nor limits."""
    port, prometheus = free_port(), free_port()
    address = ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(prometheus)]
    workers = ["--worker-urls", f"http://127.0.0.1:{engine_port}", "--policy", "round_robin", "--log-level", "error"]
    calm = ["--disable-circuit-breaker", "--disable-retries", "--health-check-interval-secs", "3600"]
    process = Measured(
        [str(peers.binary("vllm-router")), *address, *workers, *calm],
        folder / "vllm-router.log",
        {"TOKIO_WORKER_THREADS": "1", "RAYON_NUM_THREADS": "1"},
    )
    process.until(lambda: answers(f"http://127.0.0.1:{port}/health"))
    return Proxy(process, f"http://127.0.0.1:{port}")


class LiteLLM(Proxy):
    """LiteLLM's proxy with one worker and a master key, without a database."""

    def __init__(self, engine_port: int, folder: Path) -> None:
        port = free_port()
        parameters = {
            "model": f"openai/{scene.MODEL}",
            "api_base": f"http://127.0.0.1:{engine_port}/v1",
            "api_key": "x",
        }
        models = [{"model_name": scene.MODEL, "litellm_params": parameters}]
        config = folder / "litellm.json"
        config.write_text(json.dumps({"model_list": models, "general_settings": {"master_key": LITELLM_KEY}}))
        arguments = ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
        offline = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False"}
        process = Measured([str(peers.binary("litellm")), *arguments], folder / "litellm.log", offline)
        process.until(lambda: answers(f"http://127.0.0.1:{port}/health/liveliness"))
        super().__init__(process, f"http://127.0.0.1:{port}")

    def requests(self, count: int, stream: bool = False) -> Iterable[Request]:
        """All with the master key."""
        return [Request(LITELLM_KEY, scene.body(scene.MODEL, stream))]
