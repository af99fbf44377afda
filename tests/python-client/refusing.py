"""Scenarios: what is refused, with which code, and how a connection ends."""

import asyncio
import json
import ssl

from waybill import events, quic, websocket, wire
from world import WAYS, Log, Refused, ends, expect, refused, same, scenario, soon, text

BOTH = WAYS[:2]
QUIC, WEBSOCKET = WAYS[:1], WAYS[1:2]


def frame(kind, payload=b""):
    return (len(payload) + 1).to_bytes(4, "little") + bytes([kind]) + payload


@scenario("a token that is not good", WAYS)
async def bad_token(world, way):
    user, _ = await world.user("bad")
    for token, name in (("nonsense", "TOKEN_MALFORMED"), (world.server.admin[:-4] + "AAAA", "TOKEN_UNKNOWN")):
        problem = await refused(world.open(way, user, token), name)
        if way == "websocket":
            # After the refusal a bye, and the close code that goes with it.
            ended = problem.more["ended"]
            same((ended.name, ended.said_bye), (name, True), "the end")
        if way == "sse":
            same(problem.more["status"], 401, "the status")
    await refused(world.open(way, user, ""), "NO_TOKEN")


@scenario("the log of somebody else", WAYS)
async def foreign(world, way):
    (user, _), (_, token) = await world.user("vic"), await world.user("eve")
    if way == "sse":
        same((await refused(world.open(way, user, token), "FORBIDDEN")).more["status"], 403, "the status")
        return
    connection = await world.open(way, user, token)
    await refused(connection.pull(0, user=user), "FORBIDDEN")
    await refused(connection.tail(0, user=user), "FORBIDDEN")
    await refused(connection.send(text(user, "in your name", sender=user)), "FORBIDDEN")
    # A request that is refused ends nothing.
    same((await connection.pull(0))["entries"], [], "one's own log")


@scenario("a log of another history", WAYS)
async def ahead(world, way):
    user, token = await world.user("ahe")
    await world.server.notice(user, "one")
    log = Log()
    if way == "sse":
        # The welcome comes first here too, and says what the log is.
        stream = await soon(events.connect(world.server.url, user, token, after=2), "the stream")
        problem = await refused(anext(await stream.tail()), "AHEAD")
        same((problem.more["floor"], problem.more["head"], len(problem.more["epoch"])), (1, 1, 32), "floor, head, epoch")
        log.epoch = "0" * 32
        stream = await world.open(way, user, token, log)
        await refused(anext(await stream.tail()), "OTHER_EPOCH")
        return
    connection = await world.open(way, user, token)
    for ask in (connection.pull, connection.tail):
        problem = await refused(ask(2), "AHEAD")
        expect(not problem.retryable, "retryable")
    await refused(connection.tail(0, epoch="0" * 32), "OTHER_EPOCH")
    if way == "websocket":
        same((problem.more["floor"], problem.more["head"]), (1, 1), "floor and head")
        await refused(connection.pull(0, epoch="0" * 32), "OTHER_EPOCH")
    same(len((await connection.pull(0))["entries"]), 1, "entries")


@scenario("requests beyond their limits", BOTH)
async def limits(world, way):
    user, token = await world.user("lim")
    connection = await world.open(way, user, token)
    for limit in (0, 1001):
        await refused(connection.pull(0, limit), "INVALID_FIELD")
    await refused(connection.send_batch([]), "INVALID_FIELD")
    tails = [await connection.tail(0) for _ in range(4)]
    same((await refused(connection.tail(0), "TOO_MANY_TAILS")).retryable, True, "retryable")
    await refused(connection.send(text(user, "x" * 70_000)), "CONTENT_TOO_LARGE")
    # All four bring what comes.
    await connection.send(text(user, "to me"))
    for tail in tails:
        same(len((await soon(anext(tail), "a page"))["entries"]), 1, "entries")


