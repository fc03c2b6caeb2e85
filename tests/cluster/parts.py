"""The parts that are built from Go modules, and which profile needs which."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

MODULES = Path(__file__).parent / "modules"
KUBERNETES = "k8s.io/kubernetes"
CONTAINERD = "github.com/containerd/containerd/v2"


@dataclass(frozen=True)
class Part:
    """Binaries that are built together from one module.

    `packages`: Go package of each binary; `usual_seconds`: on 2 cores with an empty Go cache, the parts before it in
    the table built; `variables`: set by the linker, `{version}` being that of `versioned` in go.mod.
    """

    name: str
    module: str
    packages: Mapping[str, str]
    usual_seconds: int
    versioned: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        return MODULES / self.module

    @property
    def version(self) -> str:
        """The pinned version, as `v1.2.3`; go.mod is the one place that says it."""
        text = (self.directory / "go.mod").read_text()
        found = re.search(rf"^(?:require )?\s*{re.escape(self.versioned)} (v\S+)", text, re.MULTILINE)
        return found[1] if found else ""

    @property
    def build_flags(self) -> list[str]:
        version = self.version if self.versioned else ""
        texts = {
            name: text.format(version=version, plain=version.removeprefix("v")) for name, text in self.variables.items()
        }
        variables = [f"-X {name}={text}" for name, text in texts.items()]
        return ["-trimpath", "-ldflags", " ".join(["-s", "-w", *variables])]

    def key(self, go_version: str) -> str:
        """The name of the part's folder in the cache: other sources, flags or compiler, another folder."""
        digest = hashlib.sha256()
        for file in sorted(self.directory.iterdir()):
            digest.update(f"{file.name}\0".encode() + file.read_bytes() + b"\0")
        digest.update(repr((sorted(self.packages.items()), self.build_flags, go_version)).encode())
        return f"{self.name}-{digest.hexdigest()[:16]}"


def _kubernetes(name: str, usual_seconds: int, *binaries: str) -> Part:
    return Part(
        name,
        module="kubernetes",
        packages={binary: f"{KUBERNETES}/cmd/{binary}" for binary in binaries},
        usual_seconds=usual_seconds,
        versioned=KUBERNETES,
        variables={"k8s.io/component-base/version.gitVersion": "{version}"},
    )


PARTS = {
    part.name: part
    for part in (
        Part("etcd", "etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, usual_seconds=30),
        _kubernetes("kubernetes-api", 220, "kube-apiserver", "kubectl"),
        _kubernetes("kubernetes-controllers", 60, "kube-controller-manager", "kube-scheduler"),
        _kubernetes("kubernetes-node", 70, "kubelet", "kube-proxy"),
        Part(
            "kwok",
            "kwok",
            {"kwok": "sigs.k8s.io/kwok/cmd/kwok"},
            usual_seconds=90,
            versioned="sigs.k8s.io/kwok",
            variables={"sigs.k8s.io/kwok/pkg/consts.Version": "{version}"},
        ),
        Part(
            "containerd",
            "containerd",
            {name: f"{CONTAINERD}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")},
            usual_seconds=70,
            versioned=CONTAINERD,
            variables={f"{CONTAINERD}/version.Version": "{plain}"},
        ),
        Part(
            "coredns",
            "coredns",
            {"coredns": "github.com/coredns/coredns"},
            usual_seconds=160,
            versioned="github.com/coredns/coredns",
        ),
        Part(
            "ratelimit",
            "ratelimit",
            {"ratelimit": "github.com/envoyproxy/ratelimit/src/service_cmd"},
            usual_seconds=30,
            versioned="github.com/envoyproxy/ratelimit",
        ),
        Part("pause", "pause", {"pause": "."}, usual_seconds=5),
        Part(
            "helm",
            "helm",
            {"helm": "helm.sh/helm/v4/cmd/helm"},
            usual_seconds=120,
            versioned="helm.sh/helm/v4",
            variables={"helm.sh/helm/v4/internal/version.version": "{version}"},
        ),
        # of no profile: an S3 server, for fetching weights
        Part(
            "versitygw",
            "versitygw",
            {"versitygw": "github.com/versity/versitygw/cmd/versitygw"},
            usual_seconds=90,
            versioned="github.com/versity/versitygw",
        ),
        # of no profile: instances of several hosts
        Part("lws", "lws", {"lws": "sigs.k8s.io/lws/cmd"}, usual_seconds=200, versioned="sigs.k8s.io/lws"),
        # of no profile: the benchmarks' load
        Part("vegeta", "vegeta", {"vegeta": "github.com/tsenart/vegeta/v12"}, usual_seconds=10),
    )
}

PROFILES = {
    "api": ("etcd", "kubernetes-api"),
    "kwok": ("etcd", "kubernetes-api", "kubernetes-controllers", "kwok"),
    "node": (
        "etcd",
        "kubernetes-api",
        "kubernetes-controllers",
        "kubernetes-node",
        "containerd",
        "coredns",
        "pause",
        "helm",
    ),
}


def part_of(binary: str) -> Part:
    """The part that builds the binary; raises KeyError where none does."""
    for part in PARTS.values():
        if binary in part.packages:
            return part
    raise KeyError(f"no part builds {binary}; there are {sorted(b for p in PARTS.values() for b in p.packages)}")
