"""What an application sees of the platform: one gateway, with real Envoy before real vLLM."""

import base64
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import KEY_DELIVERY_SECONDS, Account
from tests.e2e.replicas import gateway_pods, kill_agent
from tests.keys import maas, new_key, used

pytestmark = pytest.mark.e2e
SETTLE_SECONDS = 30
SHIPPED_SECONDS = 60
"""Limit for what was used to reach the ledger."""
CHAT = "/v1/chat/completions"
TEAM = "team-a"


class Application:
    """An application with a key."""

    def __init__(self, address: str, key: str) -> None:
        self.host = urlsplit(address).netloc
        self.key = key

    @contextmanager
    def open(self, method: str, path: str, body: Any = None) -> Iterator[http.client.HTTPResponse]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        with self.open(method, path, body) as answer:
            return answer.status, json.loads(answer.read())

    def chat(self, path: str = CHAT, **more: Any) -> tuple[int, Any]:
        return self.call("POST", path, question(**more))

    def stream(self, **more: Any) -> list[dict[str, Any]]:
        """The chunks of a stream that came to its end."""
        with self.open("POST", CHAT, question(stream=True, **more)) as answer:
            return chunks(answer.read())


def question(**more: Any) -> dict[str, Any]:
    return {
        "model": "talker",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 8,
        "ignore_eos": True,
    } | more


def chunks(text: bytes) -> list[dict[str, Any]]:
    events = [line.removeprefix("data: ") for line in text.decode().split("\n\n") if line]
    assert events[-1] == "[DONE]", events[-1]
    return [json.loads(event) for event in events[:-1]]


def refused(application: Application) -> bool:
    return not opened(application)


def opened(application: Application) -> bool:
    return application.call("GET", "/v1/models")[0] == http.client.OK


def application(cluster: Cluster, address: str, tag: str) -> Application:
    """One with a key of its own, as soon as the gateway knows it and the service."""
    made = Application(address, new_key(cluster, TEAM, tag, "for a test"))
    wait_until(lambda: made.chat(max_tokens=1)[0] == http.client.OK, SETTLE_SECONDS, f"key {tag} to count",
               lambda: str(made.chat(max_tokens=1)))  # fmt: skip
    return made


@pytest.fixture(scope="module")
def app(cluster: Cluster, address: str) -> Application:
    return application(cluster, address, "app")


@pytest.fixture
def id_(account: Account) -> str:
    return str(account.get("msvc", "talker")["metadata"]["uid"])


def test_m17_the_shared_path_and_the_services_own_answer(app: Application, id_: str) -> None:
    for path in (CHAT, f"/v1/infers/{id_}{CHAT}"):
        status, answer = app.chat(path)
        assert status == http.client.OK, answer
        assert answer["choices"][0]["message"]["content"]
        assert answer["usage"]["completion_tokens"] == 8


def test_m18_models_are_listed_on_both_paths(app: Application, id_: str) -> None:
    names = ["talker", "tiny"]
    data = [{"id": name, "object": "model", "created": 0, "owned_by": ""} for name in names]
    status, shared = app.call("GET", "/v1/models")
    assert (status, shared) == (http.client.OK, {"object": "list", "data": data})
    status, own = app.call("GET", f"/v1/infers/{id_}/v1/models")
    assert status == http.client.OK
    assert sorted(each["id"] for each in own["data"]) == names


def test_m19_a_stream_tells_its_usage_to_whoever_asks(app: Application) -> None:
    asked = app.stream(stream_options={"include_usage": True})
    assert asked[-1]["choices"] == []
    assert asked[-1]["usage"]["completion_tokens"] == 8
    assert not [chunk for chunk in app.stream() if chunk.get("usage")]


def test_errors_say_what_was_wrong_and_carry_a_request_id(address: str, app: Application) -> None:
    no_key, wrong_key = Application(address, ""), Application(address, "sk-maas-unknown")
    told = {
        "ModelArts.81002": no_key.chat(),
        "ModelArts.81003": wrong_key.chat(),
        "ModelArts.81001": app.call("POST", CHAT, {"messages": []}),
        "ModelArts.81009": app.chat(model="nothing-of-the-kind"),
        "APIG.0101": app.call("GET", "/v2/nothing"),
    }
    assert {code: (status, body["error_code"]) for code, (status, body) in told.items()} == {
        "ModelArts.81002": (400, "ModelArts.81002"),
        "ModelArts.81003": (401, "ModelArts.81003"),
        "ModelArts.81001": (400, "ModelArts.81001"),
        "ModelArts.81009": (404, "ModelArts.81009"),
        "APIG.0101": (404, "APIG.0101"),
    }
    assert all(body["request_id"] and body["error_msg"] for _, body in told.values())


