"""`python -m benchmarks.agent_process ...`: the gateway's agent, all but its watch and the ledger.

What it has seen of the cluster is made here, and on standard input come changes, one a line: {"put": MANIFEST} or
{"drop": [KIND, NAMESPACE, NAME]}. What it ships is acknowledged on the spot.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp

from benchmarks import scene
from maas_operator import logs, process
from maas_operator.api.usage import Batch, Receipt
from maas_operator.gateway import running, settings
from maas_operator.gateway.envoy.names import LOOPBACK
from maas_operator.gateway.facts import Service
from maas_operator.gateway.looking import look
from maas_operator.gateway.seeing import Changes, Seen
from maas_operator.gateway.shipping.sending import reopener
from maas_operator.gateway.shipping.shipper import Settings as Shipping
from maas_operator.gateway.shipping.shipper import Shipper
from maas_operator.gateway.signing import SigningKey
from maas_operator.gateway.traffic import Requests
from maas_operator.watch.keys import Key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("services", "keys", "engine-port"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("settings", "folder", "access-log"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    process.collect_seldom()
    logs.configure("json", "info")
    asyncio.run(run(parser.parse_args()))


async def run(chosen: argparse.Namespace) -> None:
    seen, changes = Seen(), Changes()
    for manifest in scene.world(chosen.services, chosen.keys, chosen.engine_port):
        seen.put(manifest)
    changes.complete.set()
    chosen_settings = settings.parse(chosen.settings.read_text())
    facts = look(seen, changes, scene.GATEWAY, dict)
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        admin = reopener(session, f"http://{LOOPBACK}:{chosen_settings.admin_port}")
        shipper = Shipper(Shipping("the-pod", chosen.access_log), acknowledged, admin)
        tasks.create_task(shipper.run(asyncio.Event()))
        tasks.create_task(change(seen, changes))
        tasks.create_task(
            running.run(
                chosen_settings, chosen.folder, chosen.access_log, facts, signing_keys(), nobody_sleeps, Requests()
            )
        )


async def nobody_sleeps(service: Service) -> None:
    """Never called: no service of the scene sleeps."""
    raise NotImplementedError(service.path)


async def signing_keys() -> AsyncIterator[tuple[SigningKey, ...]]:
    """One, for good."""
    yield (SigningKey(id="one", secret="s" * 32),)


async def acknowledged(batch: Batch) -> Receipt:
    batch.model_dump_json(by_alias=True)
    return Receipt(acknowledged=batch.end, counted=True)


async def change(seen: Seen, changes: Changes) -> None:
    """See what is said on standard input."""
    while line := await asyncio.to_thread(sys.stdin.readline):
        told = json.loads(line)
        for manifest in told.get("put", ()):
            seen.put(manifest)
        for key in told.get("drop", ()):
            seen.drop(Key(*key))
        changes.add_all(())


if __name__ == "__main__":
    main()
