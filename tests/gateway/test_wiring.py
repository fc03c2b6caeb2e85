"""The gateway as it is installed: agent, Envoy and ledger as processes of their own beside a real API server, each with
the permissions that the tables give it and no others."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from prometheus_client.metrics_core import Metric

from maas_operator.api.names import ANNOTATION_DEFAULT_KEY_LIMITS
from maas_operator.api.permissions import GATEWAY_PERMISSIONS, LEDGER_PERMISSIONS
from maas_operator.api.traffic import PATH, ServiceTraffic, Traffic
from maas_operator.cli.main import cli
from tests.api.grants import granted
from tests.api.operator_process import custom, operator_process
from tests.cluster import Cluster
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.gateway import digest
from tests.gateway.replica import (
    Manifest,
    Replica,
    api_key,
    apply,
    assistant,
    gateway_cluster,
    of_account,
    own_address,
    slice_of,
)
from tests.ledger.processes import NAMESPACE, WRITER, LedgerProcess, token
from tests.processes import free_port

pytestmark = pytest.mark.api

NUMBER = int(os.environ.get("MAAS_TEST_CLUSTER", "26"))
KEY = "sk-of-the-test"
SECRET = "sk-of-the-client"
ENVOY_SHOWS = {
    "envoy_server_live",
    "envoy_server_days_until_first_cert_expiring",
    "envoy_http_downstream_rq_xx",
    "envoy_http_downstream_rq_time",
    "envoy_http_downstream_cx_active",
    "envoy_http_lua_errors",
    "envoy_http_rds_update_rejected",
    "envoy_cluster_manager_cds_update_rejected",
    "envoy_listener_manager_lds_update_rejected",
    "envoy_extension_config_discovery_http_filter_keys_config_fail",
    "envoy_listener_downstream_cx_overload_reject",
    "envoy_filesystem_write_failed",
    "envoy_overload_envoy_resource_monitors_fixed_heap_pressure",
    "envoy_cluster_outlier_detection_ejections_active",
    "envoy_cluster_upstream_cx_connect_fail",
    "envoy_cluster_upstream_rq_timeout",
}
"""What docs/operating.md names."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with gateway_cluster(NUMBER, tmp_path_factory.mktemp("cluster")) as made:
        yield made


class House:
    """One replica of the gateway, and the ledger."""

    def __init__(self, cluster: Cluster, folder: Path, engine: Backend) -> None:
        self.cluster = cluster
        self.engine = engine
        (folder / "token").write_text(token(cluster, NAMESPACE, WRITER))
        self.ledger_token = (folder / "token").read_text()
        ledger_rights = granted(cluster, "ledger", LEDGER_PERMISSIONS)
        url = f"sqlite:///{folder}/ledger.db"
        self.ledger = LedgerProcess(folder, cluster, url, free_port(), free_port(), kubeconfig=ledger_rights)
        rights = granted(cluster, "gateway", GATEWAY_PERMISSIONS)
        self.replica = Replica(folder / "replica", rights, self.ledger.address, folder / "token")
        self.agent, self.envoy = self.replica.agent, self.replica.envoy

    def apply(self, *manifests: Manifest) -> None:
        apply(self.cluster, *manifests)

    @property
    def service_id(self) -> str:
        """The uid of the service."""
        return self.cluster.kubectl("get", "msvc", "assistant", "-n", "team-a", "-o", "jsonpath={.metadata.uid}")

    async def chat(self) -> int:
        """The status of a call; 0 where nobody answers."""
        return await self.replica.chat(KEY)

    async def calls(self, status: int) -> bool:
        return await self.chat() == status

    async def counted(self) -> tuple[int, int]:
        """Answered requests, and prompt tokens, of the account in the ledger."""
        url = f"{self.ledger.address}/v1/usage?account=team-a&service=team-a/assistant"
        async with aiohttp.request("GET", url, headers={"X-Maas-Ledger-Token": self.ledger_token}) as answer:
            line = json.loads(await answer.read())
            return line["answered"], line["promptTokens"]

    async def until(self, true: Callable[[], Awaitable[bool]], seconds: float = 30) -> float:
        """Seconds until it is true."""
        begun = time.monotonic()
        while not await true():
            assert time.monotonic() - begun < seconds, self._said()
            await asyncio.sleep(0.02)
        return time.monotonic() - begun

    def _said(self) -> str:
        replica, folder = self.replica.log.parents[1], self.replica.log.parents[2]
        logs = [*folder.glob("*.log"), *replica.glob("*.log")]
        return "\n".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in logs)


