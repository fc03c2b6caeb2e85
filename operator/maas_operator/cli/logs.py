"""kubectl maas logs: what the engines of a service say, side by side."""

import heapq
import math
import queue
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import click

from maas_operator.api.kinds import MODEL_SERVICE
from maas_operator.api.names import CONTAINER
from maas_operator.cli import moments
from maas_operator.cli.cluster import Cluster
from maas_operator.cli.errors import AwayError, CliError
from maas_operator.cli.options import on_a_cluster
from maas_operator.cli.pods import Manifest, Pods, leads

AGAIN_SECONDS = 1.0
"""Until a log or a watch whose connection broke is read on."""
OVERLAP_SECONDS = 60
"""How much further back it is then asked for: clocks differ, and lines that were shown are left out."""
UNKNOWN = datetime.min.replace(tzinfo=UTC)
"""The time of a line that has none."""
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of an instance's engine: it is restarted in its pod."""

    instance: str
    restarts: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line of an engine's log."""

    at: datetime
    instance: str
    text: str


@click.command()
@click.argument("name")
@click.option("-f", "--follow", is_flag=True, help="Go on, over restarts and new instances, until interrupted.")
@click.option("--since", help="From when on: 90m, 24h, or 2027-01-31T12:00:00Z. Left out: all that is kept.")
@click.option("--tail", type=click.IntRange(1), help="The last so many lines of each instance.")
@click.option("--instance", help="Of one pod: an instance's, or that of a further host of one of several.")
@click.option("--search", help="Lines alone in which this regular expression is found.")
@click.option("--previous", is_flag=True, help="Of the runs before the present ones: why engines were restarted.")
@on_a_cluster
def logs(
    cluster: Cluster,
    name: str,
    follow: bool,
    since: str | None,
    tail: int | None,
    instance: str | None,
    search: str | None,
    previous: bool,
) -> None:
    """What the engines of a service say: the lines of all instances in order of time, each after its instance's
    name. Of an instance of several hosts, the first one's; the others' by --instance."""
    if follow and previous:
        raise CliError("--follow and --previous exclude each other: a run that has ended says nothing more")
    pattern = _pattern(search)
    service = cluster.object(MODEL_SERVICE, name)
    pods = Pods(cluster)
    there = chosen(pods.of(name), instance, service, waits=follow)
    now = datetime.now(UTC)
    seconds = max(1, math.ceil((now - moments.before(since, now, "--since")).total_seconds())) if since else None
    if follow:
        lines = _followed(pods, name, there, instance, seconds, tail)
    else:
        runs = readable(there, service, previous)
        each = [_as_far_as_it_goes(_read(pods, run, since=seconds, tail=tail, last=previous)) for run in runs]
        lines = heapq.merge(*each, key=lambda line: line.at)
    for line in lines:
        if pattern is None or pattern.search(line.text):
            click.echo(f"{line.instance}  {line.text}")


def chosen(pods: Iterable[Manifest], instance: str | None, service: Manifest, waits: bool) -> list[Manifest]:
    """The instances that are asked for. Raises CliError where there is none; waits: none yet is no error."""
    name, found = service["metadata"]["name"], list(pods)
    if instance is not None:
        there = [pod for pod in found if pod["metadata"]["name"] == instance]
        names = ", ".join(sorted(pod["metadata"]["name"] for pod in found)) or "none"
        if not there:
            raise CliError(f"service {name} has no instance {instance}: it has {names}")
        return there
    if not found and not waits:
        phase = service.get("status", {}).get("phase", "not seen by the operator yet")
        raise CliError(f"service {name} has no instance: it is {phase}; kubectl maas get {name} says why")
    return [pod for pod in found if leads(pod)]


def readable(pods: Iterable[Manifest], service: Manifest, previous: bool) -> list[Run]:
    """The runs that have said something. Raises CliError where there is none."""
    runs = [run for pod in pods if (run := run_of(pod)) and (run.restarts or not previous)]
    name = service["metadata"]["name"]
    if not runs and previous:
        raise CliError(f"no instance of service {name} was restarted: there is no previous run; leave --previous out")
    if not runs:
        raise CliError(f"no engine of service {name} has started yet; kubectl maas get {name} says what it waits for")
    return runs


