"""Requests that are held for a service without an instance (issue: sleep and wake), through Envoy and the agent."""

import asyncio
import json
from dataclasses import replace
from functools import partial

import aiohttp
import pytest

from maas_operator.gateway.facts import Limits, Service
from tests.gateway.backend import PROMPT_TOKENS, Backend
from tests.gateway.dozing import ENDS, LARGE, PRODUCT, House, dozy, house
from tests.gateway.gateway import Answer
from tests.gateway.scene import service

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROWS = 4
"""In how many rows, each in order, requests may arrive that go on within a few milliseconds: Envoy has two workers
here, either of which may run first, and each request its own connection. A shuffled 30 make six and more."""
LATER = "10"
"""Retry-After, where a request could not be held."""


def in_order(engine: Backend, count: int) -> None:
    """The engine saw them in the order in which they came, none twice. test_places.py has the order to the place."""
    numbers = [int(each["user"]) for each in engine.asked]
    assert sorted(numbers) == list(range(count))
    rows: list[int] = []
    for number in numbers:
        behind = [each for each in rows if each < number]
        if behind:
            rows.remove(max(behind))
        rows.append(number)
    assert len(rows) <= ROWS, str(numbers)


async def has_more(answers: list[Answer], count: int) -> bool:
    return len(answers) > count


async def test_50_requests_are_held_and_answered_in_the_order_in_which_they_came(
    asleep: House, dozing: Backend
) -> None:
    asked = await asleep.held(50)
    assert not any(each.done() for each in asked)
    answers = await asleep.wake(dozing, asked)
    assert [each.status for each in answers] == [200] * 50
    in_order(dozing, 50)
    assert (await asleep.chat("key-a", "dozy")).status == 200


async def test_what_is_held_outlasts_all_other_bounds_and_is_metered_once(asleep: House, dozing: Backend) -> None:
    (asked,) = await asleep.held(1, pad=LARGE)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(asked), 3.5)
    await asleep.see(dozy(dozing))
    answer = await asked
    assert answer.status == 200
    assert dozing.asked[0]["pad"] == LARGE
    line = await asleep.line(answer)
    assert (line.service_id, line.prompt_tokens, line.code) == ("id-dozy", PROMPT_TOKENS, 200)
    assert line.duration > 3000
    id_ = answer.headers["x-request-id"]
    assert sum(id_ in text for text in asleep.log.read_text().splitlines()) == 1


async def test_m22_81003_a_key_that_is_deleted_ends_what_is_held_with_it_at_once(
    asleep: House, dozing: Backend
) -> None:
    (asked,) = await asleep.held(1)
    other = asleep.ask(1, key_="key-only")
    await asleep.until_held(2)
    kept = asleep.facts
    asleep.facts = replace(kept, keys=tuple(each for each in kept.keys if each.name != "key-a"))
    try:
        await asleep.see(dozy())
        answer = await asyncio.wait_for(asked, 5)
        assert (answer.status, answer.code) == (401, "ModelArts.81003")
        assert not other.done()
        assert [each.status for each in await asleep.wake(dozing, [other])] == [200]
    finally:
        asleep.facts = kept


async def test_an_instance_that_is_silent_after_a_request_was_held_is_given_up_as_any(
    asleep: House, dozing: Backend
) -> None:
    (asked,) = await asleep.held(1)
    dozing.silence = 5
    try:
        await asleep.see(dozy(dozing))
        answer = await asyncio.wait_for(asked, 4)
    finally:
        dozing.silence = 0
    assert (answer.status, answer.code) == (504, "APIG.0203")


@pytest.mark.parametrize("body", [{}, {"pad": LARGE}], ids=["small", "20-MB"])
async def test_who_hangs_up_frees_a_place_at_once(asleep: House, body: dict[str, str]) -> None:
    (asked,) = await asleep.held(1, **body)
    asked.cancel()
    await asleep.until_held(0)
    line = (await asleep.lines(1))[-1]
    assert line.hung_up or line.code != 0


