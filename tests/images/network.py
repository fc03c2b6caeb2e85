"""What this machine's own way to the package registries is, handed to a build as read-only mounts.

Nothing of it is named here, and nothing of it is left in an image: a certificate bundle of the machine's own, pip's
settings, apt's sources. (Proxies named by the environment are handed on by buildah itself.) A machine without any such
settings builds without any such mounts.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
BUNDLE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
PIP_SETTINGS = Path("/etc/pip.conf")
SOURCES = Path("/etc/apt/sources.list.d")
# pip's settings about the way to packages; those about the machine's own environments are no matter of a build.
HANDED_ON = (
    "index-url",
    "extra-index-url",
    "trusted-host",
    "proxy",
    "no-index",
    "timeout",
    "default-timeout",
    "retries",
)


def mounts(work: Path, sources: Path) -> dict[Path, Path]:
    """Return what to mount read-only in a build: path in the build to path here; `work` takes the files made for it."""
    settings = _pip_settings()
    bundle = _bundle(settings, os.environ)
    mounted = {BUNDLE: bundle} if bundle else {}
    for number, folder in enumerate(settings.get("find-links", "").split()):
        if Path(folder).is_dir() and any(Path(folder).iterdir()):
            mounted[Path(f"/run/find-links-{number}")] = Path(folder)
    if text := pip_settings(settings, mounted):
        (work / PIP_SETTINGS.name).write_text(text)
        mounted[PIP_SETTINGS] = work / PIP_SETTINGS.name
    if sources.exists():
        mounted[SOURCES] = sources
    return mounted


def pip_settings(settings: Mapping[str, str], mounted: Mapping[Path, Path]) -> str:
    """The pip.conf of a build: this machine's settings, with the paths that they have in the build; "" for none."""
    lines = [f"{key} = {' '.join(settings[key].split())}" for key in HANDED_ON if key in settings]
    if BUNDLE in mounted:
        lines.append(f"cert = {BUNDLE}")
    if folders := [str(inside) for inside in mounted if inside.name.startswith("find-links")]:
        lines.append(f"find-links = {' '.join(folders)}")
    return "\n".join(["[global]", *lines, ""]) if lines else ""


def parse_pip_settings(listing: str) -> dict[str, str]:
    """Read `pip config list`: lines `section.key='value'`, where a later section wins, and the environment over all."""
    found: dict[str, str] = {}
    from_environment: dict[str, str] = {}
    for line in listing.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in {"global", "download", "install", ":env:"}:
            (from_environment if section == ":env:" else found)[key] = str(ast.literal_eval(value))
    return found | from_environment


def _pip_settings() -> dict[str, str]:
    done = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    return parse_pip_settings(done.stdout if done.returncode == 0 else "")


def _bundle(settings: Mapping[str, str], environment: Mapping[str, str]) -> Path | None:
    named = [settings.get("cert", ""), *(environment.get(variable, "") for variable in BUNDLE_VARIABLES)]
    return next((Path(path) for path in named if path and Path(path).is_file()), None)