@pytest.fixture
async def house(cluster: Cluster, tmp_path: Path) -> AsyncIterator[House]:
    async with Backend("assistant", "tiny", host=own_address()) as engine:
        made = House(cluster, tmp_path, engine)
        made.apply(assistant(), api_key(KEY), slice_of(engine))
        try:
            await asyncio.to_thread(made.ledger.start)
            made.agent.start()
            with operator_process(cluster, tmp_path / "operator.log", "--no-leader-election"):
                await made.until(made.replica.ready)
                made.envoy.start()
                yield made
        finally:
            for process in (made.envoy, made.agent, made.ledger):
                process.end()


async def test_what_is_applied_is_served_and_metered_and_what_is_deleted_is_refused(house: House) -> None:
    await house.until(lambda: house.calls(200))

    async def all_counted() -> bool:
        answered = len(house.engine.asked)
        return await house.counted() == (answered, answered * PROMPT_TOKENS)

    await house.until(all_counted)

    await metrics_show_it(house.replica)
    before = await traffic_told(house.replica)
    assert before
    assert before.services[house.service_id].requests == len(house.engine.asked)

    house.agent.end(signal.SIGKILL)
    for _ in range(20):
        assert await house.chat() == 200
    house.agent.start()
    await house.until(all_counted)  # what was served without the agent is metered, once

    async def counts_anew() -> bool:
        assert await house.chat() == 200
        told = await traffic_told(house.replica)
        return bool(told and told.services.get(house.service_id, ServiceTraffic()).requests)

    await house.until(counts_anew)
    after = await traffic_told(house.replica)
    assert after
    assert after.replica != before.replica
    assert after.since > before.since

    house.apply(slice_of(house.engine, ready=False))
    await house.until(lambda: house.calls(503))
    house.apply(slice_of(house.engine))
    await house.until(lambda: house.calls(200))

    await asyncio.to_thread(house.cluster.kubectl, "delete", "apikey", "ci", "-n", "team-a", "--wait=false")
    deleted = time.monotonic()
    while await house.chat() == 200:
        assert time.monotonic() - deleted < 1, house.agent.said()[-3000:]
    assert await house.chat() == 401
    await house.until(all_counted)
    assert house.agent.end(signal.SIGTERM) == 0, house.agent.said()[-3000:]


async def metrics_show_it(replica: Replica) -> None:
    """The agent's own, and of Envoy's what matters and no more."""
    shown = await replica.shown()
    assert value(shown["maas_gateway_keys"]) == 1
    assert value(shown["maas_gateway_usage_waiting_bytes"]) == 0
    assert value(shown["maas_gateway_publish_failures"]) == 0
    missing = {tuple(each.labels.values()): each.value for each in shown["maas_operator_permission_missing"].samples}
    needed = {(each.group, each.resource, verb) for each in GATEWAY_PERMISSIONS for verb in each.verbs}
    assert missing == dict.fromkeys(needed, 0), "M2: it looks for what it lacks"
    of_envoy = await replica.shown("/metrics/envoy")
    assert set(of_envoy) >= ENVOY_SHOWS
    assert len(of_envoy) < 60
    assert value(of_envoy["envoy_http_api_key_auth_allowed"]) >= 1
    rejected = [name for name, family in of_envoy.items() if name.endswith("update_rejected") and value(family)]
    assert not rejected
    (healthy,) = (
        each
        for each in of_envoy["envoy_cluster_membership_healthy"].samples
        if each.labels["envoy_cluster_name"] == "team-a_assistant"
    )
    assert healthy.value == 1


async def traffic_told(replica: Replica) -> Traffic | None:
    """What the operator is told; None while the agent does not count yet."""
    async with aiohttp.request("GET", f"http://127.0.0.1:{replica.metrics}{PATH}") as answer:
        assert answer.status in {200, 503}, await answer.text()
        return Traffic.model_validate_json(await answer.read()) if answer.status == 200 else None


def value(family: Metric) -> float:
    return sum(each.value for each in family.samples)


