"""Content control (81011): an endpoint of the user's is asked before and after, by a real Envoy."""

import asyncio
import json
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from maas_operator.gateway.facts import Product
from maas_operator.gateway.publishing import Publisher
from maas_operator.gateway.running import answering
from tests.cluster.pki import Authority
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.control import Control, controlled, facts_of, refuse
from tests.gateway.gateway import Answer, Gateway
from tests.gateway.test_errors import refused
from tests.processes import free_port

pytestmark = pytest.mark.asyncio(loop_scope="session")

CHAT = "/v1/chat/completions"
CODE = "ModelArts.81011"
KEY = {"Authorization": "Bearer key-a"}
REASONS = [
    'he said "no"',
    "two\nlines\tand \\ a tab",
    "%REQ(:path)% 100% %LOCAL_REPLY_BODY% %%",
    '"},"error_code":"ModelArts.00000"}',
    "漢字 é \U0001f600 \u2028 </script>",
    "",
]


async def test_81011_what_is_asked_before_and_after(both: tuple[Gateway, Control], engine: Backend) -> None:
    gateway, control = both
    body = {
        "messages": [{"role": "user", "content": 'é "x" \\ \u2028'}],
        "n": 2,
        "tools": [{"type": "function", "function": {"name": "f"}}],
    }
    answer = await gateway.chat("key-a", "public", **body)
    assert answer.status == 200
    about = {
        "request_id": answer.headers["x-request-id"],
        "account": "team-a",
        "key": "ci",
        "service_namespace": "team-b",
        "service": "public",
        "model": "public-model",
    }
    assert control.asked == [
        {"stage": "input", **about, "body": {"model": "public", **body}},
        {"stage": "output", **about, "body": answer.json},
    ]
    assert control.paths == ["POST /check?by=maas"] * 2
    assert control.headers[0]["content-type"] == "application/json"
    assert control.headers[0]["host"] == f"127.0.0.1:{control.port}"
    line = await gateway.line(answer)
    assert (line.code, line.input_control, line.output_control) == (200, "allowed", "allowed")


@pytest.mark.parametrize("path", ["/v1/completions", f"/v1/infers/id-chat{CHAT}", "/v1/infers/id-chat/v1/completions"])
async def test_81011_completions_and_a_services_own_paths_are_asked_about(
    both: tuple[Gateway, Control], path: str
) -> None:
    gateway, control = both
    body = {"model": "chat", "prompt": ["a", "b"], "messages": []}
    assert (await gateway.call("POST", path, headers=KEY, json=body)).status == 200
    assert [each["stage"] for each in control.asked] == ["input", "output"]
    assert control.asked[0]["body"] == body


@pytest.mark.parametrize("reason", [None, *REASONS])
async def test_81011_refused_before_the_engine_sees_it(
    both: tuple[Gateway, Control], engine: Backend, reason: str | None
) -> None:
    gateway, control = both
    control.verdict = refuse("input", reason)
    before = len(engine.paths)
    answer = await gateway.chat("key-a", "chat")
    refused(answer, 403, CODE)
    words = "The input is refused by content control"
    assert answer.json["error_msg"] == (f"{words}: {reason}" if reason else f"{words}.")
    assert (len(engine.paths), control.stages) == (before, ["input"])
    line = await gateway.line(answer)
    assert (line.code, line.input_control, line.prompt_tokens) == (403, "refused", None)


@pytest.mark.parametrize("reason", [None, *REASONS])
async def test_81011_refused_after_and_metered_all_the_same(
    both: tuple[Gateway, Control], engine: Backend, reason: str | None
) -> None:
    gateway, control = both
    control.verdict = refuse("output", reason)
    before = engine.tokens
    answer = await gateway.chat("key-a", "chat", max_tokens=5)
    refused(answer, 403, CODE)
    words = "The output is refused by content control"
    assert answer.json["error_msg"] == (f"{words}: {reason}" if reason else f"{words}.")
    assert int(answer.headers["content-length"]) == len(answer.body)
    line = await gateway.line(answer)
    assert (line.code, line.prompt_tokens, line.completion_tokens) == (403, PROMPT_TOKENS, 5)
    assert line.total_tokens == engine.tokens - before
    assert (line.input_control, line.output_control) == ("allowed", "refused")


