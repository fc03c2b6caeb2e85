"""The kubelet and kube-proxy of one node, inside the node's network namespace."""

import json
from pathlib import Path

from tests.cluster.addresses import NodeAddresses
from tests.cluster.build import binary
from tests.cluster.containerd import Containerd
from tests.cluster.layout import Layout

KUBELET_PORT = 10250
KUBELET_HEALTH_PORT = 10248
PROXY_HEALTH_PORT = 10256
MAX_PODS = 110
SYNC_FREQUENCY = "10s"
"""How often a pod gets the Secrets and ConfigMaps anew that it mounts. A kubelet's default is a minute."""
CLUSTER_DOMAIN = "cluster.local"


def kubelet(layout: Layout, node: NodeAddresses, server: str) -> list[str]:
    user = f"system:node:{node.name}"
    kubeconfig = layout.kubeconfig_of(f"kubelet-{node.index}")
    layout.write_kubeconfig(kubeconfig, server, user, ["system:nodes"], f"kubelet-{node.index}-client")
    containerd = Containerd(layout, node)
    return [
        str(binary("kubelet")),
        f"--config={_write(containerd.directory / 'kubelet.json', _kubelet_config(layout, node, containerd))}",
        f"--kubeconfig={kubeconfig}",
        f"--hostname-override={node.name}",
        f"--node-ip={node.ip}",
        f"--root-dir={containerd.directory / 'kubelet'}",
    ]


def kube_proxy(layout: Layout, node: NodeAddresses) -> list[str]:
    config = Containerd(layout, node).directory / "kube-proxy.json"
    return [str(binary("kube-proxy")), f"--config={_write(config, _proxy_config(layout, node))}"]


def _kubelet_config(layout: Layout, node: NodeAddresses, containerd: Containerd) -> dict[str, object]:
    certificate, key = layout.authority.issue(
        f"kubelet-{node.index}-server", f"system:node:{node.name}", ["system:nodes"], [node.name, str(node.ip)]
    )
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(node.ip),
        "port": KUBELET_PORT,
        "healthzBindAddress": str(node.ip),
        "healthzPort": KUBELET_HEALTH_PORT,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(layout.authority.certificate_file)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(certificate),
        "tlsPrivateKeyFile": str(key),
        "containerRuntimeEndpoint": f"unix://{containerd.socket}",
        "clusterDNS": [str(layout.addresses.dns_ip)],
        "clusterDomain": CLUSTER_DOMAIN,
        "resolvConf": "",
        "maxPods": MAX_PODS,
        "syncFrequency": SYNC_FREQUENCY,
        "serializeImagePulls": False,
        "podLogsDir": str(containerd.directory / "pod-logs"),
        "volumePluginDir": str(containerd.directory / "volume-plugins"),
        "makeIPTablesUtilChains": False,
        "oomScoreAdj": 0,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": node.cgroup,
        "failCgroupV1": False,
        "failSwapOn": False,
        # Disks with reserved blocks look full: no image that was loaded by hand is deleted, no pod evicted for them.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }


def _proxy_config(layout: Layout, node: NodeAddresses) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(layout.kubeconfig_of("kube-proxy"))},
        "hostnameOverride": node.name,
        "clusterCIDR": str(layout.addresses.pod_subnet),  # others' packets get the node's address, to come back here
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": f"{node.ip}:{PROXY_HEALTH_PORT}",
        "metricsBindAddress": "127.0.0.1:10249",
        "oomScoreAdj": 0,
        # The kernel's connection tracking limits are the machine's, not a node's, to set.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def _write(file: Path, config: dict[str, object]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(config, indent=1))
    return file
