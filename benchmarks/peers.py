"""The proxies that ours is compared with, in an environment of their own outside the checkout."""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster.build import cache_directory
from tests.cluster.progress import say

REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")
"""Made by `make lock` from requirements-peers.in."""


def binary(name: str) -> Path:
    """A command of one of them, installed now if it is not in the cache."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()[:16]
    environment = cache_directory().parent / f"peers-{key}"
    if not (environment / "ready").exists():
        say(f"installing vllm-router and LiteLLM into {environment}: once, about a minute")
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "--require-hashes", "--requirement", str(REQUIREMENTS)], check=True)
        (environment / "ready").touch()
    return environment / "bin" / name
