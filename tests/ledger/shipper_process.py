"""A shipper in a process: python -m tests.ledger.shipper_process LOG LEDGER TOKEN_FILE ADMIN ROTATE_SIZE KEPT.

What it removes goes into the folder KEPT instead, so that the test can add it up for itself.
"""

import asyncio
import shutil
import signal
import sys
from pathlib import Path

import aiohttp

from maas_operator.gateway.shipping.sending import reopener, sender
from maas_operator.gateway.shipping.shipper import Settings, Shipper


async def main(log: str, ledger: str, token_file: str, admin: str, rotate_size: str, kept: str) -> None:
    if kept:
        Path.unlink = lambda path, missing_ok=False: shutil.move(path, Path(kept) / path.name)  # type: ignore
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    settings = Settings(
        "pod", Path(log), interval=0.1, batch_size=64 * 1024, rotate_size=int(rotate_size), longest_pause=0.5
    )
    async with aiohttp.ClientSession() as session:
        shipper = Shipper(settings, sender(session, ledger, Path(token_file)), reopener(session, admin))
        await shipper.run(stopping)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
