"""The protocol over QUIC: docs/protocol.md, sections 2 to 11."""

import asyncio
import hashlib
import json
import ssl

from aioquic.asyncio import QuicConnectionProtocol
from aioquic.quic import events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from cryptography.hazmat.primitives.serialization import Encoding

from . import entries, wire
from .codes import Ended, Refused, name_of
from .session import Session

ALPN = "waybill/1"
CONTROL = 0
EARLY_PULL, ONLINE = 1, 2
# A client behind an address translator is heard at least every 20 seconds or so.
PING_SECONDS = 15
# Time until a welcome, as long as a server gives a client for its hello.
WELCOME_SECONDS = 5


class Connection(Session, QuicConnectionProtocol):
    """A connection that has been welcomed, or is about to be."""

    def __init__(self, quic, fingerprint, hello, early=()):
        Session.__init__(self)
        QuicConnectionProtocol.__init__(self, quic)
        self._fingerprint, self._hello = fingerprint, hello
        # Each stream of the server is one tail; the first is the control stream.
        self._streams = {}
        self._tails = {}
        self._pinging = None
        self._dropped = False
        self.welcome = self._loop.create_future()
        self.resumed = self.early_data_accepted = None
        # Requests that go out as early data: their frames, and the answers to them in order.
        self._early = early
        self.early_answers = []

    def start_early(self):
        """Says hello and the early requests, before the first packet leaves."""
        self._say("Hello", self._hello)
        self.early_answers = [self._begin(name, **fields) for name, fields in self._early]
    # What a client asks for.

    async def pull(self, after, limit=1000, user=""):
        return await self._ask("Pull", user=user, after=after, limit=limit)

    async def tail(self, after, epoch=None, user=""):
        """The pages of a log after a place, now and as they come. A log of another epoch cannot be gone on with."""
        welcome = await asyncio.shield(self.welcome)
        if epoch not in (None, welcome["epoch"]):
            raise Refused("OTHER_EPOCH", "the server has another history")
        return await self._ask_stream("Tail", user=user, after=after)

    def end_tail(self, tail):
        """Wants no more of a tail."""
        self._quic.stop_stream(self._tails.pop(tail.request), 0)
        self.transmit()

    async def send(self, message):
        return await self._ask("Send", message=message_out(message))

    async def send_batch(self, messages):
        return await self._ask("SendBatch", messages=[message_out(message) for message in messages])

    async def acknowledge(self, seq):
        return (await self._ask("Acknowledge", seq=seq))["seq"]

    async def watch(self, users):
        return await self._ask_stream("WatchPresence", users=users)

    def poke(self):
        """Sends a packet, for an answer of whatever kind."""
        if not self.ended.done():
            self._quic.send_ping(0)
            self.transmit()

    async def bye(self):
        """Ends it in good order, and says how it ended."""
        self.write(wire.encode("Bye", {"code": 0, "retry_after": 0, "reason": ""}))
        return await self.ended

    async def close(self):
        """Ends it at once."""
        self._stop_pinging()
        if not self.ended.done():
            QuicConnectionProtocol.close(self)
            self._is_over(Ended(None, "closed here"))
        self.drop()

    def drop(self, reason="dropped here"):
        """Breaks it as a lost network does: nothing is said, and nothing more is heard."""
        self._stop_pinging()
        self._dropped = True
        self._transport.abort()
        if self._timer:
            self._timer.cancel()
        self._is_over(Ended(None, reason))

    def transmit(self):
        if not self._dropped:
            super().transmit()

    async def move(self):
        """Goes on from another address, as a phone does that leaves a network."""
        old = self._transport
        await self._loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        old.abort()
        self.change_connection_id()

    def write(self, data):
        """Bytes onto the control stream. What is written in one step goes in one packet where it fits."""
        self._quic.send_stream_data(CONTROL, data)
        self._transmit_soon()

    def connection_lost(self, problem):
        """An old socket after a move, or the only one after the end: either way it was closed here."""

    def _say(self, name, fields):
        self.write(wire.encode(name, fields))

    # What comes.

    def datagram_received(self, data, address):
        """A stateless reset looks like any packet, but for its last 16 bytes (RFC 9000, section 10.3). aioquic knows none."""
        known = [self._quic._peer_cid, *self._quic._peer_cid_available]
        if len(data) >= 21 and data[-16:] in [one.stateless_reset_token for one in known]:
            self.drop("the server knows nothing of this connection")
        else:
            super().datagram_received(data, address)

    def quic_event_received(self, event):
        try:
            self._take(event)
        except wire.Malformed as problem:
            QuicConnectionProtocol.close(self, 100, str(problem))
            self._is_over(Ended("MALFORMED_FRAME", str(problem)))

    def _take(self, event):
        if isinstance(event, events.HandshakeCompleted):
            self._recognise(event)
        elif isinstance(event, events.StreamDataReceived):
            stream = self._streams.setdefault(event.stream_id, wire.Stream())
            for name, value in stream.feed(event.data):
                self._frame(name, value, event.stream_id)
        elif isinstance(event, events.DatagramFrameReceived):
            frame = wire.decode(event.data) if event.data else None
            if frame:
                self._frame(*frame, None)
        elif isinstance(event, events.ConnectionTerminated):
            self._stop_pinging()
            bye = self._bye or {"code": event.error_code, "retry_after": 0, "reason": event.reason_phrase}
            # An error of the transport (it has a frame type) has a code of its own and none of ours.
            name = None if event.frame_type is not None else name_of(bye["code"])
            ended = Ended(name, bye["reason"], bye["retry_after"], self._bye is not None)
            ended.transport_error = event.error_code if name is None else None
            self._is_over(ended)
            if not self.welcome.done():
                self.welcome.set_exception(self.ended.result())
                # Nobody may be waiting for it.
                self.welcome.exception()

    def _recognise(self, event):
        """Only to the server that holds the pinned certificate is the token told."""
        self.resumed, self.early_data_accepted = event.session_resumed, event.early_data_accepted
        if not event.session_resumed:
            certificate = self._quic.tls._peer_certificate.public_bytes(Encoding.DER)
            if hashlib.sha256(certificate).hexdigest() != self._fingerprint:
                QuicConnectionProtocol.close(self, 0, "not the pinned certificate")
                self.welcome.set_exception(ssl.SSLError("the certificate is not the pinned one"))
                return
            # What was said early and rejected is said again by the library.
            if self._hello and not self.early_answers:
                self._say("Hello", self._hello)
        self._pinging = self._loop.create_task(self._ping())

    async def _ping(self):
        while True:
            await asyncio.sleep(PING_SECONDS)
            await self.ping()

    def _stop_pinging(self):
        if self._pinging:
            self._pinging.cancel()

    def _frame(self, name, value, stream):
        if name == "Welcome":
            self.welcome.set_result(value)
        elif name == "TailOpened":
            self._tails[value["request"]] = stream
            self._answered(value["request"], value)
        elif name == "Page":
            self._came(value["request"], entries.page(value))
        elif name == "Sent":
            self._answered(value["request"], sent(value["sent"]))
        elif name == "BatchSent":
            answers = [sent(one) if which == "sent" else refusal(one) for which, one in value["answers"]]
            self._answered(value["request"], answers)
        elif name == "Acknowledged":
            self._answered(value["request"], value)
        elif name == "Presence":
            self._came(value["request"], value["users"])
        elif name == "Online":
            self.online.put({"time": value["time"]} | entries.message(value["message"]) | {"datagram": stream is None})
        elif name == "Bye":
            self._bye = value
        elif name == "Refused" and value["request"] == 0:
            self.welcome.set_exception(refusal(value["failure"]))
        elif name == "Refused":
            self._answered(value["request"], refusal(value["failure"]))


