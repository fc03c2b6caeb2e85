"""etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes of the machine."""

import json
from ipaddress import IPv4Address
from pathlib import Path

from tests.cluster.build import binary
from tests.cluster.layout import Layout
from tests.cluster.settings import Settings

LOOPBACK = IPv4Address("127.0.0.1")
ISSUER = "https://kubernetes.default.svc.cluster.local"
SCALE_QPS = 1000  # with the default of 20 the controllers would be what a test of scale measures
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def apiserver_ip(layout: Layout, settings: Settings) -> IPv4Address:
    """Loopback, but where pods must reach it: then the machine's address on the nodes' bridge."""
    return layout.addresses.machine_ip if settings.profile == "node" else LOOPBACK


def server_url(layout: Layout, settings: Settings) -> str:
    return f"https://{apiserver_ip(layout, settings)}:{layout.addresses.apiserver_port}"


def etcd(layout: Layout, settings: Settings) -> list[str]:
    """Its disk writes are not flushed: a killed process loses nothing, only a machine that loses power would."""
    certificate, key = layout.authority.issue("etcd", "etcd", hosts=[str(LOOPBACK), "localhost"])
    url = f"https://{LOOPBACK}:{layout.addresses.etcd_port}"
    peer_url = f"https://{LOOPBACK}:{layout.addresses.etcd_peer_port}"
    authority = layout.authority.certificate_file
    return [
        str(binary("etcd")),
        f"--name={layout.name}",
        f"--data-dir={layout.directory / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster={layout.name}={peer_url}",
        f"--cert-file={certificate}",
        f"--key-file={key}",
        f"--trusted-ca-file={authority}",
        "--client-cert-auth",
        f"--peer-cert-file={certificate}",
        f"--peer-key-file={key}",
        f"--peer-trusted-ca-file={authority}",
        "--peer-client-cert-auth",
        "--unsafe-no-fsync",
        *settings.flags.get("etcd", []),
    ]


def kube_apiserver(layout: Layout, settings: Settings) -> list[str]:
    authority, addresses, ip = layout.authority, layout.addresses, apiserver_ip(layout, settings)
    service = "kubernetes.default.svc"
    names = ["kubernetes", "kubernetes.default", service, f"{service}.cluster.local", "localhost"]
    ips = [addresses.apiserver_service_ip, LOOPBACK, addresses.machine_ip]
    certificate, key = authority.issue("kube-apiserver", "kube-apiserver", hosts=[*names, *map(str, ips)])
    etcd_certificate, etcd_key = authority.issue("kube-apiserver-etcd-client", "kube-apiserver-etcd-client")
    kubelet_certificate, kubelet_key = authority.issue(
        "kube-apiserver-kubelet-client", "kube-apiserver-kubelet-client", ["system:masters"]
    )
    public_key, signing_key = authority.service_account_keys()
    return [
        str(binary("kube-apiserver")),
        f"--etcd-servers=https://{LOOPBACK}:{addresses.etcd_port}",
        f"--etcd-cafile={authority.certificate_file}",
        f"--etcd-certfile={etcd_certificate}",
        f"--etcd-keyfile={etcd_key}",
        f"--bind-address={ip}",
        f"--advertise-address={ip}",
        f"--secure-port={addresses.apiserver_port}",
        f"--service-cluster-ip-range={addresses.service_subnet}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        f"--client-ca-file={authority.certificate_file}",
        f"--kubelet-certificate-authority={authority.certificate_file}",
        f"--kubelet-client-certificate={kubelet_certificate}",
        f"--kubelet-client-key={kubelet_key}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={public_key}",
        f"--service-account-signing-key-file={signing_key}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--profiling=false",
        *_without_a_node(settings),
        *_audit(layout, settings),
        *settings.flags.get("kube-apiserver", []),
    ]


def _without_a_node(settings: Settings) -> list[str]:
    """Nobody reaches the API server as a Service there; in `api` nobody makes service accounts either."""
    if settings.profile == "node":
        return []
    flags = ["--endpoint-reconciler-type=none"]
    return [*flags, "--disable-admission-plugins=ServiceAccount"] if settings.profile == "api" else flags


def _audit(layout: Layout, settings: Settings) -> list[str]:
    if not settings.audit:
        return []
    policy = layout.directory / "audit-policy.json"
    policy.write_text(json.dumps(AUDIT_POLICY))
    return [f"--audit-policy-file={policy}", f"--audit-log-path={layout.audit_log}", "--audit-log-maxsize=10000"]


def kube_controller_manager(layout: Layout, settings: Settings) -> list[str]:
    authority = layout.authority
    return [
        *_controller(layout, settings, "kube-controller-manager", layout.addresses.controller_manager_port),
        f"--root-ca-file={authority.certificate_file}",
        f"--service-account-private-key-file={authority.service_account_keys()[1]}",
        f"--cluster-signing-cert-file={authority.certificate_file}",
        f"--cluster-signing-key-file={authority.key_file}",
        f"--service-cluster-ip-range={layout.addresses.service_subnet}",
        f"--flex-volume-plugin-dir={layout.directory / 'volume-plugins'}",
        "--use-service-account-credentials=true",
        *settings.flags.get("kube-controller-manager", []),
    ]


def kube_scheduler(layout: Layout, settings: Settings) -> list[str]:
    return [
        *_controller(layout, settings, "kube-scheduler", layout.addresses.scheduler_port),
        *settings.flags.get("kube-scheduler", []),
    ]


def _controller(layout: Layout, settings: Settings, name: str, port: int) -> list[str]:
    """What controller manager and scheduler have in common; one of each, so no leader election."""
    certificate, key = layout.authority.issue(f"{name}-server", name, hosts=[str(LOOPBACK), "localhost"])
    kubeconfig: Path = layout.kubeconfig_of(name)
    return [
        str(binary(name)),
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={LOOPBACK}",
        f"--secure-port={port}",
        f"--tls-cert-file={certificate}",
        f"--tls-private-key-file={key}",
        "--leader-elect=false",
        "--profiling=false",
        *([f"--kube-api-qps={SCALE_QPS}", f"--kube-api-burst={SCALE_QPS}"] if settings.profile == "kwok" else []),
    ]
