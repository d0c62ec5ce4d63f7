"""How much has come, on a terminal, while a long answer is on its way in many blocks."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

from drivers.links import Link
from drivers.session import Session


@contextlib.contextmanager
def progress(session: Session, what: str) -> Iterator[None]:
    """Show on stderr, if it is a terminal, the octets that come while this lasts; gone afterwards."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
    )
    link = session.link
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(what, total=None)
        session.link = _CountingLink(link, lambda octets: shown.advance(task, octets))
        try:
            yield
        finally:
            session.link = link


class _CountingLink:
    """A link that tells how many octets of each APDU came."""

    def __init__(self, link: Link, came: Callable[[int], None]) -> None:
        self._link = link
        self._came = came
        self.client = link.client
        self.server = link.server
        self.timeout_s = link.timeout_s

    async def send(self, apdu: bytes) -> None:
        await self._link.send(apdu)

    async def receive(self) -> bytes:
        apdu = await self._link.receive()
        self._came(len(apdu))
        return apdu

    async def close(self) -> None:
        await self._link.close()
