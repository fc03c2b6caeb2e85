"""A download cache with real pods: a Job fills it from a hub on this machine, real vLLM serves from it, and a second
service shares what is there."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chat import ask
from tests.cluster import Cluster
from tests.cluster.addresses import Addresses
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import ACCOUNT, NUMBER, Account
from tests.fetch.hub import Hub, served
from tests.forwarding import forwarded
from tests.images import reference

pytestmark = pytest.mark.e2e
MIB = 1024 * 1024
FILLER = "filler.dat"
"""Makes the model large enough for its fetching to be seen: 10 MiB are written at a time."""
HALTED = re.compile(r"1[0-2]\.\d of 24\.\d MiB")
"""Where the hub stops."""
FETCH_SECONDS = 90
USER = 65532


@pytest.fixture
def hub(cluster: Cluster, tmp_path: Path) -> Iterator[Hub]:
    """A hub with the tiny model's files, taken from its image."""
    folder = tmp_path / "repository"
    cluster.copy_image(reference("model-tiny"), folder)
    (folder / FILLER).write_bytes(os.urandom(24 * MIB))
    with served(folder, str(Addresses(NUMBER).machine_ip)) as hub:
        yield hub


@pytest.fixture
def cache(cluster: Cluster, hub: Hub, tmp_path: Path) -> Path:
    """One folder, as a claim of the account and as a folder of the node: a pool for each way to it."""
    folder = tmp_path / "cache"
    folder.mkdir()
    os.chown(folder, USER, USER)
    claim = {"accessModes": ["ReadWriteMany"], "storageClassName": ""}
    volume = {"capacity": {"storage": "1Gi"}, "hostPath": {"path": str(folder)}, **claim}
    flavors = [{"name": "cpu", "cpu": "100m", "memory": "3Gi"}]
    env = [{"name": "HF_ENDPOINT", "value": hub.url}]
    version = {"source": "hf://acme/tiny", "contextLength": 1536, "args": ["--kv-cache-memory-bytes=67108864"]}
    ours = "maas-operator.io/v1alpha1"
    objects = [
        _object("v1", "PersistentVolume", "weights", volume),
        _object(
            "v1",
            "PersistentVolumeClaim",
            "weights",
            claim | {"volumeName": "weights", "resources": {"requests": {"storage": "1Gi"}}},
            namespace=ACCOUNT,
        ),
        _object(ours, "Model", "fetched", {"versions": [{"name": "v1", "env": env, **version}]}),
        _object(
            ours,
            "ResourcePool",
            "by-claim",
            {"cache": {"persistentVolumeClaim": {"claimName": "weights"}}, "flavors": flavors},
        ),
        _object(ours, "ResourcePool", "by-node", {"cache": {"hostPath": {"path": str(folder)}}, "flavors": flavors}),
    ]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return folder


def _object(version: str, kind: str, name: str, spec: dict[str, Any], **metadata: str) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **metadata}, "spec": spec}


def test_a_cache_is_filled_once_tells_how_far_it_is_and_is_shared(
    cluster: Cluster, account: Account, hub: Hub, cache: Path
) -> None:
    hub.stop_at[FILLER] = 12 * MIB
    account.apply("first", model={"name": "fetched"}, resourcePool="by-claim")
    wait_until(
        lambda: HALTED.search(account.condition("first", "WeightsReady").get("message", "")),
        FETCH_SECONDS,
        "the fetching to be told",
        lambda: account.kubectl("describe", "msvc", "first") + account.kubectl("get", "pods,jobs", "-o", "wide"),
    )
    assert HALTED.search(account.condition("first", "Ready")["message"])
    assert account.phase("first") == "Deploying"
    assert not account.pods("first"), "no accelerator is held while weights are fetched"
    hub.go_on.set()
    account.wait_ready("first")
    assert account.condition("first", "WeightsReady")["reason"] == "Fetched"
    answers(cluster, "first")
    asked = sorted(name for name, _ in hub.asked)
    assert asked == sorted(str(path.relative_to(hub.folder)) for path in hub.files()), "each file came once"
    account.delete("first")

    account.apply("second", model={"name": "fetched"}, resourcePool="by-node")
    account.wait_ready("second")
    answers(cluster, "second")
    assert len(hub.asked) == len(asked), "the second service fetched nothing"
    (pod,) = account.pods("second")
    mount = next(each for each in pod["spec"]["containers"][0]["volumeMounts"] if each["name"] == "model")
    assert mount["readOnly"]
    assert (cache / mount["subPath"] / "config.json").exists()
    account.delete("second")


def answers(cluster: Cluster, service: str) -> None:
    with forwarded(cluster, ACCOUNT, f"service/{service}", 8000) as base:
        assert ask(base, service, "hi", max_tokens=4)["usage"]["completion_tokens"] == 4
        assert ask(base, "fetched", "hi", max_tokens=4)["model"] == "fetched"
