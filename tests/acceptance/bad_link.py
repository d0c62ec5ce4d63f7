"""A link as it is in the field: it lets through so many octets a second, and breaks after so many."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

_PIECE = 256


class BadLink:
    """Passes octets on between whoever connects and a meter. `cuts`: how many connections to break, each once
    `cut_after` octets of the meter have come by it; `octets_per_s`: how fast the meter's octets come, None for at once;
    `dies`: after the first break nobody can connect any more. `port`: where it listens, any that is free by default.
    """

    def __init__(
        self,
        address: str,
        *,
        cuts: int = 0,
        cut_after: int = 0,
        octets_per_s: float | None = None,
        dies: bool = False,
        port: int = 0,
    ) -> None:
        url = urlsplit(address)
        assert url.hostname is not None
        assert url.port is not None
        self._meter = (url.hostname, url.port)
        self._cut_after = cut_after
        self._octets_per_s = octets_per_s
        self._dies = dies
        self._server = socket.create_server(("127.0.0.1", port))
        self.cuts_left = cuts
        self.connections = 0
        self.sent = 0
        """Octets to the meter."""
        self.received = 0
        """Octets of the meter."""

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self._server.getsockname()[1]}"

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connections += 1
                meter = socket.create_connection(self._meter)
                for job in (self._up, self._down):
                    threading.Thread(target=job, args=(client, meter), daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _up(self, client: socket.socket, meter: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while octets := client.recv(_PIECE):
                self.sent += len(octets)
                meter.sendall(octets)
        _hang_up(client, meter)

    def _down(self, client: socket.socket, meter: socket.socket) -> None:
        came = 0
        with contextlib.suppress(OSError):
            while octets := meter.recv(_PIECE):
                if self._octets_per_s is not None:
                    time.sleep(len(octets) / self._octets_per_s)
                came += len(octets)
                self.received += len(octets)
                if self.cuts_left and came > self._cut_after:
                    self.cuts_left -= 1
                    if self._dies:
                        self.close()
                    break
                client.sendall(octets)
        _hang_up(client, meter)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()


@contextlib.contextmanager
def bad_link(
    address: str,
    *,
    cuts: int = 0,
    cut_after: int = 0,
    octets_per_s: float | None = None,
    dies: bool = False,
    port: int = 0,
) -> Iterator[BadLink]:
    """A bad link to the meter at an address."""
    link = BadLink(address, cuts=cuts, cut_after=cut_after, octets_per_s=octets_per_s, dies=dies, port=port)
    threading.Thread(target=link.serve, daemon=True).start()
    try:
        yield link
    finally:
        link.close()