def test_the_ledger_counts_what_the_client_counted_hang_ups_included(cluster: Cluster, address: str) -> None:
    whole, hasty = (application(cluster, address, tag) for tag in ("whole", "hasty"))
    before = settled(cluster, "whole"), settled(cluster, "hasty")
    answers = [whole.chat(max_tokens=number)[1]["usage"] for number in (1, 5, 9)]
    answers += [whole.stream(max_tokens=17, stream_options={"include_usage": True})[-1]["usage"]]
    seen = 0
    with hasty.open("POST", CHAT, question(stream=True, max_tokens=400)) as answer:
        while seen < 5:
            line = answer.readline()
            seen += b'"content"' in line and b'"role"' not in line
    sums = counted(cluster, "whole", before[0]["requests"] + 4)
    assert sums["promptTokens"] - before[0]["promptTokens"] == sum(each["prompt_tokens"] for each in answers)
    assert sums["completionTokens"] - before[0]["completionTokens"] == 1 + 5 + 9 + 17
    sums = counted(cluster, "hasty", before[1]["requests"] + 1)
    assert seen <= sums["completionTokens"] - before[1]["completionTokens"] <= 400
    assert sums["promptTokens"] - before[1]["promptTokens"] == answers[0]["prompt_tokens"]


def counted(cluster: Cluster, key: str, requests: int) -> dict[str, Any]:
    """The key's sums, once the ledger has so many requests."""
    wait_until(lambda: used(cluster, TEAM, key).get("requests", 0) >= requests, SHIPPED_SECONDS,
               f"{requests} requests of {key} in the ledger", lambda: str(used(cluster, TEAM, key)))  # fmt: skip
    sums = used(cluster, TEAM, key)
    assert sums["requests"] == requests
    return sums


def settled(cluster: Cluster, key: str) -> dict[str, Any]:
    """The key's sums, once they no longer change: the requests that waited for the key are in."""
    seen: list[dict[str, Any]] = []

    def same() -> bool:
        seen.append(used(cluster, TEAM, key))
        return len(seen) > 4 and bool(seen[-1]) and seen[-1] == seen[-4]

    wait_until(same, SHIPPED_SECONDS, f"the sums of {key} to settle")
    return seen[-1]


def test_m22_a_deleted_key_is_refused_at_once_by_every_replica(cluster: Cluster, address: str) -> None:
    leaver = application(cluster, address, "leaver")
    replicas = [Application(f"http://{pod['status']['podIP']}:8080", leaver.key) for pod in gateway_pods(cluster)]
    assert len(replicas) == 2
    assert all(opened(replica) for replica in replicas)
    maas(cluster, TEAM, "key", "delete", "leaver", "--yes")
    for replica in replicas:
        wait_until(partial(refused, replica), 5, "the key to be refused")
        status, body = replica.chat()
        assert (status, body["error_code"]) == (401, "ModelArts.81003")


def delivered(account: Account, name: str) -> tuple[str, str]:
    """A key that the operator makes, as its user gets it: the Secret's name, and the key."""
    spec = {"tag": name, "description": "of a test", "delivery": "Secret"}
    manifest = {"apiVersion": "maas-operator.io/v1alpha1", "kind": "ApiKey", "metadata": {"name": name}, "spec": spec}
    account.kubectl("delete", "apikey", name, "--ignore-not-found")
    account.kubectl("apply", "-f", "-", stdin=json.dumps(manifest))
    account.kubectl("wait", f"apikey/{name}", "--for=condition=Delivered", f"--timeout={SETTLE_SECONDS}s")
    secret = account.kubectl("get", "apikey", name, "-o", "jsonpath={.status.delivery.secretName}")
    return secret, base64.b64decode(account.kubectl("get", "secret", secret, "-o", "jsonpath={.data.key}")).decode()


def gone(account: Account, secret: str) -> bool:
    return not account.kubectl("get", "secret", secret, "--ignore-not-found", "-o", "name")


def test_m22_a_key_that_the_operator_makes_is_delivered_once_and_counts(account: Account, address: str) -> None:
    secret, key = delivered(account, "delivered")
    app = Application(address, key)
    wait_until(partial(opened, app), SETTLE_SECONDS, "the key to count")
    assert app.chat()[0] == http.client.OK
    wait_until(partial(gone, account, secret), KEY_DELIVERY_SECONDS + SETTLE_SECONDS, "its Secret to be removed")
    assert app.chat()[0] == http.client.OK, "the key goes on counting"


def test_m22_a_deleted_key_takes_its_secret_along(account: Account, address: str) -> None:
    secret, key = delivered(account, "short-lived")
    app = Application(address, key)
    wait_until(partial(opened, app), SETTLE_SECONDS, "the key to count")
    account.kubectl("delete", "apikey", "short-lived")
    wait_until(partial(refused, app), 5, "the key to be refused")
    wait_until(partial(gone, account, secret), KEY_DELIVERY_SECONDS // 2, "its Secret to be collected")


def test_an_agent_killed_in_the_middle_of_a_stream_does_not_cut_it(cluster: Cluster, app: Application) -> None:
    pod = gateway_pods(cluster)[0]
    direct = Application(f"http://{pod['status']['podIP']}:8080", app.key)
    with direct.open("POST", CHAT, question(stream=True, max_tokens=450)) as answer:
        first = answer.readline()
        kill_agent(pod)
        whole = chunks(first + answer.read())
    assert whole[-1]["choices"][0]["finish_reason"] == "length"

    def restarted() -> bool:
        (now,) = (each for each in gateway_pods(cluster) if each["metadata"]["uid"] == pod["metadata"]["uid"])
        (agent,) = now["status"]["initContainerStatuses"]
        before = pod["status"]["initContainerStatuses"][0]["restartCount"]
        return bool(agent["restartCount"] > before and agent["ready"])

    wait_until(restarted, SETTLE_SECONDS * 2, "the agent to be back")
    assert direct.chat()[0] == http.client.OK