@scenario("more connections than a user may have", WAYS)
async def too_many(world, way):
    user, token = await world.user("tom")
    opened = [await world.open(way, user, token) for _ in range(8)]
    if way == "quic":
        # It is counted when the handshake is complete, so the welcome comes first.
        opened.append(await world.open(way, user, token))
        await soon(asyncio.wait([one.ended for one in opened], return_when=asyncio.FIRST_COMPLETED), "an end")
        over = [one for one in opened if one.ended.done()]
        same(len(over), 1, "connections that ended")
        await ends(over[0], "TOO_MANY_CONNECTIONS")
    else:
        problem = await refused(world.open(way, user, token), "TOO_MANY_CONNECTIONS")
        expect(problem.retryable and problem.retry_after > 0, f"{problem.retryable}, {problem.retry_after} ms")
        expect(not any(connection.ended.done() for connection in opened), "another connection ended")


@scenario("more messages than a user may send", BOTH)
async def rate(world, way):
    (user, token), (other, _) = await world.user("rat"), await world.user("ros")
    connection = await world.open(way, user, token)
    answers = await soon(connection.send_batch([text(other, f"{number}") for number in range(200)]), "the answers")
    done = [answer for answer in answers if isinstance(answer, dict)]
    over = [answer for answer in answers if isinstance(answer, Refused)]
    same({(problem.name, problem.retryable) for problem in over}, {("RATE_LIMITED", True)}, "the refusals")
    # A burst of 100, and what 20 a second give meanwhile.
    expect(100 <= len(done) < 150, f"{len(done)} were sent")
    same(len(await world.whole_log(other)), len(done), "the receiver's entries")
    # After a pause it goes.
    await asyncio.sleep(max(500, *(problem.retry_after for problem in over)) / 1000)
    await soon(connection.send(text(other, "later")), "sent")


@scenario("frames of unknown kinds are skipped", BOTH)
async def unknown_frames(world, way):
    user, token = await world.user("unk")
    connection = await world.open(way, user, token)
    if way == "quic":
        connection.write(frame(200, b"whatever it may be") + frame(255))
    else:
        connection.say(json.dumps({"frame": "later", "request": 1, "what": ["ever"]}))
        connection.say(json.dumps({"frame": "later"}))
    same((await soon(connection.pull(0), "a page"))["entries"], [], "entries")


@scenario("frames that end a connection", QUIC)
async def broken_frames(world, way):
    user, token = await world.user("bro")
    hello = {"token": token, "device": "", "device_name": "", "platform": 0, "software": "", "capabilities": 0}
    for data, name in (
        (frame(9, b"\x01"), "MALFORMED_FRAME"),
        (frame(9, b"\x01\x02\x03"), "MALFORMED_FRAME"),
        (frame(3, b"\x01\x01\xff\x00\x01"), "MALFORMED_FRAME"),
        (b"\x00\x00\x00\x00", "MALFORMED_FRAME"),
        ((1 << 20 | 1).to_bytes(4, "little") + b"\x05", "FRAME_TOO_LONG"),
        (frame(2), "UNEXPECTED_FRAME"),
        (frame(4), "UNEXPECTED_FRAME"),
        (wire.encode("Hello", hello), "HELLO_REPEATED"),
    ):
        connection = await world.open(way, user, token)
        connection.write(data)
        expect((await ends(connection, name)).said_bye, "no bye")
    for data, name in (
        (wire.encode("Pull", {"request": 1, "user": "", "after": 0, "limit": 1}), "HELLO_EXPECTED"),
        (frame(200), "HELLO_EXPECTED"),
        ((16 * 1024 + 1).to_bytes(4, "little"), "FRAME_TOO_LONG"),
    ):
        silent = await quic.connect(world.server.quic, world.server.fingerprint, "", hello=False)
        silent.write(data)
        await ends(silent, name)
    # The end of the control stream within a frame, and after a whole one.
    for data, name in ((frame(9, b"\x01\x01")[:-1], "STREAM_BROKEN"), (frame(200), "CLOSED")):
        connection = await world.open(way, user, token)
        connection._quic.send_stream_data(quic.CONTROL, data, end_stream=True)
        connection.transmit()
        await ends(connection, name)


@scenario("another protocol, another certificate", QUIC)
async def strangers(world, way):
    try:
        await soon(quic.connect(world.server.quic, world.server.fingerprint, "", alpn="waybill/9"), "the end")
    except quic.Ended as ended:
        same(ended.transport_error, 0x100 + 120, "the TLS alert")
    else:
        expect(False, "another ALPN name was taken")
    try:
        await soon(quic.connect(world.server.quic, "0" * 64, world.server.admin), "the end")
    except ssl.SSLError:
        return
    expect(False, "another certificate was taken")


