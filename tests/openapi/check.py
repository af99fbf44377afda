#!/usr/bin/env python3
"""Holds docs/openapi.yaml against the program: that both have the same routes and problems, that its examples fit its schemas, and
by schemathesis that the running program takes what the page allows, refuses what it does not, and answers as it says.

Needs what requirements.txt beside it names; `make openapi` installs it. Exits with 1 when anything is found.
"""

import argparse
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True

import fuzz
import page as openapi


def arguments():
    target = os.environ.get("CARGO_TARGET_DIR") or str(openapi.ROOT / "target")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default=f"{target}/release/waybill", help="the built program")
    parser.add_argument("--examples", type=int, default=20, help="most cases of each operation and pass that are made up")
    parser.add_argument("--seed", type=int, default=1, help="of what is made up")
    parser.add_argument("--page-only", action="store_true", help="start no program")
    parser.add_argument("--json", action="store_true", help="print a summary in JSON")
    return parser.parse_args()


def main():
    asked = arguments()
    began = time.monotonic()
    say = (lambda line: None) if asked.json else (lambda line: print(line, flush=True))
    summary = {}
    try:
        page = openapi.load()
        for name, check in (
            ("operations", openapi.check_form),
            ("routes", openapi.check_routes),
            ("problems", openapi.check_problems),
            ("examples", openapi.check_examples),
        ):
            summary[name] = check(page)
            say(f"{summary[name]} {name} agree")
    except openapi.Wrong as wrong:
        print(f"docs/openapi.yaml: {wrong}", file=sys.stderr)
        return 1
    passes = () if asked.page_only else fuzz.PASSES
    summary["passes"] = []
    # Each has a server and a process of its own.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = [pool.submit(fuzz.run, one, asked.program, page, asked.examples, asked.seed) for one in passes]
    for one, done in zip(passes, runs):
        found, text = done.result()
        summary["passes"].append(found)
        say(f"{one.name}: {found['cases']} calls, {len(found['failures'])} failures")
        if found["failures"]:
            print(text, file=sys.stderr)
            for failure in found["failures"]:
                print(f"FAILED as {one.name}: {failure}", file=sys.stderr)
    summary["seconds"] = round(time.monotonic() - began, 1)
    summary["ok"] = not any(found["failures"] for found in summary["passes"])
    if asked.json:
        print(json.dumps(summary, indent=2))
    return 0 if summary["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
