"""Scenario: every kind of entry of docs/protocol.md, section 16, made by calls of `/v1` and followed over all transports."""

from world import expect, same, scenario, text, until


async def every_kind(world, kim, lee, kim_token, lee_token):
    """Makes entries of every kind in the log of kim, and gives what is expected of each: its kind and some fields."""
    server = world.server
    boss = "openIM123456"
    chat = f"/v1/users/{kim}/conversations/single:{lee}"
    single, notification = {"kind": "single", "peer": lee}, {"kind": "notification", "peer": boss}
    expected = []

    def entry(kind, conversation, seq, **more):
        expected.append({"kind": kind, "conversation": conversation, "conversationSeq": seq} | more)

    async def message(to, said, token):
        return (await server.done("POST", "/v1/messages", text(to, said), token))["serverMsgID"]

    async def notice(said, **more):
        return (await server.notice(kim, said, **more))["serverMsgID"]

    first = await message(kim, "hello", lee_token)
    entry(1, single, 1, sender=lee, serverMsgID=first, content={"text": "hello"})
    await message(lee, "hello yourself", kim_token)
    entry(1, single, 2, sender=kim, content={"text": "hello yourself"})
    second = await message(kim, "two", lee_token)
    entry(1, single, 3, serverMsgID=second)
    await server.done("PUT", f"{chat}/read", {"conversationSeq": 3}, kim_token)
    entry(2, single, 3, by=kim)
    await message(lee, "are you there?", kim_token)
    entry(1, single, 4, sender=kim)
    await server.done("PUT", f"/v1/users/{lee}/conversations/single:{kim}/read", {"conversationSeq": 4}, lee_token)
    entry(2, single, 4, by=lee)
    await server.done("PATCH", chat, {"pinned": True, "receiveOption": 2}, kim_token)
    entry(3, single, 0, by=kim, settings={"pinned": True, "receiveOption": 2, "hidden": False})
    await server.done("POST", f"/v1/messages/{second}/recall", token=lee_token)
    entry(4, single, 3, by=lee, serverMsgID=second, reason="recalled")
    await server.done("DELETE", f"{chat}/messages", {"conversationSeqs": [1, 2]}, kim_token)
    entry(5, single, 2, by=kim, conversationSeqs=[1, 2])
    await server.done("DELETE", f"{chat}/messages", {"upTo": 3}, kim_token)
    entry(6, single, 3, by=kim)
    old = await notice("draft", collapseKey="c")
    entry(1, notification, 1, serverMsgID=old, notificationType=1, contentType=1400)
    new = await notice("final", collapseKey="c")
    entry(4, notification, 1, by=boss, serverMsgID=old, reason="superseded")
    entry(1, notification, 2, serverMsgID=new)
    await server.done("POST", f"/v1/messages/{new}/opened", {}, kim_token)
    entry(7, notification, 2, by=kim, serverMsgID=new, mark="opened")
    await server.done("POST", f"/v1/messages/{new}/confirmed", {}, kim_token)
    entry(7, notification, 2, by=kim, serverMsgID=new, mark="confirmed")
    changed = {"notificationName": "OA", "notificationType": 1, "text": "changed"}
    await server.done("PATCH", f"/v1/messages/{new}", {"content": changed})
    entry(8, notification, 2, by=boss, serverMsgID=new, content=changed)
    await server.done("PATCH", f"/v1/messages/{new}", {"statusLine": {"text": "Approved", "color": "#00aa00"}})
    entry(8, notification, 2, by=boss, serverMsgID=new, statusLine={"text": "Approved", "color": "#00aa00"})
    return expected


def matches(entry, expected):
    return all(entry.get(name) == value for name, value in expected.items())


@scenario("every kind of entry, over all transports at once")
async def kinds(world):
    (kim, kim_token), (lee, lee_token) = await world.user("kim"), await world.user("lee")
    async with (
        world.following("quic", kim, kim_token) as quic,
        world.following("websocket", kim, kim_token) as websocket,
        world.following("sse", kim, kim_token) as sse,
    ):
        # What others have read is told to those who have a device.
        await world.server.done("PUT", f"/v1/users/{kim}/devices/phone/cursor", {"seq": 0}, kim_token)
        expected = await every_kind(world, kim, lee, kim_token, lee_token)
        for log in (quic, websocket, sse):
            await until(lambda log=log: log.cursor >= len(expected), "all entries")
    whole = await world.whole_log(kim)
    for found, wanted in zip(whole, expected):
        expect(matches(found, wanted), f"{found}, not {wanted}")
    same(len(whole), len(expected), "entries")
    same({entry["kind"] for entry in whole}, set(range(1, 9)), "kinds")
    same(websocket.entries, whole, "the log over WebSocket")
    same(sse.entries, whole, "the log over SSE")
    # Over QUIC why something was withdrawn, and what a message says now, are asked for by its id.
    same(quic.entries, [without(entry) for entry in whole], "the log over QUIC")
    for entry in whole:
        if entry["kind"] == 4:
            found = await world.server.done("GET", f"/v1/messages/{entry['serverMsgID']}", token=kim_token)
            same((found["recalled"], found["reason"]), (True, entry["reason"]), "the message")
    changed = await world.server.done("GET", f"/v1/messages/{whole[-1]['serverMsgID']}", token=kim_token)
    same((changed["content"], changed["statusLine"]), (whole[-2]["content"], whole[-1]["statusLine"]), "the message")


def without(entry):
    """An entry as QUIC tells it."""
    gone = {4: ("reason",), 8: ("content", "statusLine")}.get(entry["kind"], ())
    return {name: value for name, value in entry.items() if name not in gone}
