"""Kubeconfig files that carry their certificates inside, so that one file is enough."""

import base64
from pathlib import Path

TEMPLATE = """\
apiVersion: v1
kind: Config
clusters:
- name: {cluster}
  cluster:
    server: {server}
    certificate-authority-data: {authority}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {cluster}
  context:
    cluster: {cluster}
    user: {user}
current-context: {cluster}
"""


def write_kubeconfig(
    file: Path, cluster: str, server: str, user: str, authority: Path, certificate: Path, key: Path
) -> Path:
    """Write the file, readable by its owner alone, and return it."""
    text = TEMPLATE.format(
        cluster=cluster,
        server=server,
        user=_quoted(user),
        authority=_encoded(authority),
        certificate=_encoded(certificate),
        key=_encoded(key),
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    file.write_text(text)
    return file


def _encoded(file: Path) -> str:
    return base64.b64encode(file.read_bytes()).decode()


def _quoted(value: str) -> str:
    """A user's name may hold colons (system:node:node-1)."""
    return "'" + value.replace("'", "''") + "'"
