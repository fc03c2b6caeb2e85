"""A Git repository as a folder, and a GitOps controller made of kubectl: it compares, applies and prunes, over and
over."""

import base64
import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.cluster import Cluster

Manifest = dict[str, Any]
API = "/apis/maas-operator.io/v1alpha1"
NAMESPACED = ("modelservices", "apikeys", "notificationtopics")
ROUND_SECONDS = 8.0
"""From the beginning of a round to that of the next. Flux and Argo CD take minutes."""
LOOKS = 3
"""So often kubectl compares before a difference is one. It reads each object twice, and prints what is written into a
status in between."""
PLATFORM, ACCOUNT = "platform", "account"
"""Folders: what has no namespace (and the namespace), which nothing prunes; and what an account has."""


@dataclass(frozen=True)
class Way:
    """How a controller applies, under the name of its account, its pool and its model."""

    name: str
    options: tuple[str, ...]


FLUX = Way("git-server-side", ("--server-side", "--field-manager=kustomize-controller"))
"""Server-side apply under a name of its own."""
ARGO_CD = Way("git-three-way", ())
"""What stands in Git, what stood there before (an annotation), and what there is."""


class Repository:
    """Files of manifests. A commit is whole for who reads under the lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.Lock()
        self.commits = 0

    def commit(self, files: Mapping[str, Sequence[Manifest]]) -> None:
        """Make the files these: FOLDER/NAME -> manifests."""
        with self.lock:
            for part in (PLATFORM, ACCOUNT):
                (self.folder / part).mkdir(exist_ok=True, parents=True)
            for old in self.folder.glob("*/*.yaml"):
                old.unlink()
            for path, manifests in files.items():
                (self.folder / f"{path}.yaml").write_text(yaml.safe_dump_all(manifests, sort_keys=False))
            self.commits += 1

    def manifests(self, part: str) -> list[Manifest]:
        """Those of a folder."""
        return [
            each for file in sorted((self.folder / part).iterdir()) for each in yaml.safe_load_all(file.read_text())
        ]


@dataclass(frozen=True)
class Round:
    """What a round of the controller came to."""

    commit: int
    drift: str
    """What `kubectl diff` printed before the same commit was applied again; "" where it saw no difference."""
    objects: Mapping[tuple[str, str], Manifest]
    """By kind and name: the objects of the five kinds after it."""


@dataclass
class Controller:
    """Applies a repository for ever."""

    cluster: Cluster
    repository: Repository
    way: Way
    rounds: list[Round] = field(default_factory=list)

    def run(self, stop: threading.Event) -> None:
        """Round after round, until told to stop."""
        while not stop.is_set():
            began = time.monotonic()
            self.rounds.append(self._round())
            stop.wait(began + ROUND_SECONDS - time.monotonic())

    def _round(self) -> Round:
        with self.repository.lock:
            commit = self.repository.commits
            known = bool(self.rounds) and self.rounds[-1].commit == commit
            drift = self._differs() if known else ""
            folder = self.repository.folder
            kubectl(self.cluster, "apply", *self.way.options, "-f", str(folder / PLATFORM))
            prune = ("--prune", f"--applyset={self.way.name}", "-n", self.way.name)
            kubectl(self.cluster, "apply", *self.way.options, *prune, "-f", str(folder / ACCOUNT))
        return Round(commit, drift, self._objects())

    def _differs(self) -> str:
        """kubectl apply gives all of an ApplySet a label: without it in the manifests, kubectl diff would see one."""
        manifests = self.repository.manifests(PLATFORM)
        for each in self.repository.manifests(ACCOUNT):
            labels = each["metadata"].get("labels", {}) | {"applyset.kubernetes.io/part-of": self._set()}
            manifests.append(each | {"metadata": each["metadata"] | {"labels": labels, "namespace": self.way.name}})
        whole = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
        return differs(self.cluster, *self.way.options, "-f", "-", stdin=whole)

    def _set(self) -> str:
        """The ApplySet's id, as KEP 3659 has it."""
        digest = hashlib.sha256(f"{self.way.name}.{self.way.name}.Secret.".encode()).digest()
        return f"applyset-{base64.urlsafe_b64encode(digest).decode().rstrip('=')}-v1"

    def _objects(self) -> dict[tuple[str, str], Manifest]:
        found = []
        with closing(self.cluster.client()) as client:
            for plural in NAMESPACED:
                found += _items(client.request("GET", f"{API}/namespaces/{self.way.name}/{plural}"))
            for plural in ("models", "resourcepools"):
                found += _items(client.request("GET", f"{API}/{plural}"), self.way.name)
        return {(each["kind"], each["metadata"]["name"]): each for each in found}


def differs(cluster: Cluster, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl diff prints of a difference that stands; nothing where there is none."""
    found = ""
    for _ in range(LOOKS):
        found = kubectl(cluster, "diff", *arguments, stdin=stdin)
        if not found:
            break
    return found


def kubectl(cluster: Cluster, what: str, *arguments: str, stdin: str | None = None) -> str:
    """What it prints; for diff, where it sees no difference, nothing."""
    command = [str(cluster.binary("kubectl")), f"--kubeconfig={cluster.kubeconfig}", what, *arguments]
    environment = os.environ | {"KUBECTL_APPLYSET": "true"}
    done = subprocess.run(command, input=stdin, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in ({0, 1} if what == "diff" else {0}), done.stderr
    assert what != "diff" or done.returncode == 0 or done.stdout, done.stderr
    return done.stdout


def _items(listed: Manifest, name: str = "") -> list[Manifest]:
    kind = listed["kind"].removesuffix("List")
    return [each | {"kind": kind} for each in listed["items"] if name in {"", each["metadata"]["name"]}]
