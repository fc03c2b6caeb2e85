"""The ledger's HTTP interface."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import structlog
from aiohttp import web
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from maas_operator.api.usage import LEDGER_TOKEN_HEADER, Batch
from maas_operator.ledger import book
from maas_operator.ledger.identity import Identity, NotReviewedError, Review
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.questions import UnclearQuestionError, line, question

MAX_BATCH_BYTES = 32 * 2**20
REFUSALS: Mapping[int, type[web.HTTPException]] = {
    400: web.HTTPBadRequest,
    401: web.HTTPUnauthorized,
    403: web.HTTPForbidden,
    503: web.HTTPServiceUnavailable,
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Lines = Sequence[dict[str, str | int]]

log = structlog.get_logger()


@dataclass(frozen=True)
class Access:
    """Who may do what: `namespace` is the ledger's own, `writer` the gateway's service account in it.

    The writer alone sends batches. A service account reads its namespace's usage; one of the ledger's own reads all.
    """

    namespace: str
    writer: str

    def may_write(self, who: Identity) -> bool:
        """Whether it is the gateway."""
        return who == Identity(self.namespace, self.writer)

    def may_read(self, who: Identity, account: str | None) -> bool:
        """Whether it may see this account's usage; None: everyone's."""
        return who.namespace in {self.namespace, account}


class Ledger:
    """One process of the ledger."""

    def __init__(self, engine: Engine, review: Review, access: Access, meters: Meters) -> None:
        self._engine = engine
        self._review = review
        self._access = access
        self._meters = meters
        self._writing = ThreadPoolExecutor(1, "writing")
        """One at a time: SQLite has one writer, and a gateway's log is one stretch after the other."""

    def application(self) -> web.Application:
        """POST /v1/batches, GET /v1/usage, /healthz, /readyz."""
        app = web.Application(client_max_size=MAX_BATCH_BYTES, middlewares=[_errors])
        app.add_routes(
            [
                web.post("/v1/batches", self._batch),
                web.get("/v1/usage", self._usage),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        return app

    async def _batch(self, request: web.Request) -> web.Response:
        who = await self._who(request)
        if not self._access.may_write(who):
            raise _refusal(403, f"{_name(who)} may not send usage: only the gateway may")
        try:
            batch = Batch.model_validate_json(await request.read())
        except ValidationError as error:
            self._meters.batches.labels("malformed").inc()
            raise _refusal(400, f"the batch cannot be read: {error}") from error
        receipt = await asyncio.get_running_loop().run_in_executor(self._writing, book.record, self._engine, batch)
        if receipt.counted:
            self._meters.count(batch)
        elif receipt.acknowledged < batch.start:
            log.warning("usage before this batch is missing", batch=batch.id, acknowledged=receipt.acknowledged)
        self._meters.batches.labels("counted" if receipt.counted else "not counted again").inc()
        return web.Response(text=receipt.model_dump_json(by_alias=True), content_type="application/json")

    async def _usage(self, request: web.Request) -> web.StreamResponse:
        who = await self._who(request)
        try:
            asked = question(request.query)
        except UnclearQuestionError as error:
            raise _refusal(400, str(error)) from error
        if not self._access.may_read(who, asked.account):
            what = f"of account {asked.account}" if asked.account else "of all accounts: name yours by account="
            raise _refusal(403, f"{_name(who)} may not read the usage {what}")
        with closing(book.ask(self._engine, asked)) as lines:
            parts = _in_threads(lines)
            # an error must come before the answer's head; a default that is a tuple makes CPython 3.11's anext fail
            first = await anext(parts, None)
            answer = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
            await answer.prepare(request)
            await answer.write(_text(first or ()))
            async for part in parts:
                await answer.write(_text(part))
        return answer

    async def _who(self, request: web.Request) -> Identity:
        token = request.headers.get(LEDGER_TOKEN_HEADER, "")
        try:
            who = await self._review(token) if token else None
        except NotReviewedError as error:
            raise _refusal(503, str(error)) from error
        if who is None:
            raise _refusal(401, f"{LEDGER_TOKEN_HEADER} holds no valid token for the audience maas-ledger")
        return who

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        await asyncio.to_thread(book.answers, self._engine)
        return web.Response(text="ok\n")


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A database that fails is a 503: who sent a batch sends it again."""
    try:
        return await handler(request)
    except DBAPIError as error:
        log.error("the database failed", path=request.path, error=str(error.orig))  # noqa: TRY400 the text says it
        raise _refusal(503, f"the ledger's database failed: {error.orig}") from error


async def _in_threads(parts: Iterator[Lines]) -> AsyncIterator[Lines]:
    """The same, each asked for in a thread."""
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        yield part


def _text(part: Lines) -> bytes:
    return b"".join(line(values) for values in part)


def _name(who: Identity) -> str:
    return f"service account {who.name} of namespace {who.namespace}"


def _refusal(status: int, message: str) -> web.HTTPException:
    return REFUSALS[status](text=json.dumps({"message": message}) + "\n", content_type="application/json")
