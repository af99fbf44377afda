"""Scenarios: a log is followed, on one connection or over many."""

import asyncio
import time

from waybill import events, quic
from world import WAYS, Log, ends, expect, refused, same, scenario, soon, text, until


async def fill(world, user, count):
    """Fills a user's log by batches of the manager over QUIC."""
    manager = await world.open("quic", None, world.server.admin)
    for first in range(0, count, 1000):
        batch = [text(user, f"text {number}", f"k{number}") for number in range(first, min(first + 1000, count))]
        answers = await soon(manager.send_batch(batch), "a batch")
        expect(all(isinstance(one, dict) for one in answers), f"{answers[:3]}")


@scenario("catch up from 0, then live")
async def catch_up(world):
    user, token = await world.user("anna")
    await fill(world, user, 1500)
    logs = {}
    for way in WAYS:
        async with world.following(way, user, token) as log:
            await until(lambda: log.cursor == 1500 + len(logs), f"all entries over {way}")
            live = await world.server.notice(user, f"live over {way}")
            await until(lambda: log.cursor == 1501 + len(logs), f"the live entry over {way}")
            same(log.entries[-1]["serverMsgID"], live["serverMsgID"], "the live entry")
            logs[way] = log.entries
    whole = await world.whole_log(user)
    for number, way in enumerate(WAYS, 1):
        same(logs[way], whole[: 1500 + number], f"the log over {way}")


@scenario("pull page by page", WAYS[:2])
async def pages(world, way):
    user, token = await world.user("pia")
    await fill(world, user, 1100)
    connection = await world.open(way, user, token)
    log, more = Log(), True
    while more:
        page = await soon(connection.pull(log.cursor, 300), "a page")
        expect(0 < len(page["entries"]) <= 300, f"{len(page['entries'])} entries")
        same(page["head"], 1100, "head")
        log.take(page)
        more = page["more"]
    same(log.entries, await world.whole_log(user), "the log")
    at_head = await soon(connection.pull(1100), "a page at the head")
    same((at_head["entries"], at_head["more"]), ([], False), "the page at the head")
    # Answers to many at once, each under its own number.
    firsts = await soon(asyncio.gather(*(connection.pull(after, 1) for after in range(20))), "20 pulls")
    same([page["entries"][0]["seq"] for page in firsts], list(range(1, 21)), "the pages of 20 pulls")


@scenario("drops while messages come: no hole, no repetition", WAYS)
async def drops(world, way):
    user, token = await world.user("dora")
    connections = []
    async with world.following(way, user, token, connections, device="phone") as log:
        for number in range(120):
            await world.server.notice(user, f"notice {number}")
            if number % 12 == 7:
                # Each time another connection, which has brought something.
                await until(lambda number=number: log.cursor > number - 7, "entries")
                connections[-1].drop()
        await until(lambda: log.cursor == 120, "all entries")
        same(log.entries, await world.whole_log(user), "the log")
    expect(len(connections) >= 11, f"only {len(connections)} connections")


@scenario("another's log, for a business token", WAYS)
async def business(world, way):
    user, _ = await world.user("bo")
    await world.server.notice(user, "before")
    connection = await world.open(way, user, world.server.admin)
    tail = await (connection.tail(0) if way == "sse" else connection.tail(0, user=user))
    await world.server.notice(user, "after")
    log = Log()
    while log.cursor < 2:
        log.take(await soon(anext(tail), "a page"))
    same([entry["content"]["text"] for entry in log.entries], ["before", "after"], "the log")


@scenario("a tail is ended, and the connection goes on", WAYS[:2])
async def end_tail(world, way):
    user, token = await world.user("ede")
    connection = await world.open(way, user, token)
    # More than the limit, one after another: those that were ended count no more.
    for _ in range(6):
        tail = await soon(connection.tail(0), "a tail")
        same(tail.opened["head"], 0, "head")
        if way == "quic":
            connection.end_tail(tail)
            await connection.pull(0)
        else:
            await soon(connection.end_tail(tail), "the end of a tail")
            same([page async for page in tail], [], "what came after the end")
    same((await connection.pull(0))["head"], 0, "head")


@scenario("acknowledged is delivered", WAYS)
async def delivered(world, way):
    user, token = await world.user("dan")
    account = "openIM123456"
    sent = [await world.server.notice(user, f"{number}") for number in range(3)]
    connection = await world.open(way, user, token, device="phone")
    for seq in (2, 3, 1):
        if way == "sse":
            await world.server.done("PUT", f"/v1/users/{user}/devices/phone/cursor", {"seq": seq}, token)
        else:
            same(await soon(connection.acknowledge(seq), "acknowledged"), max(seq, 3 if seq == 1 else 2), "the cursor")
    # The status stream says it, to the last of the three.
    after, end = 0, time.monotonic() + 15
    upto = 0
    while upto < 3 and time.monotonic() < end:
        page = await world.server.done("GET", f"/v1/accounts/{account}/status?after={after}&limit=1000&wait=2")
        for change in page["changes"]:
            after = change["n"]
            if change["receiver"] == user and change["state"] == "delivered":
                upto = max(upto, change["upTo"])
    same(upto, 3, "delivered up to")
    message = await world.server.done("GET", f"/v1/messages/{sent[2]['serverMsgID']}")
    same(message["state"], "delivered", "the state of the message")
    if way != "sse":
        await refused(connection.acknowledge(4), "AHEAD")
        same(await connection.acknowledge(0), 3, "the cursor")
        nobody = await world.open(way, user, token)
        await refused(nobody.acknowledge(1), "NO_DEVICE")