async def test_a_service_that_sleeps_is_woken_and_what_is_held_outlives_a_killed_agent(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Without an operator: what it would say of the service is written by hand."""

    def says(kind: str, name: str, **status: Any) -> None:
        patch = json.dumps({"status": status})
        cluster.kubectl("patch", kind, name, "-n", "team-a", "--subresource=status", "--type=merge", "-p", patch)

    def wish() -> str:
        path = "jsonpath={.metadata.annotations.maas-operator\\.io/wake-requested-at}"
        return cluster.kubectl("get", "msvc", "assistant", "-n", "team-a", "-o", path)

    service = assistant()
    service["spec"]["scaling"] = {"minInstances": 0, "maxInstances": 1}
    async with Backend("assistant", "tiny", host=own_address()) as engine:
        made = House(cluster, tmp_path, engine)
        made.apply(service, api_key(KEY), slice_of(engine, ready=False))
        says("msvc", "assistant", phase="Stopped", instances={"desired": 0, "ready": 0, "summary": "0/0"})
        since = "2026-06-01T00:00:00Z"
        yes = {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "", "lastTransitionTime": since}
        says("apikey", "ci", conditions=[yes])
        assert wish() == ""
        try:
            made.agent.start()
            await made.until(made.replica.ready)
            made.envoy.start()
            await made.until(lambda: listens(made.replica))
            asked = [asyncio.create_task(made.chat()) for _ in range(10)]
            await made.until(lambda: holds(made.replica, 10))
            told = await traffic_told(made.replica)
            assert told
            assert told.services[made.service_id].held == 10

            async def woken() -> bool:
                return await asyncio.to_thread(wish) != ""

            assert await made.until(woken) < 5
            said = await asyncio.to_thread(wish)
            made.agent.end(signal.SIGKILL)
            made.agent.start()
            await made.until(lambda: holds(made.replica, 10))
            assert await asyncio.to_thread(wish) == said, "it was asked for half a minute ago at most"
            says("msvc", "assistant", phase="Deploying", instances={"desired": 1, "ready": 0, "summary": "0/1"})
            assert not any(each.done() for each in asked)
            made.apply(slice_of(engine))
            assert await asyncio.gather(*asked) == [200] * 10
            assert len(engine.asked) == 10
        finally:
            for process in (made.envoy, made.agent):
                process.end()
            cluster.kubectl("delete", "-n", "team-a", "msvc/assistant", "apikey/ci", "endpointslice/assistant-1")


async def listens(replica: Replica) -> bool:
    return await replica.chat("no-key") == 401


async def holds(replica: Replica, count: int) -> bool:
    with contextlib.suppress(aiohttp.ClientError):
        return value((await replica.shown())["maas_gateway_held_requests"]) == count
    return False


async def test_81005_81006_81101_a_key_is_refused_by_what_its_quota_and_its_account_say(house: House) -> None:
    def quota(tokens: int) -> Manifest:
        manifest = api_key(KEY)
        manifest["spec"]["limits"] = {"tokenQuota": tokens}
        return manifest

    house.apply(quota(5 * (PROMPT_TOKENS + 3)))
    await house.until(lambda: house.calls(200))
    await house.until(lambda: house.calls(401), 60)
    assert len(house.engine.asked) >= 5

    async def all_counted() -> bool:
        answered = len(house.engine.asked)
        return await house.counted() == (answered, answered * PROMPT_TOKENS)

    await house.until(all_counted)
    house.apply(quota(1_000_000))
    assert await house.until(lambda: house.calls(200)) < 5

    await an_account_limits_its_keys_and_is_frozen(house)


async def an_account_limits_its_keys_and_is_frozen(house: House) -> None:
    """81101, 81006: by annotations of its Namespace."""

    def done(action: str) -> None:
        where = f"--kubeconfig={house.cluster.kubeconfig}"
        assert CliRunner().invoke(cli, ["account", action, "team-a", where]).exit_code == 0

    def annotate(what: str) -> None:
        house.cluster.kubectl("annotate", "namespace", "team-a", "--overwrite", what)

    annotate(f"{ANNOTATION_DEFAULT_KEY_LIMITS}=requestsPerMinute=1")
    await house.until(lambda: house.calls(429))
    annotate(f"{ANNOTATION_DEFAULT_KEY_LIMITS}-")
    assert await house.until(lambda: house.calls(200)) < 5
    done("freeze")
    assert await house.until(lambda: house.calls(401)) < 5
    done("unfreeze")
    assert await house.until(lambda: house.calls(200)) < 5


async def products(replica: Replica) -> list[str]:
    """The models' names in Intel's API."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.request("GET", f"{replica.url}/v1/maas/models", headers=headers) as answer:
        return [each["model_name"] for each in json.loads(await answer.read())["models"]]


async def client_token(replica: Replica) -> str:
    """One of client team-a/app; empty where there is no such path."""
    form, basic = {"grant_type": "client_credentials"}, aiohttp.encode_basic_auth("team-a/app", SECRET)
    url, headers = f"{replica.url}/oauth2/token", {"Authorization": basic}
    async with aiohttp.request("POST", url, data=form, headers=headers) as answer:
        body = json.loads(await answer.read())
        assert answer.status == 200 or (answer.status, body["error_code"]) == (404, "APIG.0101"), body
        return str(body.get("access_token", ""))


def accepted(cluster: Cluster, model: str) -> str:
    """The reason of a Model's condition; empty while the operator has not told."""
    found = json.loads(cluster.kubectl("get", "model", model, "-o", "json"))
    conditions = found.get("status", {}).get("conditions", ())
    return next((str(each["reason"]) for each in conditions if each["type"] == "Accepted"), "")


def model(name: str, product_id: str) -> Manifest:
    versions = [{"name": "1k", "source": "hf://acme/tiny", "contextLength": 1024}]
    product = {"id": product_id, "name": f"maas-model-{name}", "modelName": f"acme/{name}"}
    return custom("Model", name, spec={"versions": versions, "product": product})


async def what_a_version_does_not_support_is_refused(house: House) -> None:
    """From when its Model says so, and as long as it does."""
    version = {"name": "1k", "source": "hf://acme/tiny", "contextLength": 1024}
    unsupported = {"unsupportedParameters": ["NAboveOne"]}
    older = version | unsupported | {"name": "older"}
    service = of_account("ModelService", "assistant", model={"name": "tiny", "version": "1k"}, resourcePool="pool",
                         flavor="small")  # fmt: skip
    house.apply(custom("Model", "tiny", spec={"versions": [older, version]}), service)

    async def answers_two(status: int) -> bool:
        return await house.replica.chat(KEY, n=2) == status

    assert await answers_two(200), "another version's is no matter"
    house.apply(custom("Model", "tiny", spec={"versions": [older, version | unsupported]}))
    await house.until(lambda: answers_two(400))
    assert await house.chat() == 200
    await asyncio.to_thread(house.cluster.kubectl, "delete", "model", "tiny")
    await house.until(lambda: answers_two(200))


async def test_i1_i2_m20_products_refusals_and_signing_keys_come_and_go_while_the_gateway_runs(house: House) -> None:
    await house.until(lambda: house.calls(200))
    client = of_account("ApiKey", "app", tag="app", description="d", sha256=digest(SECRET), kind="ClientCredentials")
    house.apply(model("a-old", "1"), model("b-young", "1"), model("other", "2"), client)

    async def offered(*names: str) -> bool:
        return await products(house.replica) == [f"acme/{name}" for name in names]

    async def told(name: str, reason: str) -> bool:
        return await asyncio.to_thread(accepted, house.cluster, name) == reason

    await house.until(lambda: offered("a-old", "other"))
    await house.until(lambda: told("b-young", "ProductIdTaken"))
    await house.until(lambda: told("a-old", "Accepted"))
    await asyncio.to_thread(house.cluster.kubectl, "delete", "model", "a-old")
    await house.until(lambda: offered("b-young", "other"))
    await house.until(lambda: told("b-young", "Accepted"))

    await what_a_version_does_not_support_is_refused(house)

    assert await client_token(house.replica) == ""
    house.replica.signing.write_text(f"- {{id: a, secret: {'a' * 32}}}")

    async def given() -> bool:
        return await client_token(house.replica) != ""

    await house.until(given)
    token = await client_token(house.replica)

    async def refused() -> bool:
        return await house.replica.chat(token) == 401

    async def answered() -> bool:
        return await house.replica.chat(token) == 200

    await house.until(answered)
    house.replica.signing.unlink()
    await house.until(refused)
    assert await house.chat() == 200, "keys of kind Bearer count all the same"
    assert "a" * 32 not in house.agent.said()
