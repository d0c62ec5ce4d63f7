"""A link as it is in the field: it lets through so many octets a second, breaks after so many, or falls silent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_PIECE = 256


@dataclass
class BadLink:
    """Passes octets on between whoever connects and the meter at `meter`, an address. `cuts`: how many connections to
    break, each once `cut_after` octets of the meter have come by it; `octets_per_s`: how fast the meter's octets come,
    None for at once; `longest`: so many octets of one answer come, the rest of it is lost; `dies`: after the first
    break nobody can connect any more. `port`: where it listens, any that is free by default.
    """

    meter: str
    cuts: int = 0
    cut_after: int = 0
    octets_per_s: float | None = None
    longest: int | None = None
    dies: bool = False
    port: int = 0
    connections: int = 0
    sent: int = 0
    """Octets to the meter."""
    received: int = 0
    """Octets of the meter."""
    silent: threading.Event = field(default_factory=threading.Event)
    """Once set, nothing of the meter comes any more, though the connection stands."""

    def __post_init__(self) -> None:
        url = urlsplit(self.meter)
        assert url.port is not None
        self._place = (url.hostname, url.port)
        self._of_answer = 0
        self._server = socket.create_server(("127.0.0.1", self.port))

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self._server.getsockname()[1]}"

    def __enter__(self) -> BadLink:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self.connections += 1
                meter = socket.create_connection(self._place)
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
                self._of_answer = 0
                meter.sendall(octets)
        _hang_up(client, meter)

    def _down(self, client: socket.socket, meter: socket.socket) -> None:
        came = 0
        with contextlib.suppress(OSError):
            while octets := meter.recv(_PIECE):
                if self.octets_per_s is not None:
                    time.sleep(len(octets) / self.octets_per_s)
                came += len(octets)
                self.received += len(octets)
                self._of_answer += len(octets)
                if self.cuts and came > self.cut_after:
                    self.cuts -= 1
                    if self.dies:
                        self.close()
                    break
                lost = self.longest is not None and self._of_answer > self.longest
                if not (lost or self.silent.is_set()):
                    client.sendall(octets)
        _hang_up(client, meter)


def _hang_up(*ends: socket.socket) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
