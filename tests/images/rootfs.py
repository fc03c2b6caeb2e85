"""The root file system of base-python: a minimal Debian, by mmdebstrap, from where this machine gets its packages."""

import shlex
import subprocess
from pathlib import Path

from tests.images.steps import run_step

SUITE = "bookworm"
USUAL_SECONDS = 60
ROOTFS = "rootfs.tar"
# Nobody reads manuals in an image.
LEFT_OUT = ("doc", "info", "locale", "man")


def make_rootfs(folder: Path, sources: Path, log: Path) -> None:
    """Write rootfs.tar with the packages of packages.txt into `folder`.

    The apt sources that were used are moved into the folder `sources` and so are not in the image: where this machine
    gets its packages from is nobody else's matter.
    """
    sources.mkdir(exist_ok=True)
    mirrors = folder / "sources.list"
    mirrors.write_text(_host_sources())
    packages = [line for line in (folder / "packages.txt").read_text().splitlines() if not line.startswith("#")]
    command: list[str | Path] = [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(packages)}",
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in LEFT_OUT),
        f'--customize-hook=find "$1"/etc/apt/sources.list* -type f -exec mv -t {shlex.quote(str(sources))} {{}} +',
        SUITE,
        folder / ROOTFS,
        *([mirrors] if mirrors.stat().st_size else []),
    ]
    run_step("base-python: unpacking a minimal Debian", USUAL_SECONDS, command, log)


def _host_sources() -> str:
    """The sources of this suite that this machine's apt has; "" where it has none, and mmdebstrap's own are used."""
    line = "$(CODENAME) deb $(REPO_URI) $(RELEASE) $(COMPONENT)"
    command = ["apt-get", "indextargets", "--format", line, "Created-By: Packages", "Origin: Debian"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""
    entries = (entry.split(maxsplit=1) for entry in listing.splitlines())
    return "".join(f"{source}\n" for codename, source in entries if codename.startswith(SUITE))