async def test_81011_streams_are_asked_about_before_and_not_after(
    both: tuple[Gateway, Control], engine: Backend
) -> None:
    gateway, control = both
    control.verdict = refuse("output")
    answer = await gateway.chat("key-a", "chat", stream=True, max_tokens=4)
    assert (answer.status, len(answer.chunks), control.stages) == (200, 5, ["input"])
    assert (await gateway.line(answer)).completion_tokens == 4
    control.verdict = refuse("input")
    before = len(engine.paths)
    refused(await gateway.chat("key-a", "chat", stream=True), 403, CODE)
    assert len(engine.paths) == before


async def test_81011_what_is_refused_anyway_is_not_asked_about(both: tuple[Gateway, Control]) -> None:
    gateway, control = both
    assert (await gateway.chat("nobody", "chat")).code == "ModelArts.81003"
    assert (await gateway.chat("key-a", "nope")).code == "ModelArts.81009"
    assert (await gateway.call("POST", CHAT, headers=KEY, data=b"{")).code == "ModelArts.81001"
    codes = [(await gateway.chat("key-a", "qps")).code for _ in range(4)]
    assert codes[-1] == "APIG.0308"
    assert control.stages == ["input", "output"] * codes.count(None)


async def test_the_engines_errors_pass_unasked(both: tuple[Gateway, Control], engine: Backend) -> None:
    gateway, control = both
    answer = await gateway.call("POST", f"/v1/infers/id-chat{CHAT}", headers=KEY, json={"model": "nope"})
    assert (answer.status, control.stages) == (404, ["input"])


async def test_81011_the_client_key_is_never_sent_and_the_endpoints_token_is(engine: Backend, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret-of.the_endpoint~+/=\n")
    async with controlled(engine, token_file=str(token)) as (gateway, control):
        assert (await gateway.chat("key-a", "chat")).status == 200
        assert [each["authorization"] for each in control.headers] == ["Bearer s3cret-of.the_endpoint~+/="] * 2
        assert "key-a" not in json.dumps(control.headers) + str(control.texts)
        renewed = tmp_path / "renewed"
        renewed.write_text("the-next")
        renewed.rename(token)

        async def used() -> bool:
            await gateway.chat("key-a", "chat")
            return control.headers[-1]["authorization"] == "Bearer the-next"

        assert await gateway.until(used) < 3
        token.write_text("two words")

        async def unusable() -> bool:
            return (await gateway.chat("key-a", "chat")).code == CODE

        await gateway.until(unusable)
        config = "".join(path.read_text() for path in gateway.files.folder.glob("*.json"))
        assert "s3cret" not in config + gateway.said()
        assert control.headers[-1]["authorization"] == "Bearer the-next"


@pytest.mark.parametrize("on_failure", ["Refuse", "Allow"])
@pytest.mark.parametrize("how", ["down", "slow", "broken", "resets"])
async def test_81011_without_a_verdict_as_on_failure_says(engine: Backend, how: str, on_failure: str) -> None:
    async with controlled(engine, timeout_seconds=2, on_failure=on_failure) as (gateway, control):
        assert (await gateway.chat("key-a", "chat")).status == 200
        match how:
            case "down":
                await control.__aexit__()
            case "slow":
                control.silence["input"] = 20
            case "broken":
                control.status = 500
            case "resets":
                control.resets = True
        before = len(engine.paths)
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*(gateway.chat("key-a", "chat") for _ in range(5)))
            answers.append(await gateway.chat("key-a", "chat", stream=True))
        for answer in answers:
            if on_failure == "Allow":
                assert answer.status == 200, answer
            else:
                refused(answer, 403, CODE, "The input is refused: content control gave no verdict.")
            assert (await gateway.line(answer)).input_control == "failed"
        assert len(engine.paths) == before + (6 if on_failure == "Allow" else 0)
        warnings = gateway.said().count("content control gave no verdict on an input: status 50")
        assert 0 < warnings < len(answers), "it is not said each time"


async def test_81011_an_answer_without_a_verdict_is_withheld_and_metered(engine: Backend) -> None:
    async with controlled(engine) as (gateway, control):
        control.raw["output"] = b"nonsense"
        answer = await gateway.chat("key-a", "chat", max_tokens=5)
        refused(answer, 403, CODE, "The output is refused: content control gave no verdict.")
        line = await gateway.line(answer)
        assert (line.total_tokens, line.output_control) == (PROMPT_TOKENS + 5, "failed")


