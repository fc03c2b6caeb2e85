"""buildah, with its images in a folder of our own."""

import functools
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.images.catalogue import REGISTRY, Image
from tests.images.inputs import DOCKERFILE, MODIFIED
from tests.images.steps import run_step

LOAD_SECONDS = 20  # for the largest
OVERLAY, COPYING = "overlay", "vfs"


class Storage:
    """Images under `folder`, each under the hash of what went into it; cheap to make anew from the archives.

    `own`: an image's name in the storage, as own_name() gives it before a build; what is edited while the build runs
    belongs to another name.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, own: str) -> bool:
        """Whether the image is there."""
        return self._run("inspect", "--type", "image", own).returncode == 0

    def load(self, own: str, archive: Path, name: str, log: Path) -> None:
        """Take the image from an archive that carries it as `name`."""
        run_step(f"reading {archive}", LOAD_SECONDS, self._command("pull", "-q", f"oci-archive:{archive}"), log)
        self._run("tag", name, own, check=True)
        self._run("rmi", name)  # the name alone: the image has the other one

    def build(self, image: Image, own: str, base: str, context: Path, mounts: Mapping[Path, Path], log: Path) -> None:
        """Build the image from the folder `context`, with `mounts` (path in the build to path here) for its steps."""
        command = self._command(
            "build",
            "--isolation=chroot",
            *(["--layers"] if image.keep_steps else []),
            f"--timestamp={MODIFIED}",
            *(f"--volume={here}:{inside}:ro" for inside, here in mounts.items()),
            *([f"--build-arg=BASE={base}"] if base else []),
            f"--file={context / DOCKERFILE}",
            f"--tag={own}",
            str(context),
        )
        run_step(f"{image.name}: building", image.usual_seconds, command, log)

    def save(self, image: Image, own: str, archive: Path, name: str, log: Path) -> None:
        """Write the image as an OCI archive that carries it as `name`. zstd: faster and smaller than gzip."""
        command = self._command("push", "-q", "--compression-format=zstd", own, f"oci-archive:{archive}:{name}")
        run_step(f"{image.name}: packing", max(1, image.usual_seconds // 6), command, log)

    def forget_others(self, own: str) -> None:
        """Remove the image as it was built from other inputs, where nobody is using that at the moment."""
        ours = f"--filter=reference={own.rpartition(':')[0]}"
        listing = self._run("images", "--noheading", "--format={{.Name}}:{{.Tag}}", ours).stdout.decode()
        for other in set(listing.split()) - {own}:
            self._run("rmi", other)

    def _command(self, *arguments: str) -> list[str]:
        return [*self._with(self._driver), *arguments]

    @functools.cached_property
    def _driver(self) -> str:
        """overlay, unless the file system of the cache does not take it."""
        overlay_works = subprocess.run([*self._with(OVERLAY), "info"], capture_output=True, check=False).returncode == 0
        return OVERLAY if overlay_works else COPYING

    def _with(self, driver: str) -> list[str]:
        folder = self._folder / driver
        return ["buildah", f"--root={folder}/images", f"--runroot={folder}/run", f"--storage-driver={driver}"]

    def _run(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(self._command(*arguments), capture_output=True, check=check)


def own_name(image: Image, fingerprint: str) -> str:
    """The image's name in the storage: its tag is the hash of what went in."""
    return f"{REGISTRY}/{image.name}:{fingerprint}"