def refusal(failure):
    return Refused(name_of(failure["code"]), failure["message"], failure["retryable"], failure["retry_after"])


def sent(value):
    """The names of JSON."""
    return {
        "serverMsgID": value["server_message_id"], "clientMsgID": value["client_message_id"], "time": value["time"],
        "seq": value["seq"], "repeated": value["repeated"],
    }


def message_out(message):
    """A message with the names of `POST /v1/messages`, as its frame has it."""
    off = {name for name, on in message.get("options", {}).items() if not on}
    return {
        "sender": message.get("sender", ""),
        "receiver": message["to"]["user"],
        "conversation_kind": 0,
        "content_type": message["contentType"],
        "client_message_id": message.get("clientMsgID", ""),
        "key": "",
        "operation_id": message.get("operationID", ""),
        "sender_nickname": message.get("senderNickname", ""),
        "sender_face_url": message.get("senderFaceURL", ""),
        "sender_platform": message.get("senderPlatformID", 0),
        "options_off": sum(bit for bit, name in entries.OPTIONS.items() if name in off),
        "created": message.get("createTime"),
        "offline_push": message.get("offlinePush"),
        "content": json.dumps(message["content"]).encode(),
    }


async def connect(
    address, fingerprint, token, device="", platform=0, session=None, early=(), hello=True, alpn=ALPN, kept=None, kind=Connection
):
    """Opens a connection and waits for the welcome.

    `kept` is called with each TLS session that the server gives; with one of those as `session`, the hello and the requests `early`
    (pairs of name and fields) go out in the first packets. For tests: without `hello` nothing is said, and nothing is waited
    for but the handshake; `kind` is another class of connection.
    """
    configuration = QuicConfiguration(
        alpn_protocols=[alpn], verify_mode=ssl.CERT_NONE, idle_timeout=30.0, max_datagram_frame_size=65536, session_ticket=session,
        server_name="localhost",
    )
    said = None
    if hello:
        said = {
            "token": token, "device": device, "device_name": "", "platform": platform, "software": "python-client/1",
            "capabilities": ONLINE,
        }
    quic = QuicConnection(configuration=configuration, session_ticket_handler=kept)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_datagram_endpoint(lambda: kind(quic, fingerprint, said, early), local_addr=("127.0.0.1", 0))
    try:
        connection.connect(address, transmit=session is None)
        if session:
            connection.start_early()
        async with asyncio.timeout(WELCOME_SECONDS):
            await (asyncio.shield(connection.welcome) if hello else connection.wait_connected())
    except TimeoutError:
        await connection.close()
        raise Ended(None, "no welcome in time") from None
    except BaseException:
        await connection.close()
        raise
    return connection