async def test_streams_and_a_services_own_path_are_held_too(asleep: House, dozing: Backend) -> None:
    body = {"model": "dozy", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    headers = {"Authorization": "Bearer key-a"}
    paths = ("/v1/chat/completions", "/v1/infers/id-dozy/v1/chat/completions", "/v1/infers/id-dozy/v1/completions")
    asked = [asyncio.create_task(asleep.call("POST", path, json=body, headers=headers)) for path in paths]
    await asleep.until_held(3)
    await asleep.see(dozy(dozing))
    for answer in await asyncio.gather(*asked):
        assert answer.status == 200
        assert answer.chunks[-1]["usage"]["completion_tokens"] == 3


async def test_i3_generatestream_is_held_and_lists_of_models_are_not(asleep: House, dozing: Backend) -> None:
    headers = {"Authorization": "Bearer key-a"}
    for path in ("/v1/models", "/v1/infers/id-dozy/v1/models"):
        answer = await asleep.call("GET", path, headers=headers)
        assert {each["id"] for each in answer.json["data"]} == {"dozy", "dozy-model"}
    assert len((await asleep.call("GET", "/v1/maas/models", headers=headers)).json["models"]) == 1
    body = {
        "model": PRODUCT.model,
        "productName": PRODUCT.name,
        "productId": PRODUCT.id,
        "request": {"prompt": "Once", "params": {"max_new_tokens": 3}},
    }
    asked = asyncio.create_task(asleep.call("POST", "/v1/maas/generatestream", json=body, headers=headers))
    await asleep.until_held(1)
    await asleep.see(dozy(dozing))
    answer = await asked
    last = json.loads(answer.body.splitlines()[-1])
    assert last["result"]["response"]["details"]["generated_tokens"] == 3


@pytest.mark.parametrize(("then", "status", "code"), ENDS)
async def test_a_service_that_will_have_no_instance_is_not_waited_for(
    asleep: House, then: Service | None, status: int, code: str
) -> None:
    asked = await asleep.held(2)
    await asleep.see(*filter(None, [then]))
    for answer in await asyncio.gather(*asked):
        assert (answer.status, answer.code) == (status, code)
        assert ("retry-after" in answer.headers) == (status == 503)


async def test_apig_0101_of_a_deleted_service_on_its_own_path(asleep: House) -> None:
    headers, body = {"Authorization": "Bearer key-a"}, {"model": "dozy", "messages": []}
    asked = asyncio.create_task(asleep.call("POST", "/v1/infers/id-dozy/v1/completions", json=body, headers=headers))
    await asleep.until_held(1)
    await asleep.see()
    assert ((await asked).status, (await asked).code) == (404, "APIG.0101")


async def test_none_is_lost_while_a_services_only_instance_comes_and_goes(asleep: House, dozing: Backend) -> None:
    stop = asyncio.Event()
    answers: list[Answer] = []

    async def calls() -> None:
        while not stop.is_set():
            answers.append(await asleep.chat("key-a", "dozy", user=str(len(answers))))

    callers = [asyncio.create_task(calls()) for _ in range(4)]
    for _ in range(10):
        await asleep.see(dozy(dozing))
        await asleep.until(partial(has_more, answers, len(answers) + 20))
        await asleep.see(dozy())
    await asleep.see(dozy(dozing))
    stop.set()
    await asyncio.gather(*callers)
    assert {each.status for each in answers} == {200}


async def test_limits_are_charged_once(asleep: House, dozing: Backend) -> None:
    await asleep.see(dozy(limits=Limits(60)))  # two at once
    asked = await asleep.held(2)
    assert (await asleep.chat("key-a", "dozy")).code == "ModelArts.81101"
    await asleep.see(dozy(dozing, limits=Limits(60)))
    assert [each.status for each in await asyncio.gather(*asked)] == [200, 200]


async def test_0203_beyond_the_bounds_it_is_refused_and_told_when_to_come_again(dozing: Backend) -> None:
    bounds = {"requests": 3, "requestsPerService": 2, "seconds": 3}
    async with house(dozy(), service("other", awaited=True), holding=bounds) as gateway:
        asked = await gateway.held(2)
        full = await gateway.chat("key-a", "dozy")
        assert (full.status, full.code, full.headers["retry-after"]) == (503, "APIG.0203", LATER)
        asked.append(gateway.ask(model="other"))
        await gateway.until_held(1, "id-other")
        assert (await gateway.chat("key-a", "other")).code == "APIG.0203"
        for late in await asyncio.gather(*asked):
            assert (late.status, late.code, late.headers["retry-after"]) == (503, "APIG.0203", LATER)
            assert not [name for name in late.headers if name.lower().startswith("x-maas-")]
        assert not gateway.publisher.holder.held()


async def test_0203_nothing_is_held_where_that_is_off() -> None:
    async with house(dozy(), holding={"requests": 0}) as gateway:
        answer = await gateway.chat("key-a", "dozy")
        assert (answer.status, answer.code, answer.headers["retry-after"]) == (503, "APIG.0203", "1")


async def test_an_agent_that_leaves_and_comes_back_finds_all_in_their_order(asleep: House, dozing: Backend) -> None:
    asked = await asleep.held(20)
    await asleep.agent.aclose()
    late = asleep.ask(20)

    async def tried() -> bool:
        return await asleep.stat("cluster.agent.upstream_rq_retry") > 21

    await asleep.until(tried)
    await asleep.begin()
    await asleep.until_held(21)
    answers = await asleep.wake(dozing, [*asked, late])
    assert [each.status for each in answers] == [200] * 21
    in_order(dozing, 21)


async def test_a_leaving_replica_answers_what_it_holds(dozing: Backend) -> None:
    async with house(dozy()) as gateway:
        (asked,) = await gateway.held(1)
        admin = f"http://127.0.0.1:{gateway.settings.admin_port}"
        async with aiohttp.request("POST", f"{admin}/healthcheck/fail") as answer:
            assert answer.status == 200
        assert await gateway.stat("http.gateway.downstream_rq_active") == 1, "the chart's drain.sh goes by this"
        await gateway.see(dozy(dozing))
        assert (await asked).status == 200