def run_of(pod: Manifest) -> Run | None:
    """The present run of a pod's engine, or its last; None while it has never started."""
    status = _engine(pod)
    if not ({"running", "terminated"} & status.get("state", {}).keys() or status.get("lastState")):
        return None
    return Run(pod["metadata"]["name"], status.get("restartCount", 0))


def runs_now(pod: Manifest) -> bool:
    """Whether its engine runs."""
    return "running" in _engine(pod).get("state", {})


def line_of(instance: str, raw: str) -> Line:
    """A line as the API server gives it: its time, a space, the text. What a terminal would obey is taken out."""
    stamp, _, text = raw.partition(" ")
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        at, text = UNKNOWN, raw
    text = _COLOURS.sub("", text)
    return Line(at, instance, "".join(each if each.isprintable() or each == "\t" else "?" for each in text))


def _engine(pod: Manifest) -> Manifest:
    statuses = pod.get("status", {}).get("containerStatuses", ())
    return next((each for each in statuses if each["name"] == CONTAINER), {})


def _pattern(search: str | None) -> re.Pattern[str] | None:
    try:
        return None if search is None else re.compile(search)
    except re.error as error:
        raise CliError(f"--search {search} is no regular expression: {error}") from error


def _read(pods: Pods, run: Run, **asked: Any) -> Iterator[Line]:
    return (line_of(run.instance, raw) for raw in pods.log(run.instance, **asked))


def _as_far_as_it_goes(lines: Iterator[Line]) -> Iterator[Line]:
    """The lines, and a word where they cannot be read: an instance that is gone hides no other's."""
    try:
        yield from lines
    except CliError as error:
        click.echo(error.message, err=True)


class Follower:
    """Reads runs as they begin, each in a thread of its own, into one queue: lines, and what ended the watch."""

    def __init__(self, pods: Pods, wanted: str | None) -> None:
        self.lines: queue.SimpleQueue[Line | CliError] = queue.SimpleQueue()
        self._pods = pods
        self._wanted = wanted
        self._present: dict[str, tuple[Run, bool]] = {}
        self._read: set[Run] = set()

    def see(self, pod: Manifest, since: int | None = None, tail: int | None = None) -> None:
        """Read the pod's present run, if that is a new one."""
        run = run_of(pod)
        if run is None or (run.instance != self._wanted if self._wanted else not leads(pod)):
            return
        self._present[run.instance] = run, runs_now(pod) and "deletionTimestamp" not in pod["metadata"]
        if run not in self._read:
            self._read.add(run)
            threading.Thread(target=self._follow, args=(run, since, tail), daemon=True).start()

    def watch(self, service: str) -> None:
        """See all pods of the service that come, until that is refused; where the connection breaks, all over again."""
        told = False
        while True:
            try:
                for pod in self._pods.watch(service):
                    told = False
                    self.see(pod)
            except AwayError as error:
                if not told:
                    click.echo(f"{error.message}; it is tried again", err=True)
                told = True
            except CliError as error:
                self.lines.put(error)
                return
            time.sleep(AGAIN_SECONDS)

    def _follow(self, run: Run, since: int | None, tail: int | None) -> None:
        """The run's lines to its end; where the connection breaks before, on from there."""
        last = UNKNOWN
        while True:
            for line in _as_far_as_it_goes(_read(self._pods, run, follow=True, since=since, tail=tail)):
                if line.at > last or line.at == UNKNOWN:
                    self.lines.put(line)
                last = max(last, line.at)
            time.sleep(AGAIN_SECONDS)
            if self._present[run.instance] != (run, True):
                return
            if last != UNKNOWN:
                ago = max(0.0, (datetime.now(UTC) - last).total_seconds())
                since, tail = math.ceil(ago) + OVERLAP_SECONDS, None


def _followed(
    pods: Pods, service: str, there: list[Manifest], wanted: str | None, since: int | None, tail: int | None
) -> Iterator[Line]:
    follower = Follower(pods, wanted)
    for pod in there:
        follower.see(pod, since, tail)
    threading.Thread(target=partial(follower.watch, service), daemon=True).start()
    while True:
        line = follower.lines.get()
        if isinstance(line, CliError):
            raise line
        yield line