@pytest.mark.parametrize(("asked", "stages"), [("input", ["input"]), ("output", ["output"])])
async def test_81011_either_stage_alone(engine: Backend, asked: str, stages: list[str]) -> None:
    async with controlled(engine, input=asked == "input", output=asked == "output") as (gateway, control):
        assert (await gateway.chat("key-a", "chat")).status == 200
        assert control.stages == stages
        control.verdict = refuse(asked, "no")
        refused(await gateway.chat("key-a", "chat"), 403, CODE, f"The {asked} is refused by content control: no")


async def test_81011_a_client_that_hangs_up_while_it_is_asked_is_metered(both: tuple[Gateway, Control]) -> None:
    gateway, control = both
    control.silence["output"] = 20
    call = asyncio.create_task(gateway.chat("key-a", "chat", max_tokens=5))

    async def asked() -> bool:
        return control.stages == ["input", "output"]

    await gateway.until(asked)
    call.cancel()
    line = await gateway.line(Answer(0, {"x-request-id": control.asked[0]["request_id"]}, b""))
    assert (line.total_tokens, line.hung_up) == (PROMPT_TOKENS + 5, True)
    control.silence.clear()
    assert (await gateway.chat("key-a", "chat")).status == 200


async def test_81011_over_tls_with_its_own_authority(engine: Backend, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority.issue("control", "control", hosts=["localhost"]))
    bundle = authority.certificate_file.read_text()
    async with Control(tls=context) as control:
        for host, ca_bundle, passes in (
            ("localhost", bundle, True),
            ("127.0.0.1", bundle, False),  # the certificate does not name it
            ("localhost", "", False),  # nobody in the image's bundle has signed it
        ):
            settings = {"url": f"https://{host}:{control.port}", "ca_bundle": ca_bundle}
            async with Gateway(facts_of(engine), content_control=settings) as gateway:
                answer = await gateway.chat("key-a", "chat")
                assert answer.status == (200 if passes else 403), answer
        assert control.paths == ["POST /"] * 2
        assert control.headers[0]["host"] == f"localhost:{control.port}"


async def test_81011_a_name_that_nobody_knows_holds_up_no_start(engine: Backend) -> None:
    settings = {"url": "http://no.such.host.invalid/", "timeout_seconds": 1}
    async with Gateway(facts_of(engine), content_control=settings) as gateway:
        refused(await gateway.chat("key-a", "chat"), 403, CODE, "content control gave no verdict")


async def test_i3_generatestream_is_asked_about_as_the_completion_that_it_is(engine: Backend) -> None:
    product = Product("chat-model", "97a75a6d", "qwen", "Qwen/Qwen2.5")
    facts = replace(facts_of(engine), products=(product,))
    asked = {"model": product.model, "request": {"prompt": "Once", "params": {"max_new_tokens": 4}}}
    body = asked | {"productName": product.name, "productId": product.id}
    async with Control() as control:
        settings = control.settings() | {"agent_port": free_port()}
        async with Gateway(facts, **settings) as gateway:
            publisher = Publisher(gateway.settings, gateway.files.folder, gateway.log)
            publisher.put(gateway.facts)

            async def generate() -> Answer:
                return await gateway.call("POST", "/v1/maas/generatestream", headers=KEY, json=body)

            async def counted() -> bool:
                await generate()
                return control_count("input", "refused") > refusals

            async with answering(gateway.settings, publisher), asyncio.TaskGroup() as tasks:
                publishing = tasks.create_task(publisher.run())
                assert (await generate()).status == 200
                assert [(each["stage"], each["body"]["prompt"]) for each in control.asked] == [("input", "Once")]
                control.verdict = refuse("input", "no tales")
                before = len(engine.paths)
                answer = await generate()
                assert (answer.status, answer.code, len(engine.paths)) == (403, CODE, before)
                assert answer.json["error_msg"] == "The input is refused by content control: no tales"
                refusals = control_count("input", "refused")
                await gateway.until(counted, every=0.2)
                publishing.cancel()


def control_count(stage: str, outcome: str) -> float:
    """What Prometheus would see."""
    labels = {"stage": stage, "outcome": outcome}
    return REGISTRY.get_sample_value("maas_gateway_content_control_total", labels) or 0
