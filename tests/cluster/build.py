"""Building the parts once, into a cache outside the checkout."""

import fcntl
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster.errors import ClusterError
from tests.cluster.parts import PARTS, Part, part_of
from tests.cluster.progress import say

TAIL_LINES = 20
REPORT_SECONDS = 30  # between lines where the output is not a terminal
GARBAGE_PERCENT = "400"
"""How much garbage Go's compiler keeps: at its own 100 it spends an eighth of its time on collecting."""
GO_FALLBACK = Path("/usr/local/go/bin/go")  # where Go's own instructions put it


def cache_directory() -> Path:
    """Binaries live here: ${MAAS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/maas-operator}/bin."""
    user_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("MAAS_CACHE") or Path(user_cache) / "maas-operator") / "bin"


def go_command() -> str | None:
    """The path of `go`, or None."""
    return shutil.which("go") or (str(GO_FALLBACK) if GO_FALLBACK.exists() else None)


@functools.cache
def go_version(directory: Path) -> str:
    """The compiler that builds the module in `directory` (its go.mod may ask for a newer one than is installed)."""
    return subprocess.run(
        [go_command() or "go", "env", "GOVERSION"], cwd=directory, capture_output=True, text=True, check=True
    ).stdout.strip()


def binary(name: str) -> Path:
    """The path of a binary, built now if it is not in the cache. Raises KeyError for a name that no part builds."""
    return built(part_of(name)) / name


def build_all(names: tuple[str, ...]) -> None:
    """Build the named parts that the cache lacks, telling first how long that usually takes."""
    missing = [part for name in names if not _folder(part := PARTS[name]).exists()]
    if missing:
        minutes = sum(part.usual_seconds for part in missing) / 60
        names_missing = ", ".join(part.name for part in missing)
        say(f"building {names_missing} into {cache_directory()}: once, about {minutes:.0f} min")
    for part in missing:
        built(part)


def built(part: Part) -> Path:
    """The folder of the part's binaries, built now if the cache lacks it. Raises ClusterError where `go` fails."""
    folder = _folder(part)
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / f"{part.name}.lock", part.name):
            if not folder.exists():
                _build(part, folder)
    return folder


def _folder(part: Part) -> Path:
    return cache_directory() / part.key(go_version(part.directory))


@contextmanager
def _locked(file: Path, what: str) -> Iterator[None]:
    with file.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that builds {what}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(part: Part, folder: Path) -> None:
    log = folder.parent / f"{part.name}.log"
    fresh = Path(tempfile.mkdtemp(prefix=f".{part.name}-", dir=folder.parent))
    try:
        _compile(part, fresh, log)
        for name, package in part.packages.items():
            _compiled_name(fresh, package, name).rename(fresh / name)
        fresh.chmod(0o755)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _compiled_name(folder: Path, package: str, name: str) -> Path:
    """`go build` names a binary by its package's last element, a major version left out."""
    elements = [each for each in package.split("/") if each != "." and not re.fullmatch(r"v\d+", each)]
    return folder / (elements[-1] if elements else name)


def _compile(part: Part, output: Path, log: Path) -> None:
    command = [go_command() or "go", "build", *part.build_flags, "-o", f"{output}/", *part.packages.values()]
    settings = {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOGC": GARBAGE_PERCENT, "GOWORK": "off"}
    environment = os.environ | settings
    what = f"building {part.name} ({', '.join(part.packages)}; usually {part.usual_seconds} s)"
    started = time.monotonic()
    with log.open("w") as written:
        compiler = subprocess.Popen(command, cwd=part.directory, env=environment, stdout=written, stderr=written)
        try:
            _watch(compiler, what, started)
        finally:
            if compiler.poll() is None:
                compiler.terminate()
                compiler.wait()
    if compiler.returncode:
        tail = "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        raise ClusterError(f"building {part.name} failed; the whole log is {log}, its end:\n{tail}")


def _watch(compiler: subprocess.Popen[bytes], what: str, started: float) -> None:
    """Show the seconds: on a terminal each second on one line, elsewhere a line now and then."""
    terminal = sys.stdout.isatty()
    said = float("-inf")
    while True:
        elapsed = time.monotonic() - started
        if terminal or elapsed - said >= REPORT_SECONDS:
            print(
                f"\r{what}: {elapsed:.0f} s" if terminal else f"{what}: {elapsed:.0f} s", end="" if terminal else "\n"
            )
            sys.stdout.flush()
            said = elapsed
        try:
            compiler.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
        if terminal:
            print()
        say(f"{what}: done in {time.monotonic() - started:.0f} s" if not compiler.returncode else f"{what}: failed")
        return
