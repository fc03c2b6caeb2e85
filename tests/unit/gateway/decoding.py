"""Envoy's binary files as JSON terms, to be looked at."""

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2  # noqa: F401 read by name
from envoy.extensions.filters.http.api_key_auth.v3 import api_key_auth_pb2  # noqa: F401 read by name
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.json_format import MessageToDict

from maas_operator.gateway.envoy import proto  # noqa: F401 it knows the other types


def decoded(content: bytes) -> list[dict[str, Any]]:
    """The resources of a file."""
    response = discovery_pb2.DiscoveryResponse.FromString(content)
    return [MessageToDict(each, preserving_proto_field_name=True) for each in response.resources]


def version(content: bytes) -> str:
    text: str = discovery_pb2.DiscoveryResponse.FromString(content).version_info
    return text
