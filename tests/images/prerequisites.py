"""What this machine must have for building images; judged purely, installed where that is possible."""

import os
import platform
import shutil
from collections.abc import Set
from pathlib import Path

from tests.cluster.errors import PrerequisitesError
from tests.cluster.prerequisites import SEARCHED, install
from tests.images.catalogue import Image

COMMANDS = {"buildah": "buildah", "mmdebstrap": "mmdebstrap"}
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
KEYRING_PACKAGE = "debian-archive-keyring"


def complaints(image: Image, architecture: str, root: bool, apt: bool, missing: Set[str]) -> list[str]:
    """Say, in one line each, why the image cannot be built here and what to do; `missing` are Debian packages."""
    found = []
    if image.architecture not in {"", architecture}:
        found.append(
            f"its architecture is {architecture}: the image {image.name} is made for {image.architecture} alone"
        )
    if not root:
        found.append("this user is not root, and building images needs root: use sudo")
    if missing and not (root and apt):
        found.append(f"install Debian's {' '.join(sorted(missing))}, or what equals them")
    return found


def ensure(image: Image) -> None:
    """Raise PrerequisitesError if the image cannot be built here; as root on Debian, install what is missing."""
    packages = {package for command, package in COMMANDS.items() if not shutil.which(command, path=SEARCHED)}
    if not KEYRING.exists():
        packages.add(KEYRING_PACKAGE)
    root, apt = os.geteuid() == 0, shutil.which("apt-get") is not None
    if found := complaints(image, platform.machine(), root, apt, packages):
        raise PrerequisitesError(found)
    if packages:
        install(sorted(packages))
