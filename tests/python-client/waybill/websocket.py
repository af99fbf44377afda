"""The protocol over WebSocket: docs/protocol.md, section 14."""

import asyncio
import json

from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .codes import Ended, Refused, name_of
from .events import problem_of
from .session import Session

SUBPROTOCOL = "waybill.v1+json"
ANSWERS = ("sent", "batchSent", "acknowledged", "tailOpened", "tailEnded", "pong")
# Close codes of the server, but for 1000, are its own codes and this.
CLOSE = 4000


class Connection(Session):
    """A connection that has been welcomed, or is about to be."""

    def __init__(self, socket):
        super().__init__()
        self._socket = socket
        self.welcome = asyncio.get_running_loop().create_future()
        self._outgoing = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    async def pull(self, after, limit=1000, user="", **more):
        return await self._ask("pull", user=user, after=after, limit=limit, **more)

    async def tail(self, after, epoch=None, user=""):
        """The pages of a log after a place, now and as they come."""
        return await self._ask_stream("tail", user=user, after=after, **({"epoch": epoch} if epoch else {}))

    async def end_tail(self, tail):
        """Wants no more of a tail."""
        await self._ask("endTail", request=tail.request)
        self._incoming.pop(tail.request).fail(None)

    async def send(self, message):
        return sent(await self._ask("send", message=message))

    async def send_batch(self, messages):
        answers = (await self._ask("sendBatch", messages=messages))["answers"]
        return [refusal(one) if "code" in one else sent(one) for one in answers]

    async def acknowledge(self, seq):
        return (await self._ask("acknowledge", seq=seq))["seq"]

    async def watch(self, users):
        return await self._ask_stream("watch", users=users)

    async def ping(self):
        await self._ask("ping")

    async def bye(self):
        """Ends it in good order, and says how it ended."""
        self._say("bye", {})
        return await self.ended

    async def close(self):
        """Ends it at once."""
        self._stop()
        await self._socket.close()
        self._is_over(Ended(None, "closed here"))

    def drop(self):
        """Breaks it as a lost network does."""
        self._stop()
        self._socket.transport.abort()
        self._is_over(Ended(None, "dropped here"))

    def _stop(self):
        for task in self._tasks:
            task.cancel()

    def say(self, text):
        """A message as it is."""
        self._outgoing.put_nowait(text)

    def _say(self, name, fields):
        self.say(json.dumps({"frame": name, **fields}))

    async def _write(self):
        try:
            while True:
                await self._socket.send(await self._outgoing.get())
        except ConnectionClosed:
            pass

    async def _read(self):
        try:
            async for text in self._socket:
                self._frame(json.loads(text))
        except ConnectionClosed:
            pass
        self._tasks[1].cancel()
        code = self._socket.close_code
        bye = self._bye or {"reason": self._socket.close_reason or "", "retryAfterMs": 0}
        name = None
        if self._bye:
            name = bye["name"]
            # What the WebSocket is closed with says the same.
            wanted = 1000 if bye["code"] == 0 else CLOSE + bye["code"]
            if code != wanted:
                name = f"{name}, closed with {code}"
        elif code and code >= CLOSE:
            name = name_of(code - CLOSE)
        self._is_over(Ended(name, bye["reason"], bye["retryAfterMs"], self._bye is not None))
        if not self.welcome.done():
            self.welcome.set_exception(self.ended.result())
            # Nobody may be waiting for it.
            self.welcome.exception()

    def _frame(self, frame):
        name = frame["frame"]
        if name == "welcome":
            self.welcome.set_result(frame)
        elif name == "page":
            self._came(frame["request"], frame)
        elif name == "presence":
            self._came(frame["request"], frame["users"])
        elif name in ANSWERS:
            self._answered(frame["request"], frame)
        elif name == "online":
            self.online.put(frame["message"])
        elif name == "bye":
            self._bye = frame
        elif name == "refused" and frame["request"] == 0:
            self.welcome.set_exception(refusal(frame))
        elif name == "refused":
            self._answered(frame["request"], refusal(frame))


def refusal(frame):
    more = {name: frame[name] for name in ("pointer", "floor", "head", "epoch") if name in frame}
    # The number and the name say the same.
    name = frame["name"] if name_of(frame["code"]) == frame["name"] else f"{frame['code']} is {frame['name']}"
    return Refused(name, frame["message"], frame["retryable"], frame["retryAfterMs"], **more)


def sent(frame):
    """One receiver, and no list."""
    shown = {name: frame[name] for name in ("serverMsgID", "clientMsgID", "time", "repeated", "connections") if name in frame}
    return shown | {"seq": frame["receivers"][0].get("seq") if frame["receivers"] else None}


async def connect(url, hello=None, ticket=None, subprotocol=SUBPROTOCOL, origin=None):
    """Opens a connection and waits for the welcome. `hello` has the fields of the frame; with None nothing is said, for tests.

    A `ticket` here stands in the address. What is refused before there is a WebSocket is a `Refused` of its problem.
    """
    address = f"ws{url.removeprefix('http')}/v1/socket" + (f"?ticket={ticket}" if ticket else "")
    try:
        socket = await open_socket(
            address, subprotocols=[subprotocol] if subprotocol else None, origin=origin, max_size=1 << 22, compression=None,
            proxy=None, open_timeout=10,
        )
    except InvalidStatus as answer:
        response = answer.response
        raise problem_of(response.status_code, response.body, response.headers.get("Retry-After")) from answer
    connection = Connection(socket)
    if hello is None:
        return connection
    connection._say("hello", hello)
    try:
        await asyncio.shield(connection.welcome)
    except BaseException:
        # A refusal is followed by a bye, and that by the end.
        if isinstance(connection.welcome.exception(), Refused):
            ended = await asyncio.wait_for(connection.ended, 10)
            connection.welcome.exception().more["ended"] = ended
        await connection.close()
        raise
    return connection
