"""LeaderWorkerSet: its real controller as a process of this machine, its real webhooks and definition."""

import base64
import functools
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.build import binary, go_command
from tests.cluster.errors import ClusterError
from tests.cluster.layout import Layout
from tests.cluster.parts import PARTS

NAME = "lws"
HOST = "127.0.0.1"
"""Of the webhooks: the API server is a process of this machine, too."""
READY_SECONDS = 60.0
PATH = "/apis/leaderworkerset.x-k8s.io/v1/leaderworkersets"
"""Where the API server lists them, once it knows them."""
DEFINITION = "config/crd/bases/leaderworkerset.x-k8s.io_leaderworkersets.yaml"
WEBHOOKS = "config/webhook/manifests.yaml"


@functools.cache
def _source() -> Path:
    """Where Go keeps the module's files; it is fetched if it is not there."""
    part = PARTS[NAME]
    command = [go_command() or "go", "mod", "download", "-json", f"{part.versioned}@{part.version}"]
    done = subprocess.run(command, cwd=part.directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return Path(json.loads(done.stdout)["Dir"])


def definition() -> str:
    """The CustomResourceDefinition."""
    return (_source() / DEFINITION).read_text()


def webhooks(layout: Layout) -> str:
    """Its webhooks' configurations, as a List for kubectl: called by URL, since no Service leads to this machine."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": list(_webhooks(layout))})


def _webhooks(layout: Layout) -> Iterator[dict[str, Any]]:
    authority = base64.b64encode(layout.authority.certificate_file.read_bytes()).decode()
    for made in yaml.safe_load_all((_source() / WEBHOOKS).read_text()):
        made["metadata"]["name"] = f"{NAME}-{made['metadata']['name']}"
        for each in made["webhooks"]:
            path = each["clientConfig"]["service"]["path"]
            url = f"https://{HOST}:{layout.addresses.lws_webhook_port}{path}"
            each["clientConfig"] = {"url": url, "caBundle": authority}
        yield made


def command(layout: Layout) -> list[str]:
    """The controller's command line; what it reads is written first. Its certificates are the cluster's."""
    folder = layout.directory / NAME
    folder.mkdir(exist_ok=True)
    certificate, key = layout.authority.issue(f"{NAME}-webhooks", NAME, hosts=[HOST])
    for file, name in ((certificate, "tls.crt"), (key, "tls.key")):
        shutil.copy(file, folder / name)
    addresses = layout.addresses
    settings = {
        "apiVersion": "config.lws.x-k8s.io/v1alpha1",
        "kind": "Configuration",
        "webhook": {"port": addresses.lws_webhook_port, "host": HOST, "certDir": str(folder)},
        "leaderElection": {"leaderElect": False},
        "metrics": {"bindAddress": "0"},
        "health": {"healthProbeBindAddress": f"{HOST}:{addresses.lws_health_port}"},
        "internalCertManagement": {"enable": False},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    return [str(binary(NAME)), f"--config={folder / 'config.yaml'}", f"--kubeconfig={layout.kubeconfig_of(NAME)}"]
