"""The only place that writes to the API server on behalf of decisions."""

from collections.abc import Callable
from typing import Any

import aiohttp

from maas_operator import metrics
from maas_operator.act.answers import ApiError, Contested, Gone, Outdated, Refused, judge, unanswered
from maas_operator.act.http import APPLY, JSON, JSON_PATCH, MERGE_PATCH, Body, Http
from maas_operator.act.paths import path_of, path_of_all, path_of_manifest, title
from maas_operator.api.conditions import Reason
from maas_operator.api.decision import Apply, Mark, Remove
from maas_operator.api.names import ANNOTATION_DELETION_COST, FIELD_MANAGER
from maas_operator.api.seen import Manifest, Overruled, WriteFailure

MANAGED = {"fieldManager": FIELD_MANAGER}
FORCED = MANAGED | {"force": "true"}

Feed = Callable[[Manifest], None]
"""Takes each object as the API server answered a write: a watch tells of it later than that."""


class Cluster:
    """Writes. Every method raises Refused, Outdated or Gone where it did not succeed."""

    def __init__(self, http: Http, feed: Feed) -> None:
        self._http = http
        self._feed = feed

    async def apply(self, apply: Apply) -> Overruled | None:
        """Write an object by server-side apply. Returns whose fields were taken back for that."""
        manifest = apply.manifest
        if apply.uid is None:
            await self._make(manifest)
            return None
        # With its uid in the body, an object that was replaced meanwhile is not taken for the one that was seen.
        body = manifest | {"metadata": manifest["metadata"] | {"uid": apply.uid}}
        by = ""
        try:
            await self._put(manifest, body, MANAGED)
        except Contested as contested:
            by = contested.by
            await self._put(manifest, body, FORCED)
        return Overruled(manifest["kind"], manifest["metadata"]["name"], by) if by else None

    async def _put(self, manifest: Manifest, body: Manifest, query: dict[str, str]) -> None:
        try:
            self._feed(await self._write("PATCH", manifest, body, APPLY, query))
        except Refused as refused:
            if refused.failure.retry:
                raise
            await self._replace_lists(body)
            self._feed(await self._write("PATCH", manifest, body, APPLY, FORCED))

    async def mark(self, mark: Mark) -> None:
        """Say what a pod's removal would cost. A pod that is gone, or another one by now, needs no word."""
        pod = {"kind": "Pod", "metadata": {"namespace": mark.namespace, "name": mark.name}}
        annotations = {ANNOTATION_DELETION_COST: mark.deletion_cost}
        try:
            self._feed(
                await self._write(
                    "PATCH", pod, {"metadata": {"uid": mark.uid, "annotations": annotations}}, MERGE_PATCH, MANAGED
                )
            )
        except (Gone, Outdated):
            return

    async def remove(self, remove: Remove) -> None:
        """Delete an object, if it still is the one that was seen."""
        path = path_of(remove.kind, remove.namespace, remove.name)
        body: Manifest = {"propagationPolicy": "Foreground" if remove.dependents_first else "Background"}
        if remove.uid is not None:
            body["preconditions"] = {"uid": remove.uid}
        if remove.grace_seconds is not None:
            body["gracePeriodSeconds"] = remove.grace_seconds
        try:
            await self._send(title(remove.kind, remove.namespace, remove.name), remove.namespace, "DELETE", path, body)
        except Gone:
            return
        metrics.WRITES.labels(remove.kind, "delete").inc()

    async def create(self, manifest: Manifest) -> str | None:
        """Make an object, and never change one: returns its uid, or None where one of its name is there already.

        The answer is not fed: of a Secret, nothing is to be kept.
        """
        kind, namespace = manifest["kind"], manifest["metadata"]["namespace"]
        what = title(kind, namespace, manifest["metadata"]["name"])
        path = path_of_all(kind, namespace)
        try:
            answer = await self._send(what, namespace, "POST", path, manifest, JSON, MANAGED)
        except Outdated:
            return None
        metrics.WRITES.labels(kind, "create").inc()
        return str(answer["metadata"]["uid"])

    async def write_status(self, subject: Manifest, status: Manifest, version: str | None = None) -> None:
        """Make the status of an object this one, whole: if it still is the one that was seen, and with a
        resourceVersion only if nobody has written since. Raises Outdated otherwise.

        By JSON Patch, whose tests the API server makes of what it has. Of a merge patch for a custom resource's status
        it takes the status alone: a uid in its metadata counts for nothing. An apply costs as much (0.9 ms here, 8 ms
        in the API server), and leaves in place what others wrote into the status. A patch that names what is to go
        leaves nothing that would be found different for ever.
        """
        tested = {"uid": subject["metadata"]["uid"]} | ({} if version is None else {"resourceVersion": version})
        tests: list[Manifest] = [{"op": "test", "path": f"/metadata/{name}", "value": tested[name]} for name in tested]
        patch = tests + _difference(subject.get("status", {}), status)
        self._feed(await self._write("PATCH", subject, patch, JSON_PATCH, MANAGED, "/status"))

    async def _replace_lists(self, body: Manifest) -> None:
        """Make the object's lists what they should be, whoever's items stand in them.

        Needed where an apply cannot repair what a hand has changed: it adds our items to theirs, and a Service whose
        port 8000 was made 9000 would have two ports of one name, which the API server refuses.
        """
        patch = {"metadata": {"uid": body["metadata"]["uid"]}, "spec": body.get("spec", {})}
        await self._write("PATCH", body, patch, MERGE_PATCH, MANAGED)

    async def _make(self, manifest: Manifest) -> None:
        """Write an object that was not seen. One that is there all the same is left alone unless it is ours."""
        if manifest["kind"] == "ConfigMap":  # not watched: whether one is there has to be asked
            await self._refuse_a_strangers(manifest)
        try:
            self._feed(await self._write("PATCH", manifest, manifest, APPLY, MANAGED))
        except Outdated:
            await self._refuse_a_strangers(manifest)
            raise

    async def _refuse_a_strangers(self, manifest: Manifest) -> None:
        """Raise Refused if an object of this name is there and is not controlled by our owner; feed it if it is."""
        path = path_of_manifest(manifest)
        metadata = manifest["metadata"]
        what = title(manifest["kind"], metadata.get("namespace", ""), metadata["name"])
        try:
            live = await self._http.read(path)
        except ApiError as error:
            raise judge(what, metadata.get("namespace", ""), error) from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refused(unanswered(what, error)) from error
        if live is None:
            return
        if _controller(live) != _controller(manifest):
            message = (
                f"{what} is there already and is not this service's: it is left alone; delete or rename it, or give "
                "the ModelService another name"
            )
            raise Refused(WriteFailure(what, Reason.NOT_OURS, message))
        self._feed({"apiVersion": manifest["apiVersion"], "kind": manifest["kind"]} | live)

    async def _write(
        self,
        method: str,
        manifest: Manifest,
        body: Body,
        content_type: str,
        query: dict[str, str],
        subresource: str = "",
    ) -> Manifest:
        kind, metadata = manifest["kind"], manifest["metadata"]
        namespace = metadata.get("namespace", "")
        what = title(kind, namespace, metadata["name"]) + (f" ({subresource[1:]})" if subresource else "")
        path = path_of_manifest(manifest) + subresource
        answer = await self._send(what, namespace, method, path, body, content_type, query)
        metrics.WRITES.labels(kind, "status" if subresource else "apply").inc()
        return answer

    async def _send(self, what: str, namespace: str, method: str, path: str, body: Body, *how: Any) -> Manifest:
        """Send a write; what went wrong is raised as what it means."""
        try:
            return await self._http.write(method, path, body, *how)
        except ApiError as error:
            raise judge(what, namespace, error) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refused(unanswered(what, error)) from error


def _controller(manifest: Manifest) -> str | None:
    """The uid of the object that controls this one."""
    owners = manifest["metadata"].get("ownerReferences", ())
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def _difference(now: Manifest, wanted: Manifest) -> list[Manifest]:
    """The JSON Patch that makes one status of the other, in the fields that differ. It cannot be applied where what is
    to go is gone already: then the object is not the one that was seen."""
    if not now:  # nor may there be a status
        return [{"op": "add", "path": "/status", "value": wanted}]
    changed = [name for name in wanted if name not in now or now[name] != wanted[name]]
    return [
        *({"op": "add", "path": f"/status/{name}", "value": wanted[name]} for name in changed),
        *({"op": "remove", "path": f"/status/{name}"} for name in now.keys() - wanted.keys()),
    ]
