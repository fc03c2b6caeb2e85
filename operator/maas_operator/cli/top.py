"""kubectl maas top: what the instances use of their devices, and how much their engines have to do."""

import math
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import click
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.names import LABEL_SERVICE, PORT
from maas_operator.cli import tables
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import CliError
from maas_operator.cli.options import on_a_cluster, shown_in_a_form
from maas_operator.cli.pods import Manifest, Pods, leads
from maas_operator.decide.accelerators import Exporter, exporters

COLUMNS = ("service", "instance", "node", "computePercent", "memoryMib", "memoryTotalMib",
           "running", "waiting", "cachePercent", "tokensPerSecond")  # fmt: skip
BETWEEN_SECONDS = 2.0
"""Between the two looks from which tokens a second are told."""
AT_ONCE = 16
"""Pods that are read at the same time."""
METRICS = "metrics"


APP_LABELS = ("app", "app.kubernetes.io/name")
"""Labels by one of which exporters' pods are called, as they are usually installed."""


@dataclass(slots=True)
class Devices:
    """What the devices of one instance are used for."""

    compute: list[float] = field(default_factory=list)
    used: float = 0
    total: float = 0

    def row(self) -> tables.Row:
        """As it is shown: compute on average, memory together."""
        percent = round(sum(self.compute) / len(self.compute)) if self.compute else None
        memory = {"memoryMib": round(self.used), "memoryTotalMib": round(self.total)} if self.total else {}
        return {"computePercent": percent, **memory}


@click.command()
@click.argument("service", required=False)
@click.option("--exporters", help="The namespace of the devices' exporters. Left out: they are looked for in all.")
@shown_in_a_form
@on_a_cluster
def top(cluster: Cluster, service: str | None, exporters: str | None, form: tables.Form) -> None:
    """How busy the instances are: compute and memory of their devices, and requests, cache and tokens of their engines.
    A dash: nobody says so. Of an instance of several hosts each host is shown, the engine's figures with the first."""
    if service is not None:
        cluster.object(MODEL_SERVICE, service)
    pods = Pods(cluster)
    there = [pod for pod in pods.of(service) if pod["status"].get("phase") == "Running"]
    notes: set[str] = set()
    engines = _engines(pods, [pod for pod in there if ready(pod) and leads(pod)], notes)
    devices = _devices(pods, {pod["spec"]["nodeName"] for pod in there}, exporters, notes)
    rows = [row(pod, devices, engines) for pod in sorted(there, key=lambda pod: str(pod["metadata"]["name"]))]
    click.echo(tables.render(COLUMNS, rows, form), nl=False)
    for note in sorted(notes):
        click.echo(note, err=True)


def row(pod: Manifest, devices: Mapping[tuple[str, str], Devices], engines: Mapping[str, tables.Row]) -> tables.Row:
    """What is shown of an instance."""
    metadata = pod["metadata"]
    found = devices.get((metadata["namespace"], metadata["name"]))
    return {
        "service": metadata["labels"][LABEL_SERVICE],
        "instance": metadata["name"],
        "node": pod["spec"]["nodeName"],
        **(found.row() if found else {}),
        **engines.get(metadata["name"], {}),
    }


def ready(pod: Manifest) -> bool:
    """Whether its engine answers."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in pod["status"].get("conditions", ()))


def engine(before: str, after: str, seconds: float) -> tables.Row:
    """vLLM's figures from its metrics, read twice, so many seconds apart. Raises ValueError."""
    first, second = _sums(before), _sums(after)
    tokens = "vllm:generation_tokens_total"
    if tokens not in second:
        raise ValueError(f"there is no {tokens} in it")
    return {
        "running": round(second.get("vllm:num_requests_running", 0)),
        "waiting": round(second.get("vllm:num_requests_waiting", 0)),
        "cachePercent": math.ceil(100 * second.get("vllm:kv_cache_usage_perc", 0)),
        "tokensPerSecond": round(max(0.0, second[tokens] - first.get(tokens, 0)) / seconds),
    }


