"""docs/notifications.md: what people copy from it works."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
import yaml

from maas_operator.act.notifying.message import cloud_event
from maas_operator.api.events import Subscribable
from maas_operator.api.notificationtopic import NotificationTopicSpec
from tests.processes import free_port
from tests.receiver import new_signing_key
from tests.snippets import snippet
from tests.unit.notifying.test_channels import HOOK, MESSAGE, PRIVATE, channels, failure, secret

PAGE = Path(__file__).parents[3] / "docs" / "notifications.md"
START_SECONDS = 10.0


async def test_m9_the_receiver_of_the_page_verifies_and_prints(tmp_path: Path) -> None:
    program, key, port = tmp_path / "receiver.py", new_signing_key(), free_port()
    program.write_text(snippet(PAGE, "Verifying signatures", "python"))
    environment = os.environ | {"SIGNING_KEY": key, "PORT": str(port)}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(sys.executable, str(program), env=environment, stdout=pipe)
    try:
        stranger = secret(url=f"http://127.0.0.1:{port}/", key=new_signing_key())
        async with asyncio.timeout(START_SECONDS):
            while "no connection" in (said := (await failure(PRIVATE, HOOK, stranger)).words):
                assert process.returncode is None
        assert said == "it answers 401"
        async with channels(PRIVATE, HOOK, secret(url=f"http://127.0.0.1:{port}/", key=key)) as send:
            await send(MESSAGE)
            await send(MESSAGE)
    finally:
        process.terminate()
        printed, _ = await process.communicate()
    assert printed.decode() == "team-a/assistant Running é\n"


def test_m9_the_message_of_the_page_is_as_messages_are() -> None:
    shown = json.loads(snippet(PAGE, "What a message looks like", "json"))
    sent = json.loads(cloud_event(MESSAGE)[1])
    assert shown.keys() == sent.keys()
    assert shown["data"].keys() == sent["data"].keys()
    assert (shown["type"], shown["source"]) == (sent["type"], sent["source"])


def test_m9_the_example_topic_is_one() -> None:
    *_, example = yaml.safe_load_all((PAGE.parents[1] / "examples" / "notifications" / "topic.yaml").read_text())
    assert NotificationTopicSpec.model_validate(example["spec"]).channels[0].name == "hook"


@pytest.mark.parametrize("name", list(Subscribable))
def test_m9_every_subscription_is_explained(name: str) -> None:
    table = PAGE.read_text().partition("| Subscription |")[2].partition("\n\n")[0]
    assert name in table
