"""Scenarios in which the server goes away. They come last."""

import asyncio

from world import WAYS, ends, expect, same, scenario, until


@scenario("the server stops and starts: all are told, come back and have everything once")
async def restart(world):
    user, token = await world.user("res")
    server = world.server
    told = {way: await world.open(way, user, token) for way in WAYS}
    async with (
        world.following("quic", user, token, device="a", haste=0.1) as quic_log,
        world.following("websocket", user, token, device="b", haste=0.1) as websocket_log,
        world.following("sse", user, token, device="c", haste=0.1) as sse_log,
    ):
        logs = (quic_log, websocket_log, sse_log)
        for number in range(10):
            await server.notice(user, f"before {number}")
        same(await asyncio.to_thread(server.stop), 0, "the exit code")
        for way, connection in told.items():
            ended = await ends(connection, "STOPPING")
            expect(ended.said_bye, f"no bye over {way}")
            expect(500 <= ended.retry_after <= 10_000, f"told to wait {ended.retry_after} ms over {way}")
        await asyncio.to_thread(server.start)
        for number in range(10):
            await server.notice(user, f"after {number}")
        whole = await world.whole_log(user)
        same(len(whole), 20, "entries")
        for log in logs:
            while log.cursor < 20:
                await asyncio.sleep(0.02)
    for log in logs:
        same([entry["seq"] for entry in log.entries], list(range(1, 21)), "the log")


@scenario("the server is killed: connections are known to be gone, and everything is there once")
async def killed(world):
    user, token = await world.user("kil")
    server = world.server
    old = {way: await world.open(way, user, token) for way in WAYS}
    async with (
        world.following("quic", user, token, device="a", haste=0.1) as quic_log,
        world.following("websocket", user, token, device="b", haste=0.1) as websocket_log,
        world.following("sse", user, token, device="c", haste=0.1) as sse_log,
    ):
        logs = (quic_log, websocket_log, sse_log)
        for number in range(10):
            await server.notice(user, f"before {number}")
        for way, log in zip(WAYS, logs):
            await until(lambda log=log: log.cursor == 10, f"the first entries over {way}")
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        # A QUIC connection learns of it with its next packet, by a stateless reset.
        for connection in world.opened("quic"):
            connection.poke()
        for connection in old.values():
            expect(not (await ends(connection, None)).said_bye, "a bye")
        for number in range(10):
            await server.notice(user, f"after {number}")
        for way, log in zip(WAYS, logs):
            await until(lambda log=log: log.cursor == 20, f"all entries over {way}")
        same([len(await world.whole_log(user))] + [len(log.entries) for log in logs], [20] * 4, "entries")
