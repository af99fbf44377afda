"""The list of scenarios, and the three ways of following a log that most of them are run over."""

import asyncio
import contextlib

from harness import expect, same, soon, until
from waybill import events, quic, websocket
from waybill.codes import Ended, Refused
from waybill.log import Log, follow

SCENARIOS = []
WAYS = ("quic", "websocket", "sse")


def scenario(title, ways=None):
    """Notes a scenario: once, or once for each way of `ways`, which it is then given."""

    def note(function):
        if ways is None:
            SCENARIOS.append((title, function))
        for way in ways or ():
            SCENARIOS.append((f"{title}, over {way}", lambda world, way=way: function(world, way)))
        return function

    return note


class World:
    """The server, users with names of their own for each scenario, and connections that are closed after it."""

    def __init__(self, server):
        self.server = server
        self._count = 0
        self._opened = []

    async def user(self, name):
        """A new user and a token."""
        self._count += 1
        name = f"{name}{self._count}"
        return name, await self.server.token(name)

    async def open(self, way, user, token, log=None, device=""):
        """A connection; over SSE it is a tail of `log` as well. `log` is None for a new one."""
        cursor, epoch = (log.cursor, log.epoch) if log else (0, None)
        if way == "quic":
            connection = await quic.connect(self.server.quic, self.server.fingerprint, token, device)
        elif way == "websocket":
            hello = {"token": token} | ({"device": device} if device else {})
            connection = await websocket.connect(self.server.url, hello)
        else:
            # The header alone, as a browser that comes back with another `after` in its address.
            where = {"after": 0, "last_id": str(cursor)} if cursor else {"after": 0}
            connection = await events.connect(self.server.url, user, token, epoch=epoch, device=device or None, **where)
        self._opened.append(connection)
        return connection

    def opened(self, way):
        """The connections of this scenario that are over QUIC, or otherwise."""
        return [one for one in self._opened if type(one).__module__ == f"waybill.{way}"]

    @contextlib.asynccontextmanager
    async def following(self, way, user, token, connections=None, device="", haste=1.0):
        """A log that is followed while the block lasts; `connections` collects what it was followed over."""
        log = Log()

        async def connect():
            connection = await self.open(way, user, token, log, device)
            if connections is not None:
                connections.append(connection)
            return connection

        task = asyncio.create_task(follow(log, connect, haste))
        try:
            yield log
            expect(not task.done() or task.exception() is None, f"following ended: {task.done() and task.exception()!r}")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def whole_log(self, user):
        """All entries, by pulls over HTTP."""
        entries, more = [], True
        while more:
            page = await self.server.done("GET", f"/v1/users/{user}/log?after={len(entries)}&limit=1000")
            entries += page["entries"]
            more = page["more"]
        return entries

    async def end_scenario(self):
        for connection in self._opened:
            await connection.close()
        self._opened = []
        # A scenario that stopped the server may have failed before it was started again.
        if self.server.process.poll() is not None:
            self.server.start()


def text(to, said, key=None, **more):
    """A text message, with the names of `POST /v1/messages`."""
    message = {"to": {"user": to}, "contentType": 101, "content": {"text": said}, **more}
    return message | ({"clientMsgID": key} if key else {})


async def refused(waiting, name):
    """Expects a refusal with this code, and gives it."""
    try:
        found = await soon(waiting, name)
    except Refused as problem:
        same(problem.name, name, f"the refusal ({problem.message})")
        return problem
    expect(False, f"{name} was expected, and {found!r} came")
    return None


async def ends(connection, name):
    """Expects a connection to end with this code, and gives how it did."""
    ended = await soon(asyncio.shield(connection.ended), f"the end with {name}")
    expect(isinstance(ended, Ended), f"it ended with {ended!r}")
    same(ended.name, name, f"how it ended ({ended.reason})")
    return ended


__all__ = [
    "Ended", "Log", "Refused", "SCENARIOS", "WAYS", "World", "ends", "expect", "refused", "same", "scenario", "soon", "text", "until",
]
