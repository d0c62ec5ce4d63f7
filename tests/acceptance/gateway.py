"""A gateway of meters that push: takes their frames by TCP and publishes each APDU to an MQTT broker, QoS 1.

The one rule: what it took it publishes, however long the broker is away; it sends again what was not acknowledged.
"""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from drivers.dlms.wrapper import Unwrapper

TOPIC = "headend/push/gateway-1"


class Gateway:
    """`taken`: pushes of meters; `published`: those that the broker has acknowledged."""

    def __init__(self, broker_port: int) -> None:
        self.taken = self.published = 0
        self._lock = threading.Lock()
        self._client = Client(CallbackAPIVersion.VERSION2, "gateway-1", protocol=MQTTProtocolVersion.MQTTv5)
        self._client.max_queued_messages_set(0)
        self._client.max_inflight_messages_set(1000)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_publish = self._on_publish
        self._broker_port = broker_port
        self._server = _server_of(self)
        self.port: int = self._server.server_address[1]

    @contextmanager
    def open(self) -> Iterator[Gateway]:
        serving = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        serving.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            serving.join()
            self._client.disconnect()
            self._client.loop_stop()

    def connect(self) -> None:
        """Publish what it took, and what it takes: a broker keeps nothing for those who never subscribed."""
        self._client.connect("127.0.0.1", self._broker_port)
        self._client.loop_start()

    def take(self, apdu: bytes) -> None:
        with self._lock:
            self.taken += 1
        self._client.publish(TOPIC, apdu, qos=1)

    def _on_publish(self, *of: Any) -> None:
        self.published += 1


def _server_of(gateway: Gateway) -> socketserver.ThreadingTCPServer:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            frames = Unwrapper()
            while octets := self.request.recv(4096):
                frames.feed(octets)
                while (frame := frames.next()) is not None:
                    gateway.take(frame.apdu)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 512

    return Server(("127.0.0.1", 0), Handler)
