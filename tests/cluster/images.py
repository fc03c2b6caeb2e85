"""Images: archives made of one static binary, and archives loaded into the nodes."""

import hashlib
import io
import json
import platform
import shutil
import tarfile
import tempfile
from pathlib import Path

from tests.cluster.containerd import Containerd

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
OCI_NAMES = ("io.containerd.image.name", "org.opencontainers.image.ref.name")
NOBODY = "65532:65532"


def write_archive(archive: Path, name: str, static_binary: Path) -> None:
    """Write a docker archive of image `name`, which holds and runs the one binary."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as files:
        member = tarfile.TarInfo(static_binary.name)
        member.mode, member.size = 0o755, static_binary.stat().st_size
        with static_binary.open("rb") as content:
            files.addfile(member, content)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": ARCHITECTURES[platform.machine()],
        "os": "linux",
        "config": {"Entrypoint": [f"/{static_binary.name}"], "User": NOBODY, "WorkingDir": "/"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    with tarfile.open(archive, mode="w") as written:
        _add(written, "layer.tar", layer.getvalue())
        _add(written, "config.json", json.dumps(config).encode())
        _add(written, "manifest.json", json.dumps(manifest).encode())


def load(containerd: Containerd, archive: Path, name: str) -> None:
    """Import a docker or OCI archive into the node under `name`, whatever name the archive gives it.

    Where the archive gives the same name, naming its index as well lets containerd's garbage collection take it.
    """
    renamed = [] if full_name(name) in names_in(archive) else [f"--index-name={full_name(name)}"]
    containerd.ctr("images", "import", *renamed, str(archive.absolute()))


def names_in(archive: Path) -> set[str]:
    """The names under which containerd imports a docker or an OCI archive by itself."""
    with tarfile.open(archive) as files:
        for member in files:
            content = files.extractfile(member)
            if content and member.name.removeprefix("./") == "manifest.json":
                return {full_name(tag) for image in json.load(content) for tag in image["RepoTags"] or []}
            if content and member.name.removeprefix("./") == "index.json":
                descriptors = json.load(content)["manifests"]
                return {image.get("annotations", {}).get(key, "") for image in descriptors for key in OCI_NAMES}
    return set()


def tag(containerd: Containerd, name: str, another: str) -> None:
    """Give a loaded image one more name, or take that name from the image that has it."""
    containerd.ctr("images", "tag", "--force", full_name(name), full_name(another))


def has(containerd: Containerd, name: str) -> bool:
    return full_name(name) in containerd.ctr("images", "list", "--quiet").split()


def full_name(name: str) -> str:
    """The name as containerd keeps it: `tiny:1` in a pod means docker.io/library/tiny:1."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        full = name
    else:
        full = f"docker.io/{name}" if slash else f"docker.io/library/{name}"
    return full if ":" in full.rpartition("/")[2] or "@" in full else f"{full}:latest"


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def copy_out(containerd: Containerd, name: str, folder: Path) -> None:
    """Copy the files of a loaded image into a folder that is not there yet."""
    with tempfile.TemporaryDirectory() as mounted:
        containerd.ctr("images", "mount", full_name(name), mounted)
        try:
            shutil.copytree(mounted, folder)
        finally:
            containerd.ctr("images", "unmount", "--rm", mounted)
