"""A small HTTP server: /metrics, /health and /ready.

The one rule: a connection answers one request and has `DEADLINE_S` for all of it; more than `MOST` at a time are
closed at once. Whoever is slow, endless or many costs no more than that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, NamedTuple

import h11
import structlog

from headend.seeing.metrics import CONTENT_TYPE, Metrics
from headend.seeing.sight import Sight
from headend.settings import Seeing
from profiles.errors import LinkError

DEADLINE_S: Final = 5.0
MOST: Final = 32
LARGEST: Final = 8192
"""Octets of a request's head."""

log = structlog.get_logger(__name__)


class Answer(NamedTuple):
    status: HTTPStatus
    content_type: str
    body: bytes


class Pages:
    """What is served."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight
        self._metrics = Metrics(sight)
        self._open = 0

    def answer(self, method: bytes, path: bytes) -> Answer:
        """To one request."""
        if method not in (b"GET", b"HEAD"):
            return _said(HTTPStatus.METHOD_NOT_ALLOWED, ["only GET is served"])
        match path.split(b"?")[0]:
            case b"/metrics":
                return Answer(HTTPStatus.OK, CONTENT_TYPE, self._metrics.text())
            case b"/health":
                hanging = [f"{part} hangs" for part in self._sight.hanging()]
                return _said(HTTPStatus.SERVICE_UNAVAILABLE if hanging else HTTPStatus.OK, hanging)
            case b"/ready":
                reasons = self._sight.not_ready()
                return _said(HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK, reasons)
        return _said(HTTPStatus.NOT_FOUND, ["there are /metrics, /health and /ready"])

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its beginning to its end."""
        self._open += 1
        try:
            if self._open <= MOST:
                with contextlib.suppress(TimeoutError, OSError, h11.RemoteProtocolError):
                    async with asyncio.timeout(DEADLINE_S):
                        await self._converse(reader, writer)
        finally:
            self._open -= 1
            writer.transport.abort()  # the other side has it all, or has had its time

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST)
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await reader.read(LARGEST))
        if not isinstance(event, h11.Request):
            return
        status, content_type, body = self.answer(event.method, event.target)
        headers = [("Content-Type", content_type), ("Content-Length", str(len(body))), ("Connection", "close")]
        parts: list[h11.Event] = [h11.Response(status_code=status, headers=headers), h11.Data(data=body)]
        if event.method == b"HEAD":
            parts.pop()
        for part in (*parts, h11.EndOfMessage()):
            writer.write(http.send(part) or b"")
        await writer.drain()
        writer.write_eof()
        await reader.read(LARGEST)  # until the other side has it all, or the deadline


@contextlib.asynccontextmanager
async def served(settings: Seeing, sight: Sight) -> AsyncIterator[None]:
    """Serve as long as this lasts, if the settings say where. LinkError where that can't be listened at."""
    if settings.port is None:
        yield
        return
    place = f"{settings.host}:{settings.port}"
    try:
        server = await asyncio.start_server(Pages(sight).serve, settings.host, settings.port, limit=LARGEST)
    except OSError as error:
        remedy = "see seeing.host and seeing.port"
        raise LinkError(f"{place} can't be listened at: {error.strerror or error}", remedy=remedy) from None
    log.info("seeing", host=settings.host, port=server.sockets[0].getsockname()[1])
    try:
        yield
    finally:
        server.close()


def _said(status: HTTPStatus, reasons: list[str]) -> Answer:
    body = json.dumps({"ok": status == HTTPStatus.OK, "reasons": reasons}).encode() + b"\n"
    return Answer(status, "application/json", body)
