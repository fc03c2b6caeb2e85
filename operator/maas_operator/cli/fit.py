"""kubectl maas fit: which flavors can hold a model, how much they then serve at once, and what that costs."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from maas_operator.api.fields import Part
from maas_operator.api.kinds import MODEL, RESOURCE_POOL
from maas_operator.api.model import MAX_CONTEXT, ModelSpec, ModelVersion
from maas_operator.api.poolstatus import ResourcePoolStatus
from maas_operator.api.resourcepool import Flavor, ResourcePoolSpec
from maas_operator.cli import tables
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import shown_in_a_form
from maas_operator.decide.accelerators import accelerator_of
from maas_operator.decide.fit import Fit, fit

Manifest = dict[str, Any]
Spec = TypeVar("Spec", bound=Part)
COLUMNS = ("pool", "flavor", "fits", "tokens", "sequences", "free", "capacity", "pricePerHour", "currency", "why")
ALL_COLUMNS = ("model", "version", "contextLength", *COLUMNS, "weightsBytes", "overheadBytes", "tokenBytes",
               "neededBytes", "usableBytes")  # fmt: skip
"""Of the forms for programs. Bytes are those of one device; on a CPU, of one host's pod."""
WORDS = {True: "yes", False: "no", None: "unknown"}
ORDER = {True: 0, None: 1, False: 2}


def _on_a_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """As options.on_a_cluster, but --context takes a number of tokens, too."""

    @click.option("-n", "--namespace", help="The account. Left out: the context's namespace.")
    @click.option(
        "--context",
        "contexts",
        multiple=True,
        help="A number: tokens that input and output together may have, instead of the version's contextLength. "
        "Anything else: the kubeconfig's context to use. May be given once for each.",
    )
    @click.option("--kubeconfig", help="The kubeconfig to use. Left out: $KUBECONFIG, or ~/.kube/config.")
    @functools.wraps(command)
    def wrapped(*, namespace: str | None, contexts: tuple[str, ...], kubeconfig: str | None, **options: Any) -> None:
        tokens, context = told_apart(contexts)
        command(Cluster(kubeconfig, context, namespace), tokens=tokens, **options)

    return wrapped


def told_apart(contexts: Iterable[str]) -> tuple[int | None, str | None]:
    """The tokens, and the kubeconfig's context, that --context names. Raises CliError."""
    numbers = [each for each in contexts if each.isdecimal()]
    names = [each for each in contexts if not each.isdecimal()]
    if len(numbers) > 1 or len(names) > 1:
        raise CliError("--context can be given once with a number of tokens, and once with a kubeconfig's context")
    tokens = int(numbers[0]) if numbers else None
    if tokens is not None and not 1 <= tokens <= MAX_CONTEXT:
        raise CliError(f"--context {tokens}: tokens are from 1 to {MAX_CONTEXT}")
    return tokens, names[0] if names else None


@click.command("fit")
@click.argument("model")
@click.option("--version", help="The model's version. Left out: the newest, which services get, too.")
@click.option("--pool", help="The flavors of this ResourcePool alone.")
@shown_in_a_form
@_on_a_cluster
def fit_(
    cluster: Cluster, model: str, version: str | None, pool: str | None, tokens: int | None, form: tables.Form
) -> None:
    """Which flavors can hold a model, and why the others cannot: tokens of KV cache that each instance has left, how
    many sequences of the whole context that is at once, instances that the pool has room for now and in all, and the
    price of an instance and hour. Nothing is deployed."""
    models = {each["metadata"]["name"]: each for each in cluster.objects(MODEL, everywhere=True)}
    pools = {each["metadata"]["name"]: each for each in cluster.objects(RESOURCE_POOL, everywhere=True)}
    chosen = version_of(models, model, version)
    found = compared(chosen, chosen_pools(pools, pool), tokens)
    rows = [{"model": model, "version": chosen.name, **each} for each in found]
    click.echo(tables.render(COLUMNS if form == "table" else ALL_COLUMNS, rows, form), nl=False)


def version_of(models: Mapping[str, Manifest], model: str, version: str | None) -> ModelVersion:
    """The version that is asked about. Raises CliError."""
    if model not in models:
        raise CliError(f"there is no Model {model}; the catalogue has {', '.join(sorted(models)) or 'none'}")
    versions = {each.name: each for each in _parsed(ModelSpec, models[model]).versions}
    if version is not None and version not in versions:
        raise CliError(f"Model {model} has no version {version}; it has {', '.join(versions)}")
    return versions[version or list(versions)[-1]]


def chosen_pools(pools: Mapping[str, Manifest], pool: str | None) -> list[Manifest]:
    """The pool that is asked about, or all, by name. Raises CliError."""
    if pool is not None and pool not in pools:
        raise CliError(f"there is no ResourcePool {pool}; there are {', '.join(sorted(pools)) or 'none'}")
    return [pools[name] for name in sorted(pools) if pool in {None, name}]


def compared(version: ModelVersion, pools: Iterable[Manifest], tokens: int | None) -> list[dict[str, tables.Cell]]:
    """A row for each flavor: those that fit first, then those of which it is not known; as the pools list them."""
    found = []
    for pool in pools:
        status = ResourcePoolStatus.model_validate(pool.get("status", {}))
        room = {each.name: {"free": each.free, "capacity": each.capacity} for each in status.flavors}
        for flavor in _parsed(ResourcePoolSpec, pool).flavors:
            answer = answered(version, flavor, tokens)
            about = {"pool": pool["metadata"]["name"], "flavor": flavor.name}
            found.append((answer.fits, {**about, **room.get(flavor.name, {}), **_row(answer, flavor)}))
    return [row for _, row in sorted(found, key=lambda each: ORDER[each[0]])]


def answered(version: ModelVersion, flavor: Flavor, tokens: int | None) -> Fit:
    """Whether the flavor holds the version, with the context that is asked about."""
    longest = max(version.context_length, version.architecture.context_length if version.architecture else MAX_CONTEXT)
    if tokens is not None and tokens > longest:
        return Fit(False, f"the model was made for a context of {longest} tokens", context=tokens)
    accelerator = accelerator_of(flavor)
    if accelerator is None:
        kind = flavor.accelerator.type if flavor.accelerator else None
        return Fit(None, f"not checked: this kubectl maas does not know accelerators of type {kind}")
    return fit(version, flavor, accelerator, context=tokens)


def _row(answer: Fit, flavor: Flavor) -> dict[str, tables.Cell]:
    return {
        "fits": WORDS[answer.fits],
        "contextLength": answer.context,
        "tokens": answer.tokens,
        "sequences": answer.sequences,
        "pricePerHour": flavor.price.per_hour if flavor.price else None,
        "currency": flavor.price.currency if flavor.price else None,
        "why": answer.why,
        "weightsBytes": answer.weights,
        "overheadBytes": answer.overhead,
        "tokenBytes": answer.token,
        "neededBytes": answer.needs,
        "usableBytes": answer.has,
    }


def _parsed(kind: type[Spec], manifest: Manifest) -> Spec:
    try:
        return kind.model_validate(manifest["spec"])
    except ValidationError as error:
        what = f"{manifest['kind']} {manifest['metadata']['name']}"
        wrong = error.errors()[0]["msg"]
        raise CliError(f"{what} cannot be read: {wrong}; is this CLI as new as the cluster?") from error
