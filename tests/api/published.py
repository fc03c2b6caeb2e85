"""The kinds of Flux, Argo CD and External Secrets that examples/gitops writes, as their makers publish them."""

import json
import re
import subprocess
from pathlib import Path

from tests.cluster import ClusterError
from tests.cluster.build import go_command
from tests.cluster.parts import MODULES

MODULE = MODULES / "gitops"
"""Its go.mod says of which versions, its go.sum what they are."""
FILES = {
    "github.com/argoproj/argo-cd/v3": ("manifests/crds/application-crd.yaml", "manifests/crds/appproject-crd.yaml"),
    "github.com/external-secrets/external-secrets": (
        "config/crds/bases/external-secrets.io_clustersecretstores.yaml",
        "config/crds/bases/external-secrets.io_externalsecrets.yaml",
    ),
    "github.com/fluxcd/helm-controller": ("config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",),
    "github.com/fluxcd/kustomize-controller": ("config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",),
    "github.com/fluxcd/source-controller": (
        "config/crd/bases/source.toolkit.fluxcd.io_gitrepositories.yaml",
        "config/crd/bases/source.toolkit.fluxcd.io_ocirepositories.yaml",
    ),
}


def definitions() -> list[Path]:
    """Their CustomResourceDefinitions; Go fetches what is not there. Raises ClusterError."""
    pinned = dict(re.findall(r"^\t(\S+) (v\S+)$", (MODULE / "go.mod").read_text(), re.MULTILINE))
    command = [go_command() or "go", "mod", "download", "-json", *(f"{name}@{pinned[name]}" for name in FILES)]
    done = subprocess.run(command, cwd=MODULE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    places = {each["Path"]: Path(each["Dir"]) for each in _documents(done.stdout)}
    return [places[name] / file for name, files in FILES.items() for file in files]


def _documents(text: str) -> list[dict[str, str]]:
    """JSON objects that stand one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while (start := text.find("{", at)) >= 0:
        document, at = decoder.raw_decode(text, start)
        found.append(document)
    return found