@scenario("what a WebSocket is refused before there is one", WEBSOCKET)
async def upgrades(world, way):
    user, token = await world.user("upg")
    url = world.server.url
    hello = {"token": token}
    for subprotocol in (None, "waybill.v9+json"):
        problem = await refused(websocket.connect(url, hello, subprotocol=subprotocol), "INVALID_FIELD")
        same(problem.more["status"], 400, "the status")
    problem = await refused(websocket.connect(url, {}, ticket="0" * 32), "TICKET_UNKNOWN")
    same(problem.more["status"], 401, "the status")
    problem = await refused(websocket.connect(url, hello, origin="https://evil.example"), "FOREIGN_ORIGIN")
    same(problem.more["status"], 403, "the status")
    problem = await refused(events.connect(url, user, token, after=0, origin="https://evil.example"), "FOREIGN_ORIGIN")
    same(problem.more["status"], 403, "the status")
    # Pages of this machine may.
    connection = await websocket.connect(url, hello, origin="http://localhost:8080")
    await connection.close()


@scenario("a hello by ticket, in the address and in the frame", WEBSOCKET)
async def tickets(world, way):
    user, token = await world.user("tik")
    ticket = await world.server.ticket(token)
    for where in ({"ticket": ticket}, {"hello": {"ticket": await world.server.ticket(token)}}):
        connection = await soon(websocket.connect(world.server.url, **({"hello": {}} | where)), "the welcome")
        same(connection.welcome.result()["user"], user, "the user")
        same((await connection.pull(0))["head"], 0, "head")
        await connection.close()
    await refused(websocket.connect(world.server.url, {}, ticket=ticket), "TICKET_UNKNOWN")
    await refused(websocket.connect(world.server.url, {"ticket": ticket}), "TICKET_UNKNOWN")
    await refused(websocket.connect(world.server.url, {}), "NO_TOKEN")


@scenario("messages that end a WebSocket", WEBSOCKET)
async def broken_messages(world, way):
    user, token = await world.user("brm")
    for said, name in (
        ("no JSON", "MALFORMED_FRAME"),
        ("[]", "MALFORMED_FRAME"),
        ('{"request": 1}', "MALFORMED_FRAME"),
        ('{"frame": "pull"}', "MALFORMED_FRAME"),
        (json.dumps({"frame": "hello", "token": token}), "HELLO_REPEATED"),
        (b"bytes", "UNEXPECTED_FRAME"),
        ("x" * (256 * 1024 + 1), "FRAME_TOO_LONG"),
    ):
        connection = await world.open(way, user, token)
        connection.say(said)
        expect((await ends(connection, name)).said_bye, f"no bye after {said[:20]}")
    for said in ('{"frame": "pull", "request": 1}', '{"frame": "later"}'):
        silent = await websocket.connect(world.server.url)
        silent.say(said)
        await ends(silent, "HELLO_EXPECTED")
    connection = await world.open(way, user, token)
    # A request with a wrong field is refused alone.
    for fields in ({"afterr": 1}, {"after": "one"}, {"after": -1}, {"user": 7}):
        await refused(connection._ask("pull", **fields), "INVALID_FIELD")
    same((await refused(connection._ask("pull", limit=0), "INVALID_FIELD")).more, {"pointer": "limit"}, "the pointer")
    problem = await refused(connection.send({"to": {"user": user}, "contentType": 101, "content": {}}), "CONTENT_RULES")
    same(problem.more, {"pointer": "/content/text"}, "the pointer")
    await soon(connection.ping(), "a pong")
    ended = await soon(connection.bye(), "the end")
    same((ended.name, ended.said_bye), ("CLOSED", True), "the end")


@scenario("nobody says hello")
async def no_hello(world):
    silent = await quic.connect(world.server.quic, world.server.fingerprint, "", hello=False)
    page = await websocket.connect(world.server.url)
    await asyncio.gather(ends(silent, "HELLO_TIMEOUT"), ends(page, "HELLO_TIMEOUT"))
