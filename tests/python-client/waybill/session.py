"""What QUIC and WebSocket share: requests with numbers, their answers in any order, tails, and the end."""

import asyncio

from .codes import Ended, Refused


class Incoming:
    """What comes under the number of one request, again and again: the pages of a tail, or changes of presence."""

    def __init__(self):
        self._queue = asyncio.Queue()
        self._problem = None
        # The first answer, and whether it has come: what has the number after that is one of these.
        self.opened, self.began = None, False

    def put(self, value):
        self._queue.put_nowait(value)

    def fail(self, problem):
        """Nothing follows what is in the queue; `problem` is None when nothing is wrong."""
        self._queue.put_nowait(problem or StopAsyncIteration())

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._problem:
            raise self._problem
        value = await self._queue.get()
        if isinstance(value, Exception):
            self._problem = value
            raise value
        return value


class Session:
    """Requests without an answer, and what has come. `_say(name, fields)` is for the transport."""

    def __init__(self):
        self._last = 0
        self._waiting = {}
        self._incoming = {}
        self._bye = None
        self.online = Incoming()
        self.ended = asyncio.get_running_loop().create_future()

    def _begin(self, name, request=None, **fields):
        """Sends a request: what its answer will be. With a number given, it is about the request of that number."""
        if self.ended.done():
            raise self.ended.result()
        if request is None:
            self._last += 1
            request = self._last
        answer = asyncio.get_running_loop().create_future()
        self._waiting[request] = answer
        self._say(name, {"request": request, **fields})
        return answer

    async def _ask(self, name, **fields):
        """Sends a request and waits for its answer."""
        return await self._begin(name, **fields)

    async def _ask_stream(self, name, **fields):
        """Sends a request that is answered again and again: what comes, after its first answer."""
        incoming = Incoming()
        # Under the number that the request takes, before anything can come.
        self._incoming[self._last + 1] = incoming
        incoming.request = self._last + 1
        try:
            incoming.opened = await self._ask(name, **fields)
        except BaseException:
            self._incoming.pop(incoming.request, None)
            raise
        return incoming

    def _answered(self, request, value):
        """The answer to a request, or a problem with it."""
        waiting = self._waiting.pop(request, None)
        if waiting and request in self._incoming:
            self._incoming[request].began = True
        if waiting and not waiting.done():
            if isinstance(value, Exception):
                waiting.set_exception(value)
            else:
                waiting.set_result(value)
        elif isinstance(value, Refused) and request in self._incoming:
            self._incoming.pop(request).fail(value)

    def _came(self, request, value):
        """Something under the number of a tail or a watch that has begun; else the answer to a request."""
        incoming = self._incoming.get(request)
        if incoming and incoming.began:
            incoming.put(value)
        else:
            self._answered(request, value)

    def _is_over(self, ended):
        """The connection is gone: so is all that waits."""
        if self.ended.done():
            return
        self.ended.set_result(ended)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Ended(ended.name, ended.reason, ended.retry_after, ended.said_bye))
        for incoming in (*self._incoming.values(), self.online):
            incoming.fail(ended)
        self._waiting.clear()
