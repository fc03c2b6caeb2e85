"""What counts limits for all replicas, for real: Redis or Valkey, and Envoy's rate limit service in front of it."""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Self

import yaml

from tests.cluster.build import binary
from tests.cluster.pki import Authority
from tests.processes import free_port

FILES = Path(__file__).parents[2] / "charts/maas-operator/files/limits"
SECONDS = 30.0
PASSWORD = "of-the-store"


def servers() -> dict[str, Path]:
    """The servers of Redis' protocol that this machine has: name -> binary. Debian's package of Redis where there is
    none; only its tools, which are the server under another name, so that no service is started."""
    found = {name: path for name in ("redis", "valkey") if (path := shutil.which(f"{name}-server"))}
    if not found and not shutil.which("redis-check-rdb"):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "redis-tools"]):
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
    if not found and (tools := shutil.which("redis-check-rdb")):
        found["redis"] = tools
    assert found, "neither Redis nor Valkey here, and apt-get install redis-tools brought none"
    return {name: Path(path).resolve() for name, path in found.items()}


class Store:
    """A server with a password, and with TLS where an authority is given."""

    def __init__(self, directory: Path, server: Path, authority: Authority | None = None) -> None:
        self.port = free_port()
        self.authority = authority
        self._log = directory / "store.log"
        self._program = directory / "redis-server"  # what the binary is, it knows by its name
        self._program.symlink_to(server)
        (directory / "store.conf").write_text("\n".join(self._settings()) + "\n")
        self._file = directory / "store.conf"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen([self._program, self._file], stdout=log, stderr=log)
        wait_for(self._log, "Ready to accept connections", self._process)
        return self

    def kill(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait(SECONDS)
            self._process = None
            self._log.unlink()

    def _settings(self) -> list[str]:
        plain = [f"port {0 if self.authority else self.port}", "bind 127.0.0.1", f"requirepass {PASSWORD}", 'save ""']
        if not self.authority:
            return plain
        certificate, key = self.authority.issue("store", "store", hosts=["localhost"])
        files = (
            f"tls-cert-file {certificate}",
            f"tls-key-file {key}",
            f"tls-ca-cert-file {self.authority.certificate_file}",
        )
        return [*plain, f"tls-port {self.port}", "tls-auth-clients no", *files]


class RateLimitService:
    """Envoy's service, with the files that the chart gives it."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.port = free_port()
        self.log = directory / "service.log"
        (directory / "limits/config").mkdir(parents=True)
        shutil.copy(FILES / "limits.yaml", directory / "limits/config")
        own = {name: str(free_port()) for name in ("PORT", "DEBUG_PORT")}
        self._environment = {
            **yaml.safe_load((FILES / "service.yaml").read_text()),
            **own,
            "GRPC_PORT": str(self.port),
            "GRPC_HOST": "127.0.0.1",
            "HOST": "127.0.0.1",
            "PROMETHEUS_ADDR": f"127.0.0.1:{free_port()}",
            "RUNTIME_ROOT": str(directory / "limits"),
            "REDIS_URL": f"localhost:{store.port}",
            "REDIS_AUTH": PASSWORD,
            "REDIS_TLS": str(bool(store.authority)).lower(),
            "REDIS_TLS_CACERT": str(store.authority.certificate_file) if store.authority else "",
        }
        self._program = binary("ratelimit")
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([self._program], env=self._environment, stdout=log, stderr=log)
        wait_for(self.log, "Listening for gRPC", self.process)
        return self

    def said(self) -> str:
        """Its arguments, and its log."""
        assert self.process
        return Path(f"/proc/{self.process.pid}/cmdline").read_text() + self.log.read_text()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(SECONDS)
            self.process = None


def wait_for(log: Path, text: str, process: subprocess.Popen[bytes]) -> None:
    """Until a process has said so."""
    deadline = time.monotonic() + SECONDS
    while text not in (said := log.read_text()):
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.02)
