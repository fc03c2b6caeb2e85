"""What several of our commands are told in the same words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
FALLBACK_NAMESPACE = "maas-system"

Command = TypeVar("Command", bound=Callable[..., Any])


def _own_namespace() -> str:
    return OWN_NAMESPACE.read_text().strip() if OWN_NAMESPACE.exists() else FALLBACK_NAMESPACE


kubeconfig_option = click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How to reach the API server. Left out: the pod's service account, or else $KUBECONFIG.",
)
namespace_option = click.option("--namespace", default=_own_namespace, help="The process's own namespace.")


def log_options(command: Command) -> Command:
    """--log-format and --log-level."""
    form = click.option("--log-format", type=click.Choice(["json", "console"]), default="json")
    level = click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info")
    return form(level(command))