@scenario("a stream is opened with a ticket")
async def sse_ticket(world):
    user, token = await world.user("tic")
    await world.server.notice(user, "one")
    ticket = await world.server.ticket(token)
    stream = await soon(events.connect(world.server.url, user, ticket=ticket, after=0), "the stream")
    tail = await stream.tail()
    same((await soon(anext(tail), "an entry"))["entries"][0]["content"]["text"], "one", "the entry")
    same(stream.retry, 2000, "retry")
    stream.drop()
    await refused(events.connect(world.server.url, user, ticket=ticket, after=0), "TICKET_UNKNOWN")


@scenario("early data: the page comes back in the first round trip")
async def early(world):
    user, token = await world.user("ear")
    await world.server.notice(user, "one")
    sessions = []
    first = await soon(
        quic.connect(world.server.quic, world.server.fingerprint, token, kept=sessions.append), "the first connection")
    same(first.welcome.result()["capabilities"] & quic.EARLY_PULL, quic.EARLY_PULL, "EARLY_PULL")
    await until(lambda: sessions, "a TLS session")
    await first.bye()
    pull = ("Pull", {"user": "", "after": 0, "limit": 10})
    second = await soon(
        quic.connect(world.server.quic, world.server.fingerprint, token, session=sessions[-1], early=[pull]), "the second")
    page = await soon(second.early_answers[0], "the page")
    same([entry["content"]["text"] for entry in page["entries"]], ["one"], "the page")
    await until(lambda: second.resumed is not None, "the handshake")
    same((second.resumed, second.early_data_accepted), (True, True), "resumed, early data accepted")
    # What changes something has its place after the handshake.
    await soon(second.send(text(user, "two")), "a send")
    await second.close()
    # A session is good for one use. The next time the server rejects it, and all is said again after a whole handshake.
    third = await soon(
        quic.connect(world.server.quic, world.server.fingerprint, token, session=sessions[-1], early=[pull]), "the third")
    same((third.resumed, third.early_data_accepted), (False, False), "resumed, early data accepted")
    same(len((await soon(third.early_answers[0], "a page"))["entries"]), 2, "entries")
    await third.close()


class Late(quic.Connection):
    """A client that hears nothing at first, so that the handshake is not complete before the server has read what came early."""

    def datagram_received(self, data, address):
        if not hasattr(self, "_held"):
            self._held = []
            self._loop.call_later(0.5, self._release)
        if self._held is None:
            super().datagram_received(data, address)
        else:
            self._held.append((data, address))

    def _release(self):
        held, self._held = self._held, None
        for data, address in held:
            super().datagram_received(data, address)


@scenario("early data: what changes something is refused")
async def early_send(world):
    user, token = await world.user("eas")
    sessions = []
    first = await soon(
        quic.connect(world.server.quic, world.server.fingerprint, token, kept=sessions.append), "the first connection")
    await until(lambda: sessions, "a TLS session")
    await first.bye()
    send = ("Send", {"message": quic.message_out(text(user, "too early"))})
    second = await soon(
        quic.connect(world.server.quic, world.server.fingerprint, token, session=sessions[-1], early=[send], kind=Late), "the second")
    await refused(second.early_answers[0], "EARLY_DATA")
    same(await world.whole_log(user), [], "the log")
    await second.close()


@scenario("a connection moves to another address, and its tail goes on")
async def migration(world):
    user, token = await world.user("mo")
    connection = await world.open("quic", user, token)
    tail = await connection.tail(0)
    log = Log()
    for number in range(3):
        await world.server.notice(user, f"{number}")
        log.take(await soon(anext(tail), "an entry"))
        await connection.move()
        await soon(connection.ping(), "a ping from the new address")
    same(log.cursor, 3, "the cursor")


@scenario("the same device anew ends the connection before", WAYS)
async def superseded(world, way):
    user, token = await world.user("sue")
    first = await world.open(way, user, token, device="phone")
    other = await world.open(way, user, token, device="tablet")
    second = await world.open(way, user, token, device="phone")
    expect((await ends(first, "SUPERSEDED")).said_bye, "no bye")
    await asyncio.sleep(0.1)
    expect(not other.ended.done() and not second.ended.done(), "others ended too")


@scenario("a revoked token ends its connections", WAYS)
async def revoked(world, way):
    user, token = await world.user("rev")
    connection = await world.open(way, user, token)
    await world.server.done("DELETE", "/v1/tokens", token=token)
    expect((await ends(connection, "TOKEN_REVOKED")).said_bye, "no bye")
    await refused(world.open(way, user, token), "TOKEN_REVOKED")
