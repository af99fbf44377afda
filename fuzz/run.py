#!/usr/bin/env python3
"""Fuzzes the decoders with coverage to guide it: every target, or some, each for a while.

    fuzz/run.py --program target/release/fuzz --work target/fuzz [--seconds 60] [TARGET ...]

Begins with fuzz/corpus/TARGET.hex and with what earlier runs have found, which stays in WORK/TARGET. An input that breaks a
promise is kept in WORK/broken; the exit code is then 1.
"""

import argparse
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).parent
SOURCE = (HERE / "src" / "lib.rs").read_text()
TARGETS = {name: int(longest.replace("_", "")) for name, longest in re.findall(r'target\("([a-z0-9-]+)", ([0-9_]+),', SOURCE)}
# An input that takes longer, in seconds, or more memory, in MiB, is broken too.
SLOWEST = 10
MEMORY = 2048


def seeds(target, folder):
    """Writes the inputs of the repository into a folder, one a file, as libFuzzer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (HERE / "corpus" / f"{target}.hex").read_text().splitlines()
    for number, line in enumerate(line for line in lines if not line.startswith("#")):
        (folder / f"{number:03}").write_bytes(bytes.fromhex(line))


class Show:
    """A line on the terminal that says how far a target is; elsewhere a line every ten seconds."""

    def __init__(self, target, seconds):
        self.target, self.seconds, self.started = target, seconds, time.monotonic()
        self.state, self.live, self.said = "", sys.stdout.isatty(), self.started

    def tell(self, line):
        found = re.match(r"#(\d+)\s.*?cov: (\d+).*?corp: (\d+)/", line)
        if found:
            tried, places, kept = found.groups()
            self.state = f"{int(tried):,} inputs, {places} places in the code, {kept} inputs kept"
        now = time.monotonic()
        if now - self.said >= (0.2 if self.live else 10):
            self.said = now
            self.print("\r" if self.live else "", "" if self.live else "\n")

    def print(self, start, end):
        elapsed = min(int(time.monotonic() - self.started), self.seconds)
        text = f"    {self.target:<15} {elapsed:>4}/{self.seconds} s  {self.state}"
        print(f"{start}{text:<100}", end=end, flush=True)

    def end(self):
        self.print("\r" if self.live else "", "\n")


def fuzz(options, target):
    """Runs one target; the inputs that break a promise."""
    work, broken = options.work / target, options.work / "broken"
    start = options.work / "seeds" / target
    seeds(target, start)
    work.mkdir(parents=True, exist_ok=True)
    broken.mkdir(parents=True, exist_ok=True)
    before = set(broken.iterdir())
    command = [
        options.program,
        f"-max_total_time={options.seconds}",
        f"-max_len={TARGETS[target]}",
        f"-timeout={SLOWEST}",
        f"-rss_limit_mb={MEMORY}",
        f"-artifact_prefix={broken / target}-",
        "-print_final_stats=0",
        work,
        start,
    ]
    show, last = Show(target, options.seconds), []
    environment = {"WAYBILL_FUZZ": target, "RUST_BACKTRACE": "0"}
    run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, text=True, errors="replace")
    # It says nothing for long while it finds nothing: the line goes on all the same.
    pulse = threading.Event()
    threading.Thread(target=lambda: [show.tell("") for _ in iter(lambda: pulse.wait(1), True)], daemon=True).start()
    for line in run.stderr:
        show.tell(line)
        last = [*last[-40:], line]
    code = run.wait()
    pulse.set()
    show.end()
    found = sorted(set(broken.iterdir()) - before)
    if code != 0:
        print("".join(last[-25:]), file=sys.stderr)
        print(f"BROKEN: {target} (exit code {code})", file=sys.stderr)
        for path in found:
            print(f"    kept in {path}\n    for fuzz/corpus/{target}.hex: {path.read_bytes().hex()}", file=sys.stderr)
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="*")
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no target {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    options.program, options.work = options.program.resolve(), options.work.resolve()
    codes = [fuzz(options, target) for target in options.targets or TARGETS]
    failed = sum(code != 0 for code in codes)
    print(f"{len(codes) - failed} of {len(codes)} decoders kept their promises")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
