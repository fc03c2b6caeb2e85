"""Lines of Envoy's logs as they are written, also when another file takes the log's place."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from maas_operator.gateway.access_log import Line

INTERVAL = 0.1
"""Seconds between two looks."""
AT_ONCE = 1 << 20


async def follow(path: Path) -> AsyncIterator[list[Line]]:
    """The access log's lines from now on, those of each look together; an empty list where there was nothing new. What
    is no line is passed over: counting for the bill is the shipper's business, not this."""
    async for texts in follow_texts(path, INTERVAL):
        yield [line for text in texts if (line := _line(text))]


async def follow_texts(path: Path, interval: float) -> AsyncIterator[list[bytes]]:
    """A file's whole lines from now on, without their ends, those of each look together; an empty list where there was
    nothing new. interval: seconds between two looks."""
    file: BinaryIO | None = None
    rest = b""
    first = True
    while True:
        if file is None:
            file, rest = _open(path, at_end=first), b""
            first = False
        data = file.read(AT_ONCE) if file else b""
        *whole, rest = (rest + data).split(b"\n")
        yield whole
        if file and not data and _replaced(file, path):
            file.close()
            file = None
        elif len(data) < AT_ONCE:
            await asyncio.sleep(interval)


def _open(path: Path, at_end: bool) -> BinaryIO | None:
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    if at_end:
        file.seek(0, os.SEEK_END)
    return file


def _replaced(file: BinaryIO, path: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _line(text: bytes) -> Line | None:
    try:
        return Line.model_validate_json(text)
    except ValidationError:
        return None
