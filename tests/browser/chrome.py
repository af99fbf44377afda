"""A headless Chromium, driven over a pipe by the protocol of its developer tools."""

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from harness import CHROMIUM, Failed, chromium, until


class Chromium:
    """A browser. Its pages share a profile that is thrown away."""

    def __init__(self):
        self.profile = tempfile.mkdtemp(prefix="waybill-browser-")
        to_browser, self.to = os.pipe()
        self.back, from_browser = os.pipe()

        def pipes():
            # The browser reads from descriptor 3 and writes to 4; either may be one of the others now.
            reads, writes = os.dup(to_browser), os.dup(from_browser)
            os.dup2(reads, 3)
            os.dup2(writes, 4)

        # The screenshots hold no scroll bars, and texts of all languages alike.
        command = [chromium(), *CHROMIUM, "--remote-debugging-pipe", "--hide-scrollbars", "--lang=en-US", f"--user-data-dir={self.profile}", "about:blank"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=False, preexec_fn=pipes, start_new_session=True
        )
        os.close(to_browser)
        os.close(from_browser)
        self.numbers, self.answers, self.events, self.lock = itertools.count(1), {}, [], threading.Lock()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        rest = b""
        while True:
            try:
                data = os.read(self.back, 1 << 16)
            except OSError:
                return
            if not data:
                return
            *messages, rest = (rest + data).split(b"\0")
            for message in map(json.loads, messages):
                if "id" in message:
                    self.answers[message["id"]] = message
                else:
                    self.events.append(message)

    def call(self, method, session=None, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        with self.lock:
            os.write(self.to, json.dumps(message).encode() + b"\0")
        answer = until(lambda: self.answers.pop(number, None), method, 60)
        if "error" in answer:
            raise Failed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def page(self, url, width=900, height=900):
        return Page(self, url, width, height)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self.to)
        shutil.rmtree(self.profile, ignore_errors=True)


class Page:
    """One page."""

    def __init__(self, browser, url, width, height):
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.navigate", url=url)
        self.until("document.readyState === 'complete'", "the page loads")

    def call(self, method, **params):
        return self.browser.call(method, self.session, **params)

    def run(self, script):
        """The value of a script; of a promise, what it comes to."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise Failed(f"{script}: {details.get('exception', {}).get('description', details['text'])}")
        return answer["result"].get("value")

    def until(self, script, what, patience=30):
        return until(lambda: self.run(script), what, patience)

    def problems(self):
        """What the page has complained about: errors in scripts, and what its policy has forbidden."""
        found = []
        for event in list(self.browser.events):
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.exceptionThrown":
                found.append(event["params"]["exceptionDetails"].get("exception", {}).get("description", "an exception"))
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["source"] == "security":
                found.append(event["params"]["entry"]["text"])
        return found

    def picture(self, path, scheme="light"):
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.run("new Promise((done) => setTimeout(done, 600))")
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def close(self):
        self.browser.call("Target.closeTarget", targetId=self.target)
