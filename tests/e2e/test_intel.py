"""Intel's API as its guide calls it, real Envoy before real vLLM: I1 a token, I2 the products, I3 generatestream."""

import base64
import http.client
import itertools
import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from maas_operator.gateway.facts import Key
from maas_operator.gateway.signing import SigningKey
from maas_operator.gateway.tokens import sign
from tests.cluster import Cluster
from tests.cluster.waiting import wait_until
from tests.e2e.conftest import Account
from tests.e2e.replicas import gateway_pods
from tests.e2e.test_gateway import SHIPPED_SECONDS, Application
from tests.installation import NAMESPACE
from tests.keys import GATEWAY, gateway_address, maas, new_key, used

pytestmark = pytest.mark.e2e
TEAM = "team-a"
SECRET_NAME = f"{GATEWAY}-signing"
MOUNTED_SECONDS = 180
"""Limit for the kubelet to bring a Secret that was made while the pod runs."""
BELIEVED_SECONDS = 30
"""Limit for its Envoy to have it as well."""
SIGNING = SigningKey(id="e2e", secret="signs-the-tokens-of-this-cluster-alone")
GENERATE = "/v1/maas/generatestream"
PRODUCT = {
    "model": "acme/Tiny-Instruct",
    "productName": "maas-model-tiny",
    "productId": "2d7f9a34-6b1c-4f0e-9a57-1c0a5d3e8b42",
}


