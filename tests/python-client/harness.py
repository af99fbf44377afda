"""What the scenarios stand on: the program on free ports, calls of its HTTP API, and a failure that says what was expected."""

import asyncio
import json
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

PATIENCE = 20.0


class Failed(Exception):
    """A scenario has not come to what it should."""


def expect(condition, what):
    if not condition:
        raise Failed(what)


def same(found, wanted, what):
    expect(found == wanted, f"{what}: {found!r}, not {wanted!r}")


async def until(probe, what):
    """Waits until `probe` gives something, and gives that."""
    end = time.monotonic() + PATIENCE
    while not (found := probe()):
        expect(time.monotonic() < end, f"{what}: did not happen within {PATIENCE:g} s")
        await asyncio.sleep(0.01)
    return found


async def soon(waiting, what):
    """What comes of `waiting`, within the patience of the tests."""
    try:
        return await asyncio.wait_for(waiting, PATIENCE)
    except TimeoutError:
        raise Failed(f"{what}: did not happen within {PATIENCE:g} s") from None


class Server:
    """The program under test, on a data directory and ports that outlive a restart."""

    def __init__(self, program, folder):
        self.program, self.folder = program, Path(folder)
        self.data = self.folder / "data"
        self.ports = dict.fromkeys(("http", "quic", "ws", "ops"), 0)
        self.log = self.folder / "server.log"
        self.start()

    def start(self):
        command = [self.program, "serve", "--data", str(self.data)]
        for name, port in self.ports.items():
            command += [f"--{name}", f"127.0.0.1:{port}"]
        environment = {
            **os.environ,
            "WAYBILL_MEMORY_MIB": "192",
            # What a test waits for, sooner.
            "WAYBILL_LIMITS_REACHED_SECONDS": "1",
            "WAYBILL_LIMITS_HANDSHAKE_SECONDS": "3",
        }
        said = self.folder / "stdout"
        with said.open("w") as out, self.log.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=out, stderr=errors, env=environment)
        end = time.monotonic() + PATIENCE
        while len(found := re.findall(r"^(http|quic|ws|ops) +\S*?127\.0\.0\.1:(\d+)$", said.read_text(), re.MULTILINE)) < 4:
            expect(time.monotonic() < end and self.process.poll() is None, f"the server does not start: {self.log.read_text()}")
            time.sleep(0.02)
        self.ports = {name: int(port) for name, port in found}
        self.url = f"http://127.0.0.1:{self.ports['http']}"
        self.quic = ("127.0.0.1", self.ports["quic"])
        secrets = self.data / "secrets"
        self.admin = (secrets / "admin.token").read_text().strip()
        self.fingerprint = (secrets / "quic.fingerprint").read_text().strip()

    def stop(self):
        """Asks it to stop; gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def call(self, method, path, body=None, token=None):
        """Status and JSON of a call over HTTP, by the admin or by another."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        request.add_header("Authorization", f"Bearer {token or self.admin}")
        try:
            answer = urllib.request.urlopen(request, timeout=PATIENCE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, json.loads(answer.read() or b"null")

    async def done(self, method, path, body=None, token=None):
        """The JSON of a call that must succeed."""
        status, answer = await asyncio.to_thread(self.call, method, path, body, token)
        expect(status in (200, 204), f"{method} {path}: {status} {answer}")
        return answer

    async def notice(self, user, text, **more):
        """Sends a notification in the name of the manager."""
        content = {"notificationName": "OA", "notificationType": 1, "text": text}
        body = {"to": {"user": user}, "contentType": 1400, "content": content, **more}
        return await self.done("POST", "/v1/messages", body)

    async def token(self, user):
        return (await self.done("POST", "/v1/tokens", {"user": user}))["token"]

    async def ticket(self, token):
        return (await self.done("POST", "/v1/tickets", token=token))["ticket"]
