"""Server-sent events, WebSocket and the example page in a real browser, against the built program: prints a table of scenarios.

    python3 tests/browser/run.py [--json] [--only WORD] [--program PATH] [--artifacts DIR]
"""

import argparse
import http.server
import json
import os
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "openim-sdk"))

from chrome import Chromium  # noqa: E402
from harness import Failed, Network, Server, expect  # noqa: E402

WAYS = {"socket": "WebSocket", "sse": "events"}


class World:
    """A server, a browser, and calls of the native surface."""

    def __init__(self, program, folder, artifacts):
        self.server = Server(program, folder / "data")
        self.browser = Chromium()
        self.artifacts = artifacts

    def end(self):
        self.browser.end()
        self.server.stop()

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.server.admin}"}
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.server.ports['http']}{path}"
        with urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method), timeout=60) as answer:
            return json.load(answer)

    def token(self, user):
        return self.ask("POST", "/v1/tokens", {"user": user, "platform": 5})["token"]

    def notice(self, user, text, name="公文管理", **more):
        content = {"notificationName": name, "notificationFaceURL": "", "notificationType": 1, "text": text, "externalUrl": "", "mixType": 0, "ex": "", **more}
        return self.ask("POST", "/v1/messages", {"to": {"user": user}, "contentType": 1400, "content": content})["serverMsgID"]

    def inbox(self, user, way, port, **size):
        """The example page, signed in."""
        token = self.token(user)
        return self.browser.page(f"http://127.0.0.1:{port}/examples/inbox.html?over={way}#user={user}&token={token}", **size)


TEXTS = "[...document.querySelectorAll('.card .text')].map((text) => text.textContent)"
STATE = "document.getElementById('state').textContent"
BADGE = "document.getElementById('unread').textContent"


def shows(page, text, what):
    page.until(f"({TEXTS}).includes({json.dumps(text)})", what)


def inbox(world, way):
    """The example page shows what is there and what comes, and comes back by itself."""
    user = f"inbox-{way}"
    network = Network(world.server.ports["http"])
    for number in range(3):
        world.notice(user, f"before {number}")
    page = world.inbox(user, way, network.port)
    page.until(f"{STATE} === 'live over {WAYS[way]}'", "the page is live")
    shows(page, "before 2", "what was there is shown")
    expect(page.run("location.hash") == "", "the token does not stay in the address")
    expect(page.run(BADGE) == "3", f"unread: {page.run(BADGE)}")
    world.notice(user, "live")
    shows(page, "live", "what comes is shown")
    page.until(f"{BADGE} === '4'", "unread grows")
    hostile = '<img src=x onerror="document.title = 1">'
    recalled = world.notice(user, hostile)
    shows(page, hostile, "a text is a text")
    world.ask("POST", f"/v1/messages/{recalled}/recall")
    shows(page, "This notice was withdrawn.", "a recall is shown")
    page.until(f"{BADGE} === '4'", "what was recalled is not unread")
    network.cut()
    page.until(f"{STATE}.startsWith('away')", "the page knows that it is away")
    world.notice(user, "missed")
    network.restore()
    shows(page, "missed", "what came meanwhile is shown")
    world.server.stop()
    page.until(f"{STATE}.startsWith('away')", "the server's stop is noticed")
    world.server.start()
    world.notice(user, "after a restart")
    shows(page, "after a restart", "the page is back after a restart")
    page.until(f"{STATE}.startsWith('live')", "and live")
    texts = page.run(TEXTS)
    expect(len(texts) == len(set(texts)) == 7, f"each once: {texts}")
    page.run("document.getElementById('read').click()")
    page.until(f"{BADGE} === ''", "all is read")
    expect(page.problems() == [], f"the page complains: {page.problems()}")
    page.close()


def looks(world):
    """What the example page looks like: for people to look at."""
    user = "looks"
    world.ask("PUT", f"/v1/users/openIM123456", {"nickname": "Office", "faceURL": ""})
    world.notice(user, "Your leave from 2 to 4 December was approved.", name="Leave", externalUrl="https://oa.example.com/leave/4711")
    world.notice(user, "大家好,今天下午三点在二号会议室召开项目例会,请准时参加。", externalUrl="https://oa.example.com/meeting/12")
    changed = world.notice(user, "Travel expenses of November: 1,284.50 to be confirmed.", name="Expenses", externalUrl="https://oa.example.com/expenses/9")
    world.ask("PATCH", f"/v1/messages/{changed}", {"statusLine": {"text": "Approved", "color": "#18794e"}})
    gone = world.notice(user, "Sent by mistake.", name="Payroll")
    world.ask("POST", f"/v1/messages/{gone}/recall")
    world.notice(user, "A build of release 2.4 has failed.\nStep: integration tests", name="CI", externalUrl="https://ci.example.com/1881")
    page = world.inbox(user, "socket", world.server.ports["http"])
    shows(page, "This notice was withdrawn.", "the cards are there")
    page.until("document.querySelectorAll('.line').length === 1", "a status line is shown")
    expect(page.run("document.querySelectorAll('a.more').length") == 4, "links are shown")
    for scheme in ("light", "dark"):
        page.picture(world.artifacts / f"inbox-{scheme}.png", scheme)
    page.run("document.getElementById('leave').click()")
    page.until("!document.getElementById('enter').hidden", "signed out")
    page.picture(world.artifacts / "enter.png")
    narrow = world.inbox(user, "sse", world.server.ports["http"], width=390, height=760)
    shows(narrow, "This notice was withdrawn.", "the cards are there")
    expect(narrow.run("document.documentElement.scrollWidth <= innerWidth"), "it fits a phone")
    narrow.picture(world.artifacts / "inbox-phone.png", "dark")
    expect(page.problems() == [], f"the page complains: {page.problems()}")


