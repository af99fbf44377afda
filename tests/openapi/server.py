"""The built program on free ports over a directory of its own, a plain HTTP client, and what the tests find in it."""

import json
import pathlib
import re
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

# Seconds until a server listens and is ready.
PATIENCE = 60

# Little memory, and long polls that are no longer than a test may be.
CONFIG = "memory_mib = 192\nlimits.long_poll_seconds = 1\n"

MANAGER = "openIM123456"


class Server:
    """A running server. As a context manager it is stopped at the end, and its directory is gone."""

    def __init__(self, program):
        self._folder = tempfile.TemporaryDirectory(prefix="waybill-openapi-")
        folder = pathlib.Path(self._folder.name)
        self._log = folder / "stderr"
        (folder / "config.toml").write_text(CONFIG)
        data = folder / "data"
        command = [program, "serve", "--config", str(folder / "config.toml"), "--data", str(data)]
        for listener in ("--http", "--quic", "--ws", "--ops"):
            command += [listener, "127.0.0.1:0"]
        said = folder / "stdout"
        with said.open("w") as out, self._log.open("w") as errors:
            self._process = subprocess.Popen(command, stdout=out, stderr=errors)
        try:
            self.url = self._wait(said, r"^http +(http://\S+)")
            self._ops = self._wait(said, r"^ops +(http://\S+)")
            self._until_ready()
            self.token = (data / "secrets" / "admin.token").read_text().strip()
        except BaseException:
            self.stop()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends it, and says with which exit code."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._folder.cleanup()
        return self._process.returncode

    def complaints(self):
        """The lines of its log that are warnings or errors."""
        lines = self._log.read_text().splitlines()
        return [line for line in lines if '"level":"WARN"' in line or '"level":"ERROR"' in line]

    def is_alive(self):
        return self._process.poll() is None

    def _wait(self, file, pattern):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.is_alive():
            found = re.search(pattern, file.read_text(), re.MULTILINE)
            if found:
                return found.group(1)
            time.sleep(0.02)
        raise RuntimeError(f"the server does not say where it listens:\n{self._log.read_text()}")

    def _until_ready(self):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.is_alive():
            try:
                with urllib.request.urlopen(self._ops + "/readyz"):
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"the server is never ready:\n{self._log.read_text()}")

    def call(self, method, path, body=None, token=None):
        """A call with the admin's token or another: the status, the headers and the text of the answer."""
        if isinstance(body, str):
            data = body.encode()
        else:
            data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, method=method, data=data)
        request.add_header("Authorization", f"Bearer {token or self.token}")
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers, answer.read().decode()

    def done(self, method, path, body=None, token=None):
        """The JSON of a call that must succeed."""
        status, _, text = self.call(method, path, body, token)
        if status != 200:
            raise RuntimeError(f"{method} {path}: {status} {text}")
        return json.loads(text)


def seed(server):
    """Puts users, messages, tasks and an audience into a new server. Gives values of parameters that are of something there."""
    for user in ("anna", "bert"):
        server.done("POST", "/v1/tokens", {"user": user})
    messages = []
    for number in range(8):
        body = {
            "to": {"user": ("anna", "bert")[number % 2]},
            "sender": ("bert", "anna")[number % 2],
            "contentType": 101,
            "content": {"text": f"text {number}"},
            "clientMsgID": f"m{number}",
        }
        messages.append(server.done("POST", "/v1/messages", body)["serverMsgID"])
    notice = {"notificationName": "OA", "notificationType": 1, "text": "t"}
    for user in ("anna", "bert"):
        body = {"to": {"user": user}, "contentType": 1400, "content": notice, "collapseKey": "k"}
        for _ in range(2):
            server.done("POST", "/v1/messages", body)
    # What is withdrawn, changed and told of it is there too, for who reads.
    first = f"/v1/messages/{messages[0]}"
    server.done("PATCH", first, {"content": {"text": "other"}, "statusLine": {"text": "Approved"}})
    server.done("POST", f"/v1/messages/{messages[1]}/recall")
    token = server.done("POST", "/v1/tokens", {"user": "anna"})["token"]
    server.done("POST", first + "/confirmed", {}, token)
    server.done("PATCH", "/v1/users/anna/conversations/single:bert", {"pinned": True})
    server.done("DELETE", "/v1/users/anna/conversations/single:bert/messages", {"conversationSeqs": [3]})
    server.done("PUT", "/v1/users/anna/devices/phone/cursor", {"seq": 2})
    server.done("PUT", "/v1/audiences/staff", '"anna"\n"bert"\n')
    tasks = []
    for to in ({"users": ["anna", "bert"]}, {"audience": "staff"}, {"everybody": "seen"}):
        body = {"to": to, "contentType": 101, "content": {"text": "to many"}}
        tasks.append(server.done("POST", "/v1/tasks", body)["task"])
    server.done("POST", f"/v1/tasks/{tasks[0]}/recall")
    cursor = server.done("GET", "/v1/users/anna/conversations?limit=1")["cursor"]
    conversations = ["single:bert", "single:anna", f"single:{MANAGER}", f"notification:{MANAGER}"]
    return {
        "user": ["anna", "bert"],
        "account": ["anna", MANAGER],
        "serverMsgID": messages,
        "task": tasks,
        "name": ["staff"],
        "device": ["phone"],
        "conversation": conversations,
        "clientMsgID": ["m0", "m2"],
        "sender": ["anna", "bert"],
        "listConversations.cursor": [cursor],
    }
