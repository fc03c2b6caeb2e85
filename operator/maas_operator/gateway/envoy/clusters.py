"""Clusters: the instances of each service, with the endpoints inside, so that one file holds all (FACTS: a file
subscription for each would run into the kernel's bound on inotify instances)."""

from functools import lru_cache

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from maas_operator.api.modelservice import Balancing
from maas_operator.gateway.envoy.names import GATEWAY
from maas_operator.gateway.envoy.proto import Config, discovery, message, typed
from maas_operator.gateway.facts import Facts, Reach, Service

UPSTREAM_IDLE = "3s"
"""Less than the 5 s after which uvicorn, under vLLM, closes an idle connection: a request must not meet that."""
HTTP = {
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        common_http_protocol_options={"idle_timeout": UPSTREAM_IDLE},
        explicit_http_config={"http_protocol_options": {}},
    )
}
UNBOUNDED = {"thresholds": [{"max_connections": 65536, "max_pending_requests": 65536, "max_requests": 65536}]}
"""The gateway's own limits bound what comes; Envoy's 1,024 would refuse what they let through."""
EJECTION = {
    "consecutive_5xx": 10,
    "split_external_local_origin_errors": True,
    "consecutive_local_origin_failure": 3,
    "enforcing_consecutive_local_origin_failure": 100,
    "enforcing_success_rate": 0,
    "enforcing_local_origin_success_rate": 0,
    "interval": "1s",
    "base_ejection_time": "5s",
    "max_ejection_time": "60s",
    "max_ejection_percent": 50,
}
"""An instance that fails is left out for a while, but never more than half of them: their pods' own probes decide on
the rest."""
FAIR_SHARE = 125
"""Percent of the mean load up to which an instance is given the conversations that it knows."""


def clusters(facts: Facts) -> bytes:
    """The file of clusters: one for each service that can be called."""
    return discovery(_cluster(each) for each in facts.services if each.reach == Reach.OPEN)


@lru_cache(maxsize=16384)
def _cluster(service: Service) -> cluster_pb2.Cluster:
    return message(cluster_pb2.Cluster, cluster(service))


def cluster(service: Service) -> Config:
    """The instances of a service."""
    made: Config = {
        "name": service.id,
        "alt_stat_name": service.path.replace("/", "_"),
        "type": "STATIC",
        "connect_timeout": "2s",
        "circuit_breakers": UNBOUNDED,
        "outlier_detection": EJECTION,
        "typed_extension_protocol_options": HTTP,
        "load_assignment": assignment(service.id, service.endpoints),
    }
    if service.balancing == Balancing.PREFIX_AFFINITY:
        made |= {"lb_policy": "RING_HASH", "ring_hash_lb_config": {"minimum_ring_size": 1024}}
        made["common_lb_config"] = {"consistent_hashing_lb_config": {"hash_balance_factor": FAIR_SHARE}}
    else:
        made["lb_policy"] = "LEAST_REQUEST"
    return made


def assignment(name: str, endpoints: tuple[tuple[str, int], ...]) -> Config:
    """Addresses of a cluster."""
    return {
        "cluster_name": name,
        "endpoints": [
            {
                "lb_endpoints": [
                    {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
                    for address, port in endpoints
                ]
            }
        ],
    }


def replicas(facts: Facts) -> bytes:
    """The file of the gateway's own replicas, over which limits are shared out."""
    return discovery([message(endpoint_pb2.ClusterLoadAssignment, assignment(GATEWAY, facts.replicas))])
