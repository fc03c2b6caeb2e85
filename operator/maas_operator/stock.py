"""maas-operator catalogue: writes the Models that the chart brings. A Job of the chart runs it once."""

import asyncio
import sys
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path

import aiohttp
import click
import structlog
import yaml

from maas_operator import logs
from maas_operator.act.answers import ApiError
from maas_operator.act.connection import connect
from maas_operator.act.http import APPLY, Http
from maas_operator.act.paths import path_of, path_of_all
from maas_operator.api.kinds import MODEL
from maas_operator.api.names import API_VERSION
from maas_operator.api.seen import Manifest
from maas_operator.decide.stock import Step, Verb, decide_stock
from maas_operator.options import kubeconfig_option, log_options

FIELD_MANAGER = "maas-operator-catalogue"
KNOWN_SECONDS = 60.0
"""How long the API server may take to know the kind: the CRDs come in the same release."""
LOOK_SECONDS = 1.0
TRIES = 5
"""How often a Model that changes meanwhile is decided upon anew."""
PAGE = "500"
"""Models of a page of the listing."""

log = structlog.get_logger()


class UnknownKindError(Exception):
    """The API server has no kind Model."""


async def stock(shipped: Mapping[str, Manifest], http: Http) -> int:
    """Make the cluster's Models those of the catalogue, but for what is somebody's own. How many could not be written;
    each is logged. Raises UnknownKindError, ApiError, aiohttp.ClientError or TimeoutError where Models cannot be
    listed."""
    left: set[str] | None = None
    refused = 0
    for _ in range(TRIES):
        again: set[str] = set()
        for step in decide_stock(shipped, await _live(http)):
            if left is not None and step.name not in left:
                continue
            error = await _carry_out(step, http)
            if error is None:
                log.info(f"model {_DONE[step.verb]}", name=step.name, why=step.why)
            elif error.status == HTTPStatus.CONFLICT:
                again.add(step.name)
            else:
                refused += 1
                log.error("model not written", name=step.name, verb=str(step.verb), error=error.message)
        if not again:
            return refused
        left = again
    log.error("models change all the time", names=sorted(left or ()))
    return refused + len(left or ())


_DONE = {Verb.CREATE: "created", Verb.UPDATE: "updated", Verb.DELETE: "deleted", Verb.KEEP: "kept"}


async def _carry_out(step: Step, http: Http) -> ApiError | None:
    """The API server's refusal, if it refuses."""
    path = path_of(MODEL.kind, "", step.name)
    try:
        if step.verb == Verb.DELETE and step.live is not None:
            seen = step.live["metadata"]
            preconditions = {"uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}
            await http.write("DELETE", path, {"preconditions": preconditions})
        elif step.manifest is not None:
            # Strict: a CRD that is older than the catalogue must not drop a field in silence. A Model that is not
            # there is never forced: one that somebody makes at this moment is theirs.
            query = {"fieldManager": FIELD_MANAGER, "fieldValidation": "Strict"}
            query |= {"force": "true"} if step.verb == Verb.UPDATE else {}
            await http.write("PATCH", path, step.manifest, APPLY, query)
    except ApiError as error:
        return error
    return None


async def _live(http: Http) -> dict[str, Manifest]:
    """All Models, by name; waits until the API server knows the kind."""
    found: dict[str, Manifest] = {}
    query = {"limit": PAGE}
    deadline = asyncio.get_running_loop().time() + KNOWN_SECONDS
    while True:
        page = await http.read(path_of_all(MODEL.kind, ""), query)
        if page is not None:
            found |= {each["metadata"]["name"]: each for each in page["items"]}
            if not (more := page["metadata"].get("continue")):
                return found
            query["continue"] = more
        elif asyncio.get_running_loop().time() > deadline:
            raise UnknownKindError(
                f"the API server knows no {MODEL.kind} of {API_VERSION}: are the CRDs installed (crds.install)?"
            )
        else:
            await asyncio.sleep(LOOK_SECONDS)


def read(texts: Iterable[str]) -> dict[str, Manifest]:
    """The Models of a catalogue, by name. Raises ValueError for what is none."""
    found: dict[str, Manifest] = {}
    for manifest in (each for text in texts for each in yaml.safe_load_all(text) if each):
        if (manifest.get("apiVersion"), manifest.get("kind")) != (API_VERSION, MODEL.kind) or "spec" not in manifest:
            raise ValueError(f"{manifest.get('kind')} {manifest.get('metadata', {}).get('name')} is no {MODEL.kind}")
        found[manifest["metadata"]["name"]] = manifest
    return found


def files(path: Path) -> list[Path]:
    """The YAML files of a folder, or the one file; of a mounted ConfigMap not the folder behind its links."""
    return sorted(each for each in path.glob("*.yaml") if each.is_file()) if path.is_dir() else [path]


def _read(_: click.Context, __: click.Parameter, path: Path) -> dict[str, Manifest]:
    try:
        return read(each.read_text() for each in files(path))
    except (ValueError, AttributeError, KeyError, yaml.YAMLError) as error:
        raise click.BadParameter(f"{path}: {error}") from error


@click.command(context_settings={"auto_envvar_prefix": "MAAS_CATALOGUE", "show_default": True})
@click.option(
    "--models",
    required=True,
    callback=_read,
    type=click.Path(exists=True, path_type=Path),
    help="The Models: a YAML file, or a folder of some.",
)
@kubeconfig_option
@log_options
def catalogue(models: dict[str, Manifest], kubeconfig: Path | None, log_format: logs.Format, log_level: str) -> None:
    """Write the catalogue's Models into the cluster, but for those that somebody changed, and end."""
    logs.configure(log_format, log_level)
    try:
        refused = asyncio.run(_run(models, kubeconfig))
    except (UnknownKindError, ApiError, aiohttp.ClientError, TimeoutError) as error:
        sys.exit(f"the catalogue was not written: {error or type(error).__name__}")
    sys.exit(min(refused, 1))


async def _run(models: dict[str, Manifest], kubeconfig: Path | None) -> int:
    http = Http(await connect(kubeconfig))
    try:
        return await stock(models, http)
    finally:
        await http.close()
