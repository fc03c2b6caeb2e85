"""A HorizontalPodAutoscaler of Kubernetes' own, by the scale subresource: real controllers and scheduler, kwok's nodes.

Nothing measures here, so it moves a service into its bounds alone: enough to see who writes what.
"""

import json
from collections.abc import Iterator

import pytest

from tests.api.operator_process import Account, Manifest, Operator, custom
from tests.cluster import ClusterError
from tests.cluster.waiting import wait_until
from tests.pools.room import MODEL, POOL, SEEN_SECONDS, Room, Service

NAME = "outside"
NO_FIRST_VALUE = 'the spec replicas field ".spec.instances" does not exist'


class Autoscaler:
    """The HorizontalPodAutoscaler of the service, and the scale subresource that it goes by."""

    def __init__(self, account: Account) -> None:
        self._account = account

    def between(self, least: int, most: int) -> None:
        """Apply it, with these bounds."""
        target = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ModelService", "name": Service.name}
        spec = {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most}
        metadata = {"name": NAME, "namespace": self._account.name}
        manifest = {"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata}
        self._account.apply(manifest | {"spec": spec})

    def until(self, kind: str, status: str, *reasons: str) -> str:
        """Wait until it has such a condition; returns its message."""

        def said() -> str | None:
            there = self.status().get("conditions", ())
            now: Manifest = next((each for each in there if each["type"] == kind), {})
            return now["message"] if now.get("status") == status and now["reason"] in reasons else None

        return wait_until(said, SEEN_SECONDS, f"{kind} {status}, {reasons}", lambda: str(self.status()))

    def until_it_counts(self, instances: int) -> None:
        def counted() -> bool:
            return self.status().get("currentReplicas") == instances

        wait_until(counted, SEEN_SECONDS, f"it to count {instances}", lambda: str(self.status()))

    def status(self) -> Manifest:
        return dict((self._account.get("hpa", NAME) or {}).get("status", {}))

    def remove(self) -> None:
        self._account.delete("hpa", NAME)

    def scale(self) -> Manifest:
        return self._shown("msvc", Service.name, "--subresource=scale")

    def selected(self) -> set[str]:
        """The pods that the scale subresource's selector finds and that stay, by uid."""
        pods = self._shown("pods", "--selector", self.scale()["status"]["selector"])["items"]
        return {pod["metadata"]["uid"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}

    def writers(self) -> set[tuple[str, str]]:
        """Who wrote the number that stands in spec.instances, and by which subresource."""
        entries = self._shown("msvc", Service.name, "--show-managed-fields")["metadata"]["managedFields"]
        return {
            (entry["manager"], entry.get("subresource", ""))
            for entry in entries
            if "f:instances" in entry["fieldsV1"].get("f:spec", {})
        }

    def _shown(self, *what: str) -> Manifest:
        account = self._account
        return dict(json.loads(account.cluster.kubectl("get", *what, f"--namespace={account.name}", "-o", "json")))


@pytest.fixture(scope="module")
def service(room: Room, operator: Operator) -> Iterator[Service]:
    with room.serving(operator, instances=1) as made:
        yield made


@pytest.fixture
def autoscaler(account: Account, service: Service) -> Iterator[Autoscaler]:
    made = Autoscaler(account)
    yield made
    made.remove()


def test_m14_an_hpa_moves_a_service_into_its_bounds_and_nobody_else_writes_the_number(
    service: Service, autoscaler: Autoscaler
) -> None:
    for least, most, instances in ((2, 3, 2), (1, 1, 1)):
        autoscaler.between(least, most)
        autoscaler.until_it_counts(instances)
        autoscaler.until("AbleToScale", "True", "SucceededGetScale", "SucceededRescale")
        autoscaler.until("ScalingActive", "False", "FailedGetResourceMetric")  # and not InvalidSelector
        service.until("Running", f"{instances} of {instances} ready")
        scale = autoscaler.scale()
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (instances, instances)
        assert autoscaler.selected() == service.answering().keys()
        assert len(autoscaler.selected()) == instances
        assert autoscaler.writers() == {("kube-controller-manager", "scale")}


def test_m14_without_a_first_value_an_hpa_does_not_begin_and_kubectl_scale_gives_it_one_that_git_leaves_alone(
    account: Account, service: Service, autoscaler: Autoscaler
) -> None:
    service.change(instances=None)
    service.until("Running", "1 of 1 ready")
    with pytest.raises(ClusterError, match=NO_FIRST_VALUE):
        autoscaler.scale()
    autoscaler.between(2, 3)
    assert NO_FIRST_VALUE in autoscaler.until("AbleToScale", "False", "FailedGetScale")
    account.cluster.kubectl("scale", "msvc", Service.name, f"--namespace={account.name}", "--replicas=1")
    autoscaler.until_it_counts(2)
    spec = {"model": {"name": MODEL, "version": "good"}, "resourcePool": POOL, "flavor": "one"}
    manifest = custom("ModelService", Service.name, spec=spec)
    manifest["metadata"]["namespace"] = account.name
    account.apply(manifest)
    service.until("Running", "2 of 2 ready")
    assert autoscaler.scale()["spec"]["replicas"] == 2
    # Kubernetes notes no writer of a field that the subresource was the first to set.
    assert autoscaler.writers() <= {("kube-controller-manager", "scale")}