class Client:
    """A program written for Intel's API."""

    def __init__(self, address: str, id_: str, secret: str) -> None:
        self.address = address
        self._authorization = "Basic " + base64.b64encode(f"{id_}:{secret}".encode()).decode()

    def token(self, **form: str) -> tuple[int, dict[str, Any]]:
        """What `curl -u ID:SECRET -d grant_type=client_credentials` gets."""
        connection = http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=30)
        headers = {"Authorization": self._authorization, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode({"grant_type": "client_credentials"} | form)
        try:
            connection.request("POST", "/oauth2/token", body, headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def given(self) -> bool:
        return self.token()[0] == http.client.OK

    def signed_in(self) -> Application:
        """With a token, as the guide puts it: Authorization: TOKEN_TYPE ACCESS_TOKEN."""
        status, body = self.token()
        assert (status, body["token_type"], body["expires_in"]) == (http.client.OK, "Bearer", 3600), body
        return Application(self.address, body["access_token"])


def generation(prompt: str = "Once upon a time", *, product: dict[str, str] | None = None, **params: Any) -> Any:
    body = {"request": {"prompt": prompt, "params": {"temperature": 0} | params}, "cloudAccountId": "123456789012"}
    return PRODUCT | body | (product or {})


def generate(application: Application, **params: Any) -> list[dict[str, Any]]:
    """The responses of an answer that came to its end, a line each."""
    with application.open("POST", GENERATE, generation(**params)) as answer:
        assert answer.status == http.client.OK, answer.read()
        return responses(answer.read(), answer.headers["x-request-id"])


def responses(text: bytes, request_id: str) -> list[dict[str, Any]]:
    told = [json.loads(line)["result"]["response"] for line in text.splitlines()]
    for each in told:
        assert set(each["token"]) == {"id", "text", "logprob", "special"}
        assert each["token"]["logprob"] <= 0
        assert (each["top_tokens"], each["requestID"]) == ([], request_id)
    assert all("details" not in each for each in told[:-1])
    assert told[-1]["details"]["generated_tokens"] == len(told)
    return told


@pytest.fixture(scope="module")
def clients(cluster: Cluster, address: str) -> Iterator[list[Client]]:
    """The same client, of each replica of the gateway."""
    secret = new_key(cluster, TEAM, "intel", "for a test", "--kind", "ClientCredentials")
    made = [Client(f"http://{pod['status']['podIP']}:8080", f"{TEAM}/intel", secret) for pod in gateway_pods(cluster)]
    assert len(made) == 2
    for client in made:
        status, body = client.token()
        assert (status, body["error_code"]) == (404, "APIG.0101"), "nothing signs yet"
    in_system = ("-n", NAMESPACE)
    keys = f'- {{id: "{SIGNING.id}", secret: "{SIGNING.secret}"}}\n'
    create = ("create", "secret", "generic", SECRET_NAME, "--from-file=keys.yaml=/dev/stdin")
    cluster.kubectl(*in_system, *create, stdin=keys)
    for client in made:
        wait_until(client.given, MOUNTED_SECONDS, "the Secret to be taken up", partial(str, client.address))
    for giving, asked in itertools.product(made, repeat=2):  # an agent has it a moment before its Envoy
        wait_until(
            partial(believed, giving, asked), BELIEVED_SECONDS, "a token to be believed", partial(str, asked.address)
        )
    yield made
    cluster.kubectl(*in_system, "delete", "secret", SECRET_NAME)


@pytest.fixture(scope="module")
def app(cluster: Cluster, clients: list[Client]) -> Application:
    """At the gateway's own address, as soon as it answers there."""
    made = Application(gateway_address(cluster), clients[0].signed_in().key)
    wait_until(lambda: made.call("POST", GENERATE, generation(max_new_tokens=1))[0] == http.client.OK, 30,
               "the service to be known", lambda: str(made.call("GET", "/v1/models")))  # fmt: skip
    return made


def believed(giving: Client, asked: Client) -> bool:
    """Whether one replica takes another's token."""
    return Application(asked.address, giving.signed_in().key).call("GET", "/v1/models")[0] == http.client.OK


def test_i1_a_token_of_one_replica_is_believed_by_every_replica(clients: list[Client]) -> None:
    for giving, asked in itertools.product(clients, repeat=2):
        assert believed(giving, asked)


def test_i1_no_token_for_a_wrong_secret_another_grant_or_a_bearer_key(cluster: Cluster, clients: list[Client]) -> None:
    address = clients[0].address
    bearer = new_key(cluster, TEAM, "intel-bearer", "for a test")
    assert clients[0].token(grant_type="password") == (400, {"error": "unsupported_grant_type"})
    for wrong in (
        Client(address, f"{TEAM}/intel", "sk-maas-wrong"),
        Client(address, "team-b/intel", "sk-maas-wrong"),
        Client(address, f"{TEAM}/intel-bearer", bearer),
    ):
        assert wrong.token() == (401, {"error": "invalid_client"})


def test_i1_a_token_that_is_garbled_foreign_or_expired_is_refused(account: Account, app: Application) -> None:
    uid = account.get("apikey", "intel")["metadata"]["uid"]
    key = Key(TEAM, "intel", uid, "", client_credentials=True)
    foreign = SIGNING.model_copy(update={"secret": "of-another-cluster" * 2})
    head, claims, signature = app.key.split(".")
    now = time.time()
    tokens = {
        "garbled": f"{head}.{claims[:-2]}AA.{signature}",
        "foreign": sign(key, foreign, now, 3600),
        "expired": sign(key, SIGNING, now - 7200, 3600),
    }
    assert Application(f"http://{app.host}", sign(key, SIGNING, now, 3600)).call("GET", "/v1/models")[0] == 200
    for what, token in tokens.items():
        for method, path in (("GET", "/v1/maas/models"), ("POST", GENERATE), ("POST", "/v1/chat/completions")):
            status, body = Application(f"http://{app.host}", token).call(method, path, generation())
            assert (what, status, body["error_code"]) == (what, 401, "ModelArts.81003")


def test_i2_the_catalogues_products_are_listed(app: Application) -> None:
    listed = {
        "model_name": PRODUCT["model"],
        "product_id": PRODUCT["productId"],
        "product_name": PRODUCT["productName"],
    }
    status, body = app.call("GET", "/v1/maas/models")
    assert status == http.client.OK
    assert listed in body["models"]
    chart = {each["product_name"] for each in body["models"]} - {PRODUCT["productName"]}
    assert chart == {
        "maas-model-qwen-2.5-coder-32b",
        "maas-model-qwen-2.5-32b",
        "maas-model-llama-3.1-8b",
        "maas-model-llama-3.1-70b",
        "maas-model-mistral-7b-v0.1",
    }, "what the chart's catalogue brought, by its Job"


@pytest.mark.parametrize("bound", ["max_new_tokens", "maxNewTokens"])
def test_i3_a_generation_ends_at_its_bound(app: Application, bound: str) -> None:
    told = generate(app, **{bound: 7})
    assert told[-1]["details"] == {"finish_reason": "FINISH_REASON_LENGTH", "generated_tokens": 7, "seed": 0}
    assert told[-1]["generated_text"]
    assert all(isinstance(each["token"]["id"], int) for each in told)


def test_i3_lines_come_as_the_engine_makes_them(app: Application) -> None:
    begun = time.monotonic()
    with app.open("POST", GENERATE, generation(max_new_tokens=400)) as answer:
        first = answer.readline()
        until_first = time.monotonic() - begun
        rest = answer.read()
        until_last = time.monotonic() - begun
        told = responses(first + rest, answer.headers["x-request-id"])
    assert len(told) == 400
    print(f"first line after {until_first:.2f} s, the last of 400 after {until_last:.2f} s")
    assert until_first < until_last / 2


def test_i3_a_generation_ends_at_a_stop_sequence(app: Application) -> None:
    text = generate(app, max_new_tokens=60)[-1]["generated_text"]
    words = [word for word in text.split() if word.isascii() and len(word) > 2 and text.index(word) > 10]
    last = generate(app, max_new_tokens=60, stop=[words[0]])[-1]
    assert last["details"]["finish_reason"] == "FINISH_REASON_STOP_SEQUENCE"
    assert last["generated_text"] == text[: text.index(words[0])]


def test_i3_a_generation_ends_where_the_model_ends_it(app: Application) -> None:
    """Its weights are random: at this temperature any token may come, the end among them."""
    for seed in range(40):
        last = generate(app, max_new_tokens=480, temperature=2.0, seed=seed)[-1]
        assert last["details"]["seed"] == seed
        if last["details"]["finish_reason"] == "FINISH_REASON_EOS_TOKEN":
            assert last["token"]["special"]
            assert last["details"]["generated_tokens"] <= 480
            return
        assert last["details"]["finish_reason"] == "FINISH_REASON_LENGTH"
    pytest.fail("no generation came to its end")


@pytest.mark.parametrize(
    ("product", "says"),
    [
        ({"model": "acme/Other"}, "model 'acme/Other' is not offered: GET /v1/maas/models lists those that are"),
        (
            {"productName": "maas-model-other"},
            "productName is 'maas-model-other', of that model it is 'maas-model-tiny'",
        ),
        ({"productId": "0"}, f"productId is '0', of that model it is '{PRODUCT['productId']}'"),
    ],
)
def test_i3_what_does_not_match_a_product_is_said(app: Application, product: dict[str, str], says: str) -> None:
    status, body = app.call("POST", GENERATE, generation(product=product))
    assert (status, body["error_code"]) == (400, "ModelArts.81001")
    assert says in body["error_msg"]


def test_i3_what_is_generated_is_metered_under_the_clients_key(cluster: Cluster, clients: list[Client]) -> None:
    secret = new_key(cluster, TEAM, "metered", "for a test", "--kind", "ClientCredentials")
    client = Client(clients[0].address, f"{TEAM}/metered", secret)
    wait_until(client.given, 30, "the client to be known")
    application = client.signed_in()
    wait_until(lambda: application.call("GET", "/v1/maas/models")[0] == http.client.OK, 30, "the token to count")
    plain = {"model": "talker", "prompt": "Once upon a time", "max_tokens": 1}
    prompt = application.call("POST", "/v1/completions", plain)[1]["usage"]["prompt_tokens"]
    made = sum(len(generate(application, max_new_tokens=number)) for number in (3, 30))

    def counted() -> bool:
        sums = used(cluster, TEAM, "metered")
        return (sums.get("promptTokens"), sums.get("completionTokens")) == (3 * prompt, 1 + made)

    wait_until(counted, SHIPPED_SECONDS, f"{3 * prompt} and {1 + made} tokens in the ledger",
               lambda: str(used(cluster, TEAM, "metered")))  # fmt: skip


def test_i1_a_deleted_key_ends_its_tokens_on_every_replica(cluster: Cluster, clients: list[Client]) -> None:
    secret = new_key(cluster, TEAM, "leaving", "for a test", "--kind", "ClientCredentials")
    client = Client(clients[0].address, f"{TEAM}/leaving", secret)
    wait_until(client.given, 30, "the client to be known")
    token = client.signed_in().key
    replicas = [Application(each.address, token) for each in clients]

    def answers(replica: Application, status: int) -> bool:
        return replica.call("GET", "/v1/maas/models")[0] == status

    for replica in replicas:
        wait_until(partial(answers, replica, 200), 30, "the token to count")
    maas(cluster, TEAM, "key", "delete", "leaving", "--yes")
    for replica in replicas:
        wait_until(partial(answers, replica, 401), 5, "the token to be refused")
        assert replica.call("POST", GENERATE, generation())[1]["error_code"] == "ModelArts.81003"
    assert client.token() == (401, {"error": "invalid_client"})
