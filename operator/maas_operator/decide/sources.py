"""How a version's weights come into the pod: mounted, fetched before the engine starts, or fetched by the engine."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

from maas_operator.api import names
from maas_operator.api.conditions import Reason
from maas_operator.api.fields import EnvVar
from maas_operator.api.modelservice import EngineExtras
from maas_operator.api.quantities import amount, mebibytes
from maas_operator.api.seen import Manifest, ServiceSeen
from maas_operator.api.settings import HubSettings, SourceSettings
from maas_operator.api.sources import NAMES, Scheme, Source, read
from maas_operator.decide.accelerators import told
from maas_operator.decide.acceptance import Plan, Refusal
from maas_operator.decide.room import DISK

MODEL_FOLDER = "/mnt/model"
"""Where the weights are mounted in the engine's container, for sources that are mounted or fetched."""
CACHE_FOLDER = "/cache"
"""Where the cache is mounted in the container that fills it."""
CA_FOLDER = "/etc/maas-ca"
"""Where the certificates that the site trusts are mounted in what fetches."""
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Told of them: OpenSSL, httpx and the Rust libraries by the first, requests, which earlier hubs' libraries use, by the
second."""
LAST_WORDS = "/dev/termination-log"
"""What a container leaves there becomes the kubelet's word on why it ended."""
NON_ROOT = 65532
"""User and group of what needs no root."""
MODEL_VOLUME = "model"
CA_VOLUME = "ca"
SECRET_KEYS: dict[Scheme, tuple[str, ...]] = {
    Scheme.HUGGING_FACE: ("HF_TOKEN",),
    Scheme.MODEL_SCOPE: ("MODELSCOPE_API_TOKEN",),
    Scheme.S3: ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
}
"""What a Secret of credentials has to have."""
OPTIONAL_KEYS: dict[Scheme, tuple[str, ...]] = {Scheme.S3: ("AWS_SESSION_TOKEN",)}
DISK_MARGIN = Fraction(11, 10)
"""Of the weights' size, as much is asked for on the node's disk where they are fetched into the pod: beside the weights
lie tokenizers, what a hub's library keeps, logs."""
PASSED_ON = ("HF_", "MODELSCOPE_", "AWS_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_", "REQUESTS_CA_BUNDLE")
"""Beginnings of the engine's variables that what fetches its weights gets too, in either case."""
NOT_PASSED_ON = frozenset({"HF_HUB_OFFLINE", "HF_HOME"})
_NODE_NAME = {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
OFFLINE = EnvVar(name="HF_HUB_OFFLINE", value="1")


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights' part of a pod."""

    path: str
    """What vLLM is told."""
    revision: str = ""
    """Which one the engine is to fetch, where it does so itself."""
    env: list[EnvVar] = field(default_factory=list)
    secrets: list[Manifest] = field(default_factory=list)
    """Variables from the Secret of credentials, where the engine fetches."""
    volumes: list[Manifest] = field(default_factory=list)
    mounts: list[Manifest] = field(default_factory=list)
    before: list[Manifest] = field(default_factory=list)
    """Containers that have to end before the engine begins."""
    by_engine: bool = False
    """The engine itself fetches them, into the pod."""
    job: dict[str, Any] | None = None
    """The container and the volume of the Job that fetches, where one does."""


@dataclass(frozen=True, slots=True)
class _Trust:
    """The certificates that the site trusts, in what fetches; nothing, where it has none of its own."""

    env: tuple[EnvVar, ...] = ()
    volumes: tuple[Manifest, ...] = ()
    mounts: tuple[Manifest, ...] = ()


def weights(namespace: str, plan: Plan, settings: SourceSettings) -> Weights:
    """How the weights come into the pod."""
    source = read(source_of(plan))
    if prefetched(plan):
        return _fetched(namespace, plan, source, settings)
    mount = {"name": MODEL_VOLUME, "mountPath": MODEL_FOLDER, "readOnly": True}
    if source.scheme == Scheme.IMAGE:
        image = {"reference": source.name, "pullPolicy": "IfNotPresent"}
        return Weights(MODEL_FOLDER, volumes=[{"name": MODEL_VOLUME, "image": image}], mounts=[mount])
    if source.scheme == Scheme.CLAIM:
        path = f"{MODEL_FOLDER}/{source.within}".rstrip("/")
        return Weights(path, volumes=[_claim(source.name)], mounts=[mount])
    hub = [EnvVar(name="VLLM_USE_MODELSCOPE", value="True")] if source.scheme == Scheme.MODEL_SCOPE else []
    trust = _trust(settings)
    env = [*hub, *_engine_mirror(source.scheme, settings), *trust.env]
    secrets = _secrets(plan, source.scheme)
    volumes, mounts = list(trust.volumes), list(trust.mounts)
    return Weights(source.name, source.within, env, secrets, volumes, mounts, by_engine=True)


def refused(seen: ServiceSeen, plan: Plan, settings: SourceSettings) -> Refusal | None:
    """Why the weights cannot be had, where that can be told before anything starts."""
    source = read(source_of(plan))
    if not source.fetched:
        return None
    what = f"version {plan.version.name} comes from {source_of(plan)}"
    if not settings.image and prefetched(plan):
        return Refusal(
            Reason.SOURCE_UNREACHABLE,
            f"{what}, and this operator does not know its own image, which fetches it: set settings.sources.image, as "
            "its chart does",
        )
    if _offline(source.scheme, settings) and plan.pool.cache is None:
        return Refusal(
            Reason.SOURCE_UNREACHABLE,
            f"{what}, and this site is offline (settings.sources.offline) with no endpoint set for {source.scheme}://: "
            "what works here is pvc://, oci://, a source whose mirror is set in settings.sources, and a pool whose "
            "spec.cache holds the weights",
        )
    model = (seen.model or {}).get("spec", {})
    if not model.get("gated") or source.scheme == Scheme.S3 or _hub(source.scheme, settings).endpoint:
        return None
    if _secrets(plan, source.scheme) or _own_secrets(plan, source.scheme) or _offline(source.scheme, settings):
        return None
    key = SECRET_KEYS[source.scheme][0]
    return Refusal(
        Reason.CREDENTIALS_MISSING,
        f"{what}, and {NAMES[source.scheme]} gives it to those alone who accepted its terms: accept them there, and "
        f"name a Secret with {key} in spec.model.credentials",
    )


def source_of(plan: Plan) -> str:
    """Where the weights are: some accelerators have their own."""
    here = told(plan.version, plan.accelerator)
    return (here.source if here else None) or plan.version.source


def prefetched(plan: Plan) -> bool:
    """Whether the weights are fetched before the engine starts: into the pool's cache or, since engines read no S3,
    into the pod."""
    source = read(source_of(plan))
    return source.fetched and (plan.pool.cache is not None or source.scheme == Scheme.S3)


def disk(plan: Plan) -> int:
    """Bytes of the node's own disk, in whole Mi, that an instance asks for, on each of its hosts: room for weights that
    are fetched into the pod. Where their size is not known, nothing. There is no limit beside it: the kubelet would
    evict an instance that needs more, though the node has more."""
    here = told(plan.version, plan.accelerator)
    size = (here and here.weights) or plan.version.weights
    if size is None or plan.pool.cache is not None or not read(source_of(plan)).fetched:
        return 0
    return amount(DISK, mebibytes(ceil(amount(DISK, size.size) * DISK_MARGIN)))


def _fetched(namespace: str, plan: Plan, source: Source, settings: SourceSettings) -> Weights:
    private = bool(_secrets(plan, source.scheme) or _own_secrets(plan, source.scheme))
    folder = source.folder(namespace if private else None)
    cache = plan.pool.cache
    shared = cache.persistent_volume_claim.claim_name if cache and cache.persistent_volume_claim else None
    args = ["fetch", source_of(plan), f"--cache={CACHE_FOLDER}", f"--last-words={LAST_WORDS}"]
    args += [f"--account={namespace}"] if private else []
    offline = ["--offline"] if _offline(source.scheme, settings) else []
    if shared:
        volume, called = _claim(shared), f"claim {shared} of namespace {namespace}"
    elif cache and cache.host_path:
        path = cache.host_path.path
        volume = {"name": MODEL_VOLUME, "hostPath": {"path": path, "type": "DirectoryOrCreate"}}
        called = f"{path} of node $(NODE_NAME)"
    else:
        volume, called = {"name": MODEL_VOLUME, "emptyDir": {}}, "the disk of node $(NODE_NAME)"
    args.append(f"--called={called}")
    fill = [*args, f"--port={names.PORT}", *offline]
    trust = _trust(settings)
    env = _env(plan, source.scheme, settings, trust)
    amounts = {"cpu": plan.flavor.cpu, "memory": plan.flavor.memory}
    job = None
    if shared:
        # The Job has filled it. Whether all of it is there is looked at once more, where the engine is to load it.
        before = _container(settings.image, [*args, "--offline"], [], amounts, read_only=True)
        writable = {"name": MODEL_VOLUME, "persistentVolumeClaim": {"claimName": shared}}
        filling = _container(settings.image, fill, env, JOB_AMOUNTS, trust.mounts)
        job, volumes = {"container": filling, "volumes": [writable, *trust.volumes]}, [volume]
    else:
        room = {DISK: mebibytes(disk(plan))} if disk(plan) else {}
        before = _container(settings.image, fill, env, amounts | room, trust.mounts)
        volumes = [volume, *trust.volumes]
    mount = {"name": MODEL_VOLUME, "mountPath": MODEL_FOLDER, "readOnly": True, "subPath": folder}
    return Weights(MODEL_FOLDER, env=[OFFLINE], volumes=volumes, mounts=[mount], before=[before], job=job)


JOB_AMOUNTS = {"cpu": "500m", "memory": "1Gi"}
"""What a Job that fetches requests; the memory is its limit, too."""


def _container(
    image: str,
    args: list[str],
    env: list[Manifest],
    amounts: Manifest,
    mounts: Iterable[Manifest] = (),
    read_only: bool = False,
) -> dict[str, Any]:
    """The container that fetches. amounts: cpu and memory; an instance's own change nothing of what its pod needs."""
    return {
        "name": names.FETCH_CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": args,
        "env": [_NODE_NAME, {"name": "HOME", "value": "/tmp"}, *env],  # noqa: S108 an emptyDir of the pod
        "resources": {"requests": amounts, "limits": {"memory": amounts["memory"]}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "runAsUser": NON_ROOT,
            "runAsGroup": NON_ROOT,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 an emptyDir of the pod
            {"name": MODEL_VOLUME, "mountPath": CACHE_FOLDER} | ({"readOnly": True} if read_only else {}),
            *mounts,
        ],
    }


def _claim(name: str) -> Manifest:
    return {"name": MODEL_VOLUME, "persistentVolumeClaim": {"claimName": name, "readOnly": True}}


def _env(plan: Plan, scheme: Scheme, settings: SourceSettings, trust: _Trust) -> list[Manifest]:
    """The variables of what fetches: the site's mirrors and certificates, what the user says for the engine, the
    credentials."""
    own = (*trust.env, *_passed_on(plan))
    values = _mirror(scheme, settings) | {each.name: each.value for each in own}
    secrets = _secrets(plan, scheme)
    secret = {each["name"] for each in secrets}
    return [{"name": name, "value": value} for name, value in values.items() if name not in secret] + secrets


def _passed_on(plan: Plan) -> Iterable[EnvVar]:
    extras = plan.spec.engine or EngineExtras()
    here = told(plan.version, plan.accelerator)
    for each in (*plan.version.env, *(here.env if here else ()), *extras.env):
        if each.name.upper().startswith(PASSED_ON) and each.name not in NOT_PASSED_ON:
            yield each


def _own_secrets(plan: Plan, scheme: Scheme) -> bool:
    """Whether the user gives credentials in plain variables."""
    return any(each.name in SECRET_KEYS[scheme] for each in _passed_on(plan))


def _secrets(plan: Plan, scheme: Scheme) -> list[Manifest]:
    """Variables from the Secret of credentials: the kubelet reads it, nobody else."""
    credentials = plan.spec.model.credentials or plan.version.credentials
    if credentials is None:
        return []
    keys = [(key, False) for key in SECRET_KEYS[scheme]] + [(key, True) for key in OPTIONAL_KEYS.get(scheme, ())]
    return [
        {
            "name": key,
            "valueFrom": {
                "secretKeyRef": {"name": credentials.secret_name, "key": key} | ({"optional": True} if optional else {})
            },
        }
        for key, optional in keys
    ]


def _trust(settings: SourceSettings) -> _Trust:
    bundle = settings.ca_bundle
    if not bundle.config_map_name:
        return _Trust()
    file = "ca.crt"
    return _Trust(
        tuple(EnvVar(name=name, value=f"{CA_FOLDER}/{file}") for name in CA_VARIABLES),
        (
            {
                "name": CA_VOLUME,
                "configMap": {"name": bundle.config_map_name, "items": [{"key": bundle.key, "path": file}]},
            },
        ),
        ({"name": CA_VOLUME, "mountPath": CA_FOLDER, "readOnly": True},),
    )


def _hub(scheme: Scheme, settings: SourceSettings) -> HubSettings:
    found = {
        Scheme.HUGGING_FACE: settings.hugging_face,
        Scheme.MODEL_SCOPE: settings.model_scope,
        Scheme.S3: settings.s3,
    }
    return found[scheme]


def _offline(scheme: Scheme, settings: SourceSettings) -> bool:
    return settings.offline and not _hub(scheme, settings).endpoint


def _mirror(scheme: Scheme, settings: SourceSettings) -> dict[str, str]:
    """The site's mirrors, as what fetches is told of them."""
    endpoint = _hub(scheme, settings).endpoint
    if scheme == Scheme.S3:
        found = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_REGION": settings.s3.region}
    else:
        found = {"HF_ENDPOINT" if scheme == Scheme.HUGGING_FACE else "MODELSCOPE_ENDPOINT": endpoint}
    return {name: value for name, value in found.items() if value}


def _engine_mirror(scheme: Scheme, settings: SourceSettings) -> list[EnvVar]:
    """The same for engines: ModelScope's library wants the host alone, and newer ones the URL."""
    found = _mirror(scheme, settings)
    if "MODELSCOPE_ENDPOINT" in found:
        host = found["MODELSCOPE_ENDPOINT"].partition("://")[2].partition("/")[0]
        found = {"MODELSCOPE_DOMAIN": host} | found
    return [EnvVar(name=name, value=value) for name, value in found.items()]