def devices_of(exporter: Exporter, text: str) -> dict[tuple[str, str], Devices]:
    """By namespace and pod: what an exporter says of devices that a pod has. Raises ValueError."""
    found: dict[tuple[str, str], Devices] = {}
    for sample in _samples(text):
        whose = sample.labels.get("namespace", ""), sample.labels.get(exporter.pod, "")
        if not all(whose) or sample.name not in {exporter.compute, exporter.memory_used, *exporter.memory_total}:
            continue
        devices = found.setdefault(whose, Devices())
        value = max(0.0, float(sample.value))
        if sample.name == exporter.compute:
            devices.compute.append(value)
        if sample.name == exporter.memory_used:
            devices.used += value
        if sample.name in exporter.memory_total:
            devices.total += value
    return found


def selectors() -> list[str]:
    """Label selectors that find the pods of all exporters."""
    apps = ",".join(sorted({app for each in exporters() for app in each.apps}))
    return [f"{label} in ({apps})" for label in APP_LABELS]


def exporters_of(pod: Manifest) -> tuple[list[Exporter], int]:
    """What a pod found by these selectors may be, and its port: the one that it declares, else the usual one. One
    exporter may tell of chips that it has other words for."""
    called = {pod["metadata"]["labels"].get(label) for label in APP_LABELS}
    found = [each for each in exporters() if called & set(each.apps)]
    ports = [port["containerPort"] for each in pod["spec"]["containers"] for port in each.get("ports", ())]
    return found, next(iter(ports), found[0].port)


def devices_on(exporters: Iterable[Exporter], text: str) -> dict[tuple[str, str], Devices]:
    """By namespace and pod: what is said, in those words that tell of the most memory: some chips have more kinds."""
    found: dict[tuple[str, str], Devices] = {}
    for exporter in exporters:
        for whose, devices in devices_of(exporter, text).items():
            if whose not in found or devices.total > found[whose].total:
                found[whose] = devices
    return found


def _sums(text: str) -> dict[str, float]:
    """By name: a sample's values added up; an instance may have several engines."""
    sums: dict[str, float] = {}
    for sample in _samples(text):
        if sample.name.startswith("vllm:"):
            sums[sample.name] = sums.get(sample.name, 0.0) + float(sample.value)
    return sums


def _samples(text: str) -> Iterable[Sample]:
    return (sample for family in text_string_to_metric_families(text) for sample in family.samples)


def _engines(pods: Pods, there: list[Manifest], notes: set[str]) -> dict[str, tables.Row]:
    """By instance: its engine's figures; why there are none is noted."""

    def look(pod: Manifest) -> tuple[float, str] | CliError:
        metadata = pod["metadata"]
        try:
            return time.monotonic(), pods.page(metadata["namespace"], metadata["name"], PORT, METRICS)
        except CliError as error:
            return error

    if not there:
        return {}
    with ThreadPoolExecutor(AT_ONCE) as readers:
        before = list(readers.map(look, there))
        time.sleep(BETWEEN_SECONDS)
        after = list(readers.map(look, there))
    found: dict[str, Any] = {}
    for pod, first, second in zip(there, before, after, strict=True):
        if isinstance(first, CliError) or isinstance(second, CliError):
            notes.add(f"no engine's figures: {first if isinstance(first, CliError) else second}")
            continue
        try:
            found[pod["metadata"]["name"]] = engine(first[1], second[1], second[0] - first[0])
        except ValueError as error:
            notes.add(f"no engine's figures: the metrics of {pod['metadata']['name']} cannot be read: {error}")
    return found


def _devices(pods: Pods, nodes: set[str], namespace: str | None, notes: set[str]) -> dict[tuple[str, str], Devices]:
    """By namespace and pod: what the exporters on these nodes say; why they say nothing is noted."""
    found: dict[tuple[str, str], Devices] = {}
    try:
        there = {
            pod["metadata"]["uid"]: pod for selector in selectors() for pod in pods.everywhere(selector, namespace)
        }
    except CliError as error:
        notes.add(f"no devices' figures: {error}")
        return {}
    for pod in there.values():
        if pod["spec"].get("nodeName") not in nodes or not ready(pod):
            continue
        possible, port = exporters_of(pod)
        metadata = pod["metadata"]
        try:
            found |= devices_on(possible, pods.page(metadata["namespace"], metadata["name"], port, METRICS))
        except (CliError, ValueError) as error:
            notes.add(f"no devices' figures of {pod['spec']['nodeName']}: {error}")
    return found