# A page of another origin: it does with fetch, EventSource and WebSocket what an application would.
FOREIGN = """
async (server, token, user) => {
  const said = {};
  const ask = async (path, options = {}) => {
    const response = await fetch(server + path, { ...options, headers: { Authorization: `Bearer ${token}` } });
    return response.json();
  };
  const soon = (promise) => Promise.race([promise, new Promise((done) => setTimeout(done, 5000, "nothing"))]);
  try { said.fetch = (await ask("/v1/me")).user; } catch { said.fetch = "refused"; }
  const ticket = async () => { try { return (await ask("/v1/tickets", { method: "POST" })).ticket; } catch { return "0".repeat(32); } };
  const one = await ticket();
  said.sse = await soon(new Promise((done) => {
    const events = new EventSource(`${server}/v1/users/${user}/log?ticket=${one}`);
    events.addEventListener("entry", ({ data, lastEventId }) => { events.close(); done(`${lastEventId} ${JSON.parse(data).content.text}`); });
    events.onerror = () => { events.close(); done("refused"); };
  }));
  const two = await ticket();
  said.socket = await soon(new Promise((done) => {
    const socket = new WebSocket(`${server.replace("http", "ws")}/v1/socket?ticket=${two}`, "waybill.v1+json");
    socket.onopen = () => {
      socket.send(JSON.stringify({ frame: "hello" }));
      socket.send(JSON.stringify({ frame: "tail", request: 1 }));
    };
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.frame === "page") { socket.close(); done(`${frame.entries[0].seq} ${frame.entries[0].content.text}`); }
    };
    socket.onerror = () => done("refused");
  }));
  return said;
}
"""


def elsewhere(world, page_host):
    """What a page of another server on this machine comes to."""
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    page = world.browser.page(f"http://{page_host}:{pages.server_address[1]}/")
    user = "elsewhere"
    token = world.token(user)
    if not world.ask("GET", f"/v1/users/{user}/log")["entries"]:
        world.notice(user, "hello")
    server = f"http://127.0.0.1:{world.server.ports['http']}"
    said = page.run(f"({FOREIGN})({json.dumps(server)}, {json.dumps(token)}, {json.dumps(user)})")
    page.close()
    pages.shutdown()
    return said


class Quiet(http.server.BaseHTTPRequestHandler):
    """An empty page."""

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()


def origins(world):
    """Pages of this machine may ask in development; elsewhere, those that are named."""
    said = elsewhere(world, "localhost")
    expect(said == {"fetch": "elsewhere", "sse": "1 hello", "socket": "1 hello"}, f"in development: {said}")
    os.environ["WAYBILL_ALLOWED_ORIGINS"] = "https://oa.example.com"
    try:
        world.server.stop()
        world.server.start()
        said = elsewhere(world, "localhost")
    finally:
        del os.environ["WAYBILL_ALLOWED_ORIGINS"]
        world.server.stop()
        world.server.start()
    expect(set(said.values()) == {"refused"}, f"of another origin: {said}")


SCENARIOS = [
    ("the example page over WebSocket", lambda world: inbox(world, "socket")),
    ("the example page over server-sent events", lambda world: inbox(world, "sse")),
    ("what the example page looks like", looks),
    ("pages of other origins", origins),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="target/release/waybill", help="the program under test")
    parser.add_argument("--artifacts", default="target/browser", help="where screenshots go")
    parser.add_argument("--only", action="append", default=[], help="only scenarios whose title holds this")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    args = parser.parse_args()
    artifacts = Path(args.artifacts).resolve()
    artifacts.mkdir(parents=True, exist_ok=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="waybill-browser-") as folder:
        world = World(str(Path(args.program).resolve()), Path(folder), artifacts)
        try:
            for title, scenario in SCENARIOS:
                if args.only and not any(word in title for word in args.only):
                    continue
                began, problem = time.monotonic(), None
                try:
                    scenario(world)
                except Failed as error:
                    problem = str(error)
                except Exception:  # noqa: BLE001  whatever it is, the other scenarios go on
                    problem = traceback.format_exc()
                seconds = round(time.monotonic() - began, 1)
                results.append({"scenario": title, "ok": problem is None, "seconds": seconds, "problem": problem})
                if not args.json:
                    print(f"{'ok' if problem is None else 'FAILED':8}{seconds:7.1f} s  {title}", flush=True)
                    if problem:
                        print("        " + problem.strip().replace("\n", "\n        "), flush=True)
        finally:
            world.end()
            (artifacts / "server.log").write_bytes((Path(folder) / "server.log").read_bytes())
    failed = [one for one in results if not one["ok"]]
    if args.json:
        print(json.dumps({"scenarios": results}, indent=2))
    else:
        print(f"{len(results) - len(failed)} of {len(results)} scenarios; screenshots and log in {artifacts}")
    sys.exit(1 if failed or not results else 0)


if __name__ == "__main__":
    main()
