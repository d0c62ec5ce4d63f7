"""A real Mosquitto of one test: durable, on a free port of 127.0.0.1 that it keeps when it is started again."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from paho.mqtt import publish
from paho.mqtt.client import MQTTv5

SCRIPT = Path(__file__).parent.parent / "services" / "mosquitto.sh"
LIMIT_S = 20.0


class Broker:
    """`start` and `kill` it as often as wanted; what it has on disk stays in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]

    def start(self) -> None:
        """Until it takes connections."""
        conf = self._folder / "mosquitto.conf"
        conf.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence true\n"
            f"persistence_location {self._folder}/\nautosave_interval 1\nautosave_on_changes true\n"
            "max_inflight_messages 0\nmax_queued_messages 0\n"
        )
        self._process = subprocess.Popen([SCRIPT, "run", "-c", conf], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + LIMIT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, "the broker did not start"
                assert time.monotonic() < deadline, "the broker takes no connections"
                time.sleep(0.02)

    def stop(self) -> None:
        """As a service manager does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(LIMIT_S)
            self._process = None

    def publish(self, topic: str, *payloads: bytes) -> None:
        """As a gateway does, with QoS 1; returns when the broker has them."""
        messages = [{"topic": topic, "payload": payload, "qos": 1} for payload in payloads]
        publish.multiple(messages, "127.0.0.1", self.port, protocol=MQTTv5)  # type: ignore[arg-type]
