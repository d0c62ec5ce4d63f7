"""Pushes that gateways and network interfaces publish to an MQTT 5 broker, by a subscription that nodes share.

The payload is an APDU in any framing. The one rule: a message is acknowledged (QoS 1) when its push is durable, or
refused; the broker keeps what is not acknowledged for our client id, and sends it again when we come back.

paho runs in a thread of its own; all else here in the event loop's.
"""

from __future__ import annotations

import asyncio
import contextlib
import platform
import ssl
from collections.abc import AsyncIterator
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from drivers.push import Arrival, PushReceiver
from headend.push.arrivals import Arrivals
from headend.settings import Push
from profiles.errors import HeadEndError, ProtocolError, SecurityError, SettingsError

KEEPALIVE_S: Final = 30
FIRST_WAIT_S: Final = 1
LONGEST_WAIT_S: Final = 30
LARGEST: Final = 1 << 20
"""Octets of a message."""
AGAIN_S: Final = 5.0
STOP_S: Final = 5.0
"""The longest that the end may wait for what came already."""

log = structlog.get_logger(__name__)


class Subscriber:
    """One connection to the broker, which comes back by itself. `connected` and `messages` are for people."""

    def __init__(self, settings: Push, arrivals: Arrivals) -> None:
        self.connected = False
        self.messages = 0
        self._settings = settings
        self._arrivals = arrivals
        self._loop = asyncio.get_running_loop()
        self._handled: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._connection = 0
        """Counts them: an acknowledgement is for the connection by which its message came."""
        self._client = _client(settings)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect, and again whenever the connection is lost."""
        settings = self._settings
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = settings.mqtt_session_s
        properties.ReceiveMaximum = settings.mqtt_in_flight
        properties.MaximumPacketSize = LARGEST
        self._client.connect_async(
            settings.mqtt_host, settings.mqtt_port, KEEPALIVE_S, clean_start=False, properties=properties
        )
        self._client.loop_start()

    async def stop(self) -> None:
        """Take no more, and see off what came already. What is not acknowledged by then comes again."""
        self._stopping = True
        if self._handled:
            await asyncio.wait(self._handled, timeout=STOP_S)
        self._client.disconnect()
        await self._loop.run_in_executor(None, self._client.loop_stop)
        for task in list(self._handled):
            task.cancel()
        await asyncio.gather(*self._handled, return_exceptions=True)

    # -- paho's thread -----------------------------------------------------------------------------------------

    def _on_connect(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.error("broker_refuses", host=self._settings.mqtt_host, reason=str(reason))
            return
        group = self._settings.mqtt_group
        options = SubscribeOptions(qos=1)
        for topic in self._settings.mqtt_topics:
            client.subscribe(f"$share/{group}/{topic}" if group else topic, options=options)
        self._loop.call_soon_threadsafe(self._connected, flags.session_present)

    def _on_connect_fail(self, client: Client, _: Any) -> None:
        log.warning("broker_away", host=self._settings.mqtt_host, port=self._settings.mqtt_port)

    def _on_disconnect(
        self, client: Client, _: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._disconnected, str(reason))

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._arrived, message)

    # -- the event loop's --------------------------------------------------------------------------------------

    def _connected(self, session_present: bool) -> None:
        self.connected = True
        log.info("broker_connected", host=self._settings.mqtt_host, session_kept=session_present)

    def _disconnected(self, reason: str) -> None:
        self._connection += 1
        if self.connected:
            log.warning("broker_lost", host=self._settings.mqtt_host, reason=reason)
        self.connected = False

    def _arrived(self, message: MQTTMessage) -> None:
        if self._stopping:
            return  # not acknowledged: it comes again
        self.messages += 1
        task = self._loop.create_task(self._handle(message, self._connection))
        self._handled.add(task)
        task.add_done_callback(self._handled.discard)

    async def _handle(self, message: MQTTMessage, connection: int) -> None:
        peer = _printable(message.topic)
        try:
            for arrival in self._opened(bytes(message.payload), peer):
                await self._take(arrival)
        except ProtocolError as error:
            self._arrivals.refuse(error, peer)
        if connection == self._connection:
            self._client.ack(message.mid, message.qos)

    def _opened(self, payload: bytes, peer: str) -> list[Arrival]:
        receiver = PushReceiver(peer, datagrams=True)
        receiver.feed(payload)
        arrivals = []
        while (arrival := receiver.next()) is not None:
            arrivals.append(arrival)
        if receiver.incomplete:
            raise ProtocolError("a message that ends within a push")
        return arrivals

    async def _take(self, arrival: Arrival) -> None:
        """Until it is durable or refused; nobody sends it again while we are connected."""
        while True:
            try:
                await self._arrivals.take(arrival, durable=True)
                return
            except (SecurityError, ProtocolError):
                return  # counted and told
            except HeadEndError as error:
                log.warning("push_waits", peer=arrival.peer, again_in_s=AGAIN_S, reason=error.message)
            await asyncio.sleep(AGAIN_S)


@contextlib.asynccontextmanager
async def subscribed(settings: Push, arrivals: Arrivals) -> AsyncIterator[Subscriber]:
    """Take pushes from the broker as long as this lasts. SettingsError for files that can't be read."""
    subscriber = Subscriber(settings, arrivals)
    subscriber.start()
    try:
        yield subscriber
    finally:
        await subscriber.stop()


def _client(settings: Push) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=settings.mqtt_client_id or f"headend-{platform.node()}",
        protocol=MQTTProtocolVersion.MQTTv5,
        manual_ack=True,
    )
    client.reconnect_delay_set(FIRST_WAIT_S, LONGEST_WAIT_S)
    if settings.mqtt_username:
        client.username_pw_set(settings.mqtt_username, settings.mqtt_password.get_secret_value() or None)
    if settings.mqtt_tls:
        client.tls_set_context(_tls(settings))
    return client


def _tls(settings: Push) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.mqtt_ca_file)
        if settings.mqtt_certificate_file is not None:
            context.load_cert_chain(settings.mqtt_certificate_file, settings.mqtt_key_file)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"push.mqtt_tls: {getattr(error, 'strerror', None) or error}",
            remedy="see push.mqtt_ca_file, push.mqtt_certificate_file and push.mqtt_key_file",
        ) from None
    return context


def _printable(topic: str) -> str:
    return topic if topic.isprintable() and len(topic) <= 200 else ascii(topic[:100])
