"""Custom resources by the thousand, where asking the API server for each would take minutes.

They are put into etcd as the API server itself keeps them; it sees them there as it sees what another API server of the
same cluster has written.
"""

import base64
import json
import uuid
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from tests.cluster.client import Client

AT_ONCE = 100
"""Objects in a transaction; etcd takes 128."""
BEGINNING = "2026-01-01T00:00:00Z"


def seed(etcd: Client, group: str, plural: str, objects: Iterable[Mapping[str, Any]]) -> None:
    """Put namespaced objects there, status included. Raises ClusterError where etcd refuses."""
    puts = (_put(group, plural, each) for each in objects)
    while some := list(islice(puts, AT_ONCE)):
        etcd.request("POST", "/v3/kv/txn", {"success": some})


def _put(group: str, plural: str, manifest: Mapping[str, Any]) -> dict[str, Any]:
    metadata = manifest["metadata"]
    made = {"uid": str(uuid.uuid4()), "creationTimestamp": BEGINNING, "generation": 1}
    key = f"/registry/{group}/{plural}/{metadata['namespace']}/{metadata['name']}"
    value = json.dumps({**manifest, "metadata": made | metadata})
    return {"requestPut": {"key": _text(key), "value": _text(value)}}


def _text(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
