"""maas-operator fetch: weights into a folder, for the pods of services, and by hand for sites without a network."""

import asyncio
import errno
import os
import signal
import sys
from pathlib import Path

import click
import structlog
from aiohttp import web

from maas_operator import logs, serve
from maas_operator.api.fetching import PATH
from maas_operator.api.sources import read
from maas_operator.fetch.cache import Cache
from maas_operator.fetch.errors import FetchError
from maas_operator.fetch.fetching import Fetch
from maas_operator.fetch.origins import origin_of
from maas_operator.options import log_options

FAILED, STOPPED = 1, 143
READABLE_BY_ALL = 0o022
"""umask: engines run as other users than this."""

log = structlog.get_logger()


def _source(_: click.Context, __: click.Parameter, text: str) -> str:
    try:
        source = read(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if not source.fetched:
        raise click.BadParameter(f"{text} needs no fetching: it is mounted")
    return text


@click.command(context_settings={"show_default": True})
@click.argument("source", callback=_source)
@click.option(
    "--cache", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path), help="The cache's folder."
)
@click.option("--called", help="What people call the cache, in messages. Left out: its path.")
@click.option("--account", help="Keep the weights for this account: they are fetched with its credentials.")
@click.option("--offline", is_flag=True, help="Ask nobody: succeed only where the weights are there already.")
@click.option("--port", type=int, help="Tell there by HTTP how far it is. Left out: nowhere.")
@click.option(
    "--last-words", type=click.Path(dir_okay=False, path_type=Path), help="Write there why it failed, where it did."
)
@log_options
def fetch(
    source: str,
    cache: Path,
    called: str | None,
    account: str | None,
    offline: bool,
    port: int | None,
    last_words: Path | None,
    log_format: logs.Format,
    log_level: str,
) -> None:
    """Fetch SOURCE (hf://, modelscope:// or s3://, as a Model's version writes it) into a cache: once, whole and
    verified. What was cut off goes on where it ended; several at once wait for the one that was first.

    Credentials and mirrors come by the usual variables: HF_TOKEN, HF_ENDPOINT, MODELSCOPE_API_TOKEN,
    MODELSCOPE_ENDPOINT, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT_URL_S3.
    """
    logs.configure(log_format, log_level)
    os.umask(READABLE_BY_ALL)
    # All that is written can be cut off at any moment: nothing has to be ended in order.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(STOPPED))
    where = called or str(cache)
    found = read(source)
    folder = found.folder(account)
    one = Fetch(source, found, lambda: origin_of(found), Cache(cache, where), folder)
    try:
        if offline:
            one.check()
        else:
            asyncio.run(_run(one, port))
    except (FetchError, OSError) as error:
        words = _words(error, where)
        log.error("the weights could not be fetched", source=source, error=words)  # noqa: TRY400 it is for people
        if last_words:
            last_words.write_text(words)
        sys.exit(FAILED)


async def _run(one: Fetch, port: int | None) -> None:
    async def tell(_: web.Request) -> web.Response:
        return web.Response(text=one.progress.model_dump_json(by_alias=True), content_type="application/json")

    app = web.Application()
    app.add_routes([web.get(PATH, tell)])
    async with serve.served(*([(app, port)] if port else [])):
        await asyncio.to_thread(one.run)


def _words(error: Exception, where: str) -> str:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return f"{where} is full: {error.strerror}"
    return str(error) or type(error).__name__
