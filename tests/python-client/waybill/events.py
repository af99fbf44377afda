"""A log as a stream of server-sent events: docs/protocol.md, section 15. Over HTTP/1.1 of Python's own library, in a thread."""

import asyncio
import http.client
import json
import socket
import threading
import urllib.parse

from .codes import Ended, Refused
from .session import Incoming


def problem_of(status, body, retry_after=None):
    """A problem of RFC 9457, by the last part of its type, as the codes are named elsewhere. `retry_after` is the header, in
    seconds: who is told to wait may come again.
    """
    try:
        problem = json.loads(body)
    except (TypeError, ValueError):
        return Refused(f"HTTP {status}", "no problem was told")
    slug = problem["type"].rsplit(":", 1)[-1]
    more = {name: problem[name] for name in ("floor", "head", "epoch") if name in problem}
    wait = int(retry_after or 0) * 1000
    return Refused(slug.upper().replace("-", "_"), problem.get("detail", ""), wait > 0, wait, status=status, **more)


def parse(lines):
    """Events from lines, as the HTML standard has it: pairs of event and data, with the id that holds then."""
    event, data, last_id = "", [], None
    for line in lines:
        line = line.rstrip("\r\n")
        if not line:
            if data:
                yield {"event": event or "message", "data": "\n".join(data), "id": last_id}
            event, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            event = value
        elif field == "data":
            data.append(value)
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "retry":
            yield {"event": "", "retry": int(value)}


class Stream:
    """One stream, from its welcome on."""

    def __init__(self, connection, answer):
        self._connection, self._answer, self._socket = connection, answer, connection.sock
        self.loop = asyncio.get_running_loop()
        self.online, self._pages = Incoming(), Incoming()
        self.ended, self.welcome = self.loop.create_future(), self.loop.create_future()
        # As a browser keeps it, for `Last-Event-ID`.
        self.last_id = self.retry = None
        threading.Thread(target=self._read, daemon=True).start()

    async def tail(self, *_):
        """Its pages, of one entry each. Where they begin was said when it was opened."""
        return self._pages

    async def close(self):
        self.drop()

    def drop(self):
        """Breaks it."""
        self._over(Ended(None, "dropped here"))
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _read(self):
        reason = "the stream has ended"
        try:
            lines = iter(lambda: self._answer.readline().decode(), "")
            for event in parse(lines):
                self._tell(self._take, event)
        except (OSError, ValueError, AttributeError, http.client.HTTPException) as problem:
            reason = repr(problem)  # AttributeError: what Python's library says of an answer that was closed meanwhile.
        self._tell(self._over, Ended(None, reason))

    def _tell(self, function, value):
        try:
            self.loop.call_soon_threadsafe(function, value)
        except RuntimeError:
            pass  # The loop has ended before the stream.

    def _take(self, event):
        name = event["event"]
        if self.ended.done():
            return
        if name == "":
            self.retry = event["retry"]
            return
        data = json.loads(event["data"])
        if name == "welcome":
            self.welcome.set_result(data)
        elif name == "entry":
            assert event["id"] == str(data["seq"])
            self.last_id = event["id"]
            self._pages.put({"epoch": self.welcome.result()["epoch"], "entries": [data]})
        elif name == "online":
            self.online.put(data)
        elif name == "refused":
            self._over(problem_of(data.get("status"), event["data"]))
        elif name == "bye":
            self._over(Ended(data["name"], data["reason"], data["retryAfterMs"], said_bye=True))

    def _over(self, problem):
        if self.ended.done():
            return
        self.ended.set_result(problem)
        if not self.welcome.done():
            self.welcome.set_exception(problem)
            self.welcome.exception()
        self._pages.fail(problem)
        self.online.fail(problem)


async def connect(url, user, token=None, ticket=None, after=None, epoch=None, device=None, last_id=None, origin=None):
    """Opens a stream and waits for its welcome; a `Refused` when there is none."""
    asked = {"after": after, "epoch": epoch, "device": device, "ticket": ticket}
    query = urllib.parse.urlencode({name: value for name, value in asked.items() if value is not None})
    headers = {"Accept": "text/event-stream"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    if origin:
        headers["Origin"] = origin

    def open_it():
        connection = http.client.HTTPConnection(urllib.parse.urlsplit(url).netloc, timeout=60)
        connection.connect()
        # The connection forgets its socket when the server is to close it.
        kept = connection.sock
        connection.request("GET", f"/v1/users/{urllib.parse.quote(user, safe='')}/log?{query}", headers=headers)
        answer = connection.getresponse()
        if answer.status != 200:
            problem = problem_of(answer.status, answer.read(), answer.headers["Retry-After"])
            connection.close()
            raise problem
        connection.sock = kept
        return connection, answer

    stream = Stream(*await asyncio.to_thread(open_it))
    await asyncio.shield(stream.welcome)
    return stream
