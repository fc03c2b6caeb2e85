"""The ledger's HTTP interface."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog
from aiohttp import web
from pydantic import ValidationError
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from maas_operator.api.billing import Facts, Interval
from maas_operator.api.events import History
from maas_operator.api.usage import LEDGER_TOKEN_HEADER, Batch
from maas_operator.ledger import bill, book, history, intervals
from maas_operator.ledger.identity import Identity, NotReviewedError, Review
from maas_operator.ledger.meters import Meters
from maas_operator.ledger.questions import (
    UnclearQuestionError,
    bill_question,
    event_line,
    event_question,
    line,
    question,
)

MAX_BATCH_BYTES = 32 * 2**20
REFUSALS: Mapping[int, type[web.HTTPException]] = {
    400: web.HTTPBadRequest,
    401: web.HTTPUnauthorized,
    403: web.HTTPForbidden,
    503: web.HTTPServiceUnavailable,
}
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Item = TypeVar("Item")

log = structlog.get_logger()


@dataclass(frozen=True)
class Access:
    """Who may do what: `namespace` is the ledger's own, `writer` the gateway's service account in it, and `operator`
    the operator's.

    The writer alone sends usage, and the operator alone events and intervals. A service account reads its namespace's
    usage, events and bill; one of the ledger's own reads all.
    """

    namespace: str
    writer: str
    operator: str

    def may_write(self, who: Identity) -> bool:
        """Whether it is the gateway."""
        return who == Identity(self.namespace, self.writer)

    def may_tell(self, who: Identity) -> bool:
        """Whether it is the operator."""
        return who == Identity(self.namespace, self.operator)

    def may_read(self, who: Identity, account: str | None) -> bool:
        """Whether it may see this account's usage, events and bill; None: everyone's."""
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
        """POST /v1/batches, GET /v1/usage, POST and GET /v1/events, POST and GET /v1/intervals, GET /v1/bill, /healthz,
        /readyz."""
        app = web.Application(client_max_size=MAX_BATCH_BYTES, middlewares=[_errors])
        app.add_routes(
            [
                web.post("/v1/batches", self._batch),
                web.get("/v1/usage", self._usage),
                web.post("/v1/events", self._happened),
                web.get("/v1/events", self._events),
                web.post("/v1/intervals", self._ran),
                web.get("/v1/intervals", self._open),
                web.get("/v1/bill", self._bill),
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
        self._check_reading(who, asked.account, "usage")
        return await _lines(request, book.ask(self._engine, asked), line)

    async def _happened(self, request: web.Request) -> web.Response:
        await self._operator(request, "events")
        try:
            sent = History.model_validate_json(await request.read())
        except ValidationError as error:
            raise _refusal(400, f"the events cannot be read: {error}") from error
        new = await asyncio.get_running_loop().run_in_executor(self._writing, history.keep, self._engine, sent)
        self._meters.events.inc(new)
        return web.json_response({"new": new})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        who = await self._who(request)
        try:
            asked = event_question(request.query)
        except UnclearQuestionError as error:
            raise _refusal(400, str(error)) from error
        self._check_reading(who, asked.account, "events")
        return await _lines(request, history.ask_events(self._engine, asked), event_line)

    async def _ran(self, request: web.Request) -> web.Response:
        await self._operator(request, "intervals")
        try:
            facts = Facts.model_validate_json(await request.read())
        except ValidationError as error:
            raise _refusal(400, f"the intervals cannot be read: {error}") from error
        loop = asyncio.get_running_loop()
        grown = await loop.run_in_executor(self._writing, intervals.record, self._engine, facts)
        for each, costs in await asyncio.to_thread(bill.costs, self._engine, grown):
            self._meters.ran(each.interval, each.end - each.start, costs)
        return web.json_response({"grown": len(grown)})

    async def _open(self, request: web.Request) -> web.StreamResponse:
        await self._operator(request, "intervals")
        return await _lines(request, intervals.open_intervals(self._engine), _interval_line)

    async def _bill(self, request: web.Request) -> web.Response:
        who = await self._who(request)
        try:
            asked = bill_question(request.query, datetime.now(UTC))
        except UnclearQuestionError as error:
            raise _refusal(400, str(error)) from error
        self._check_reading(who, asked.account, "bill")
        made = await asyncio.to_thread(bill.bill, self._engine, asked)
        return web.Response(text=made.model_dump_json(by_alias=True), content_type="application/json")

    async def prune_now_and_then(self) -> None:
        """Remove what is older than a month, now and every PRUNE_SECONDS. A database that fails is asked again."""
        while True:
            try:
                gone = await asyncio.get_running_loop().run_in_executor(self._writing, history.prune, self._engine)
                log.debug("old events were removed", events=gone)
            except SQLAlchemyError as error:
                log.warning("old events could not be removed", error=_words(error))
            await asyncio.sleep(history.PRUNE_SECONDS)

    async def _operator(self, request: web.Request, what: str) -> None:
        """Refuse everyone else."""
        who = await self._who(request)
        if not self._access.may_tell(who):
            raise _refusal(403, f"{_name(who)} may not send {what}: only the operator may")

    def _check_reading(self, who: Identity, account: str | None, what: str) -> None:
        if not self._access.may_read(who, account):
            whose = f"of account {account}" if account else "of all accounts: name yours by account="
            raise _refusal(403, f"{_name(who)} may not read the {what} {whose}")

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
    """A database that fails, or has no connection left, is a 503: who sent a batch sends it again."""
    try:
        return await handler(request)
    except SQLAlchemyError as error:
        log.error("the database failed", path=request.path, error=_words(error))  # noqa: TRY400 the text says it
        raise _refusal(503, f"the ledger's database failed: {_words(error)}") from error


def _words(error: SQLAlchemyError) -> str:
    """The driver's own, where it is the driver's error: SQLAlchemy's repeat the statement and what is in it."""
    return str(error.orig) if isinstance(error, DBAPIError) else str(error)


async def _lines(
    request: web.Request, found: Generator[Sequence[Item]], shown: Callable[[Item], bytes]
) -> web.StreamResponse:
    """An answer of JSON lines."""
    with closing(found) as lines:
        parts = _in_threads(lines)
        # an error must come before the answer's head; a default that is a tuple makes CPython 3.11's anext fail
        first = await anext(parts, None)
        answer = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await answer.prepare(request)
        await answer.write(b"".join(map(shown, first or ())))
        async for part in parts:
            await answer.write(b"".join(map(shown, part)))
    return answer


async def _in_threads(parts: Iterator[Sequence[Item]]) -> AsyncIterator[Sequence[Item]]:
    """The same, each asked for in a thread."""
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        yield part


def _interval_line(interval: Interval) -> bytes:
    return interval.model_dump_json(by_alias=True).encode() + b"\n"


def _name(who: Identity) -> str:
    return f"service account {who.name} of namespace {who.namespace}"


def _refusal(status: int, message: str) -> web.HTTPException:
    return REFUSALS[status](text=json.dumps({"message": message}) + "\n", content_type="application/json")
