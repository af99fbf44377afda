"""What the scenarios stand on: the server under test, a network that can be cut, browsers, and calls of the server's API."""

import http.server
import itertools
import json
import os
import queue
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
SDK = HERE / "node_modules" / "@openim" / "wasm-client-sdk"
PATIENCE = 30.0

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".wasm": "application/wasm"}


class Failed(Exception):
    """A scenario has not come to what it should."""


def expect(condition, what):
    if not condition:
        raise Failed(what)


def until(probe, what, patience=PATIENCE):
    """Waits until `probe` gives something, and gives that."""
    end = time.monotonic() + patience
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what}: did not happen within {patience:g} s")
        time.sleep(0.02)


class Server:
    """The program under test, on a data directory that outlives it."""

    def __init__(self, program, data):
        self.program, self.data = program, Path(data)
        self.ports = {}
        self.start()

    def start(self):
        def address(name):
            return f"127.0.0.1:{self.ports.get(name, 0)}"

        command = [self.program, "serve", "--data", str(self.data)]
        for name in ("http", "quic", "ws", "ops"):
            command += [f"--{name}", address(name)]
        environment = dict(os.environ, WAYBILL_MEMORY_MIB="256")
        self.log = open(self.data.parent / "server.log", "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True)
        for line in self.process.stdout:
            word, _, where = line.strip().partition("  ")
            if word in ("http", "ws", "quic", "ops"):
                self.ports[word] = int(where.strip().rsplit(":", 1)[1])
            if word == "ops":
                break
        else:
            raise Failed(f"the server does not start: see {self.log.name}")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()
        secrets = self.data / "secrets"
        self.secret = (secrets / "openim.secret").read_text().strip()
        self.admin = (secrets / "admin.token").read_text().strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self.log.close()

    def copy(self):
        """Stops, copies the data directory and goes on; the copy."""
        self.stop()
        copy = self.data.parent / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.data, copy)
        self.start()
        return copy

    def put_back(self, copy):
        """Loses everything since the copy, and goes on with it as another history."""
        self.stop()
        shutil.rmtree(self.data)
        shutil.copytree(copy, self.data)
        command = [self.program, "restore", "--data", str(self.data), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
        self.start()
        return json.loads(done.stdout)

    def post(self, path, body, token=None, headers=None):
        """Calls the v3 API; the answer's data."""
        answer = self.raw(path, body, token, {"operationID": f"op{time.time_ns()}", **(headers or {})})
        if answer["errCode"] != 0:
            raise Failed(f"{path}: {answer['errCode']} {answer['errMsg']} {answer['errDlt']}")
        return answer.get("data")

    def raw(self, path, body, token=None, headers=None):
        """Calls any path; the answer as it is."""
        headers = {"Content-Type": "application/json", "token": self.admin if token is None else token, **(headers or {})}
        data = json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.ports['http']}{path}"
        request = urllib.request.Request(url, data, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)

    def register(self, *users):
        self.post("/user/user_register", {"users": [{"userID": u, "nickname": u.title(), "faceURL": ""} for u in users]})

    def token(self, user, platform=5):
        return self.post("/auth/get_user_token", {"userID": user, "platformID": platform})["token"]

    def notice(self, account, user, name, text, kind=1, **more):
        """Sends a notice through the v3 API."""
        body = {
            "sendID": account, "recvID": user, "contentType": 1400, "sessionType": 4,
            "content": notice_content(name, text, kind), **more,
        }
        return self.post("/msg/send_msg", body)


def notice_content(name, text, kind=1):
    return {"notificationName": name, "notificationFaceURL": "", "notificationType": kind, "text": text, "mixType": 0}


class Network:
    """A way to a port that can be cut."""

    def __init__(self, port):
        self.to, self.up, self.pairs, self.lock = port, True, set(), threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if not self.up:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                near.close()
                continue
            pair = (near, far)
            with self.lock:
                self.pairs.add(pair)
            threading.Thread(target=self._carry, args=(pair,), daemon=True).start()

    def _carry(self, pair):
        other = {pair[0]: pair[1], pair[1]: pair[0]}
        try:
            while True:
                for ready in select.select(pair, [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other[ready].sendall(data)
        except (OSError, ValueError):
            pass
        finally:
            for end in pair:
                end.close()
            with self.lock:
                self.pairs.discard(pair)

    def cut(self):
        self.up = False
        with self.lock:
            pairs = list(self.pairs)
        for pair in pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def restore(self):
        self.up = True


class Pages:
    """Serves the page, the SDK, and the line between the driver and its browsers."""

    def __init__(self):
        self.browsers = {}
        pages = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def reply(self, body, kind="application/json", status=200):
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Cache-Control", "no-cache")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def browser(self):
                query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
                return pages.browsers.get(query.get("name", [""])[0])

            def do_GET(self):
                path = urllib.parse.urlparse(self.path).path
                if path == "/next":
                    browser = self.browser()
                    try:
                        task = browser.tasks.get(timeout=10) if browser else None
                    except queue.Empty:
                        task = None
                    return self.reply(json.dumps(task).encode())
                file = SDK / path[5:] if path.startswith("/sdk/") else HERE / path[1:]
                file = file.resolve()
                inside = SDK in file.parents or file.parent == HERE
                if not (inside and file.is_file() and file.suffix in TYPES):
                    return self.reply(b"", status=404)
                self.reply(file.read_bytes(), TYPES[file.suffix])

            do_HEAD = do_GET

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                browser = self.browser()
                if browser and self.path.startswith("/events"):
                    browser.events.extend(body)
                elif browser and self.path.startswith("/done"):
                    browser.answers[body["id"]] = body
                self.reply(b"null")

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                """A browser that is closed leaves its last question unanswered."""

        self.server = Quiet(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


class Refused(Failed):
    """The SDK has rejected a call."""

    def __init__(self, method, said):
        super().__init__(f"{method}: {said}")
        self.code = said.get("code")


CHROMIUM = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-extensions", "--mute-audio",
    "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
]


def chromium():
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    raise SystemExit("openim-sdk: chromium is missing: apt-get install chromium")


class Browser:
    """A browser with the SDK in it, on a profile that can be used again, and on a network of its own."""

    numbers = itertools.count(1)

    def __init__(self, pages, server, profile=None):
        self.pages, self.server = pages, server
        self.own_profile = profile is None
        self.profile = profile or tempfile.mkdtemp(prefix="openim-sdk-")
        self.http, self.ws = Network(server.ports["http"]), Network(server.ports["ws"])
        self.ids = itertools.count(1)
        self.process = None
        self.open()

    def open(self):
        self.name = f"b{next(self.numbers)}"
        self.tasks, self.events, self.answers = queue.Queue(), [], {}
        self.pages.browsers[self.name] = self
        url = f"http://127.0.0.1:{self.pages.port}/page.html?name={self.name}"
        self.process = subprocess.Popen(
            [chromium(), *CHROMIUM, f"--user-data-dir={self.profile}", url],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )
        self.wait("ready", patience=90)

    def close(self):
        if self.process:
            # The browser is told first, so that it writes its storage.
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.process = None
        self.pages.browsers.pop(self.name, None)

    def end(self):
        self.close()
        if self.own_profile:
            shutil.rmtree(self.profile, ignore_errors=True)

    def ask(self, method, *args):
        number = next(self.ids)
        self.tasks.put({"id": number, "method": method, "args": args})
        return number

    def answer(self, number, method, patience=PATIENCE):
        answer = until(lambda: self.answers.get(number), method, patience)
        if not answer["ok"]:
            raise Refused(method, answer["data"])
        return answer.get("data")

    def call(self, method, *args, patience=PATIENCE):
        return self.answer(self.ask(method, *args), method, patience)

    def mark(self):
        return len(self.events)

    def all(self, event, since=0):
        return [one for one in self.events[since:] if one["event"] == event]

    def wait(self, event, since=0, count=1, where=lambda data: True, patience=PATIENCE):
        """Waits for the `count`th event of this kind after `since` whose data is as wanted."""

        def found():
            fitting = [one for one in self.all(event, since) if where(one.get("data"))]
            return fitting[count - 1] if len(fitting) >= count else None

        return until(found, event, patience)

    def login(self, user, token=None, patience=60):
        """Logs in and waits for the end of the first sync; how many seconds that took."""
        since, began = self.mark(), time.monotonic()
        self.user = user
        self.call("login", {
            "userID": user,
            "token": token or self.server.token(user),
            "platformID": 5,
            "apiAddr": f"http://127.0.0.1:{self.http.port}",
            "wsAddr": f"ws://127.0.0.1:{self.ws.port}",
            "logLevel": 2,
        }, patience=patience)
        self.wait("OnSyncServerFinish", since, patience=patience)
        seconds = time.monotonic() - began
        events = {one["event"]: one["at"] for one in reversed(self.events[since:])}
        self.synced = (events["OnSyncServerFinish"] - events["OnConnecting"]) / 1000
        return seconds

    def cut(self):
        self.http.cut()
        self.ws.cut()

    def restore(self):
        self.http.restore()
        self.ws.restore()

    def messages(self, since=0):
        """The messages that were told as new, in order."""
        found = []
        for event in self.all("OnRecvNewMessages", since):
            found.extend(as_json(event["data"]))
        return found

    def wait_message(self, where, since=0, patience=PATIENCE):
        def found():
            return next((one for one in self.messages(since) if where(one)), None)

        return until(found, "OnRecvNewMessages", patience)

    def conversations(self):
        return {one["conversationID"]: one for one in self.call("getConversationListSplit", {"offset": 0, "count": 1000})}


class Script(Browser):
    """The SDK in JavaScript, in Node, asked and heard as a browser is."""

    def __init__(self, server):
        self.server, self.ids, self.own_profile = server, itertools.count(1), False
        self.http, self.ws = Network(server.ports["http"]), Network(server.ports["ws"])
        self.events, self.answers = [], {}
        self.process = subprocess.Popen(
            ["node", str(HERE / "script.mjs")], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, start_new_session=True,
        )
        threading.Thread(target=self._listen, args=(self.process.stdout,), daemon=True).start()
        self.wait("ready")

    def _listen(self, lines):
        for line in lines:
            # The SDK writes lines of its own.
            if line.startswith("@{"):
                said = json.loads(line[1:])
                if "event" in said:
                    self.events.append(said)
                else:
                    self.answers[said["id"]] = said

    def ask(self, method, *args):
        number = next(self.ids)
        self.process.stdin.write(json.dumps({"id": number, "method": method, "args": args}) + "\n")
        self.process.stdin.flush()
        return number

    def close(self):
        self.process.kill()
        self.process.wait()


def as_json(data):
    return json.loads(data) if isinstance(data, str) else data


def detail(message):
    return json.loads(message["notificationElem"]["detail"])


def screenshot(html, to):
    """A picture of a page that a browser has rendered."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        style = (HERE / "session.css").read_text()
        html = html.replace("</head>", f"<style>{style}</style></head>").replace("<script", "<template").replace("</script>", "</template>")
        page.write_text(html)
        command = [chromium(), *CHROMIUM, f"--user-data-dir={folder}/profile", "--window-size=760,900", f"--screenshot={to}", page.as_uri()]
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=90, check=True)
