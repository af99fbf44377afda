#!/usr/bin/env python3
"""The client in Python, written from docs/protocol.md, against the built program: prints a table of scenarios.

    python3 tests/python-client/run.py [--json] [--only WORD] [--program PATH]

Needs what requirements.txt beside it names; `make python-client` installs it. Exits with 1 when a scenario fails.
"""

import argparse
import asyncio
import importlib
import json
import os
import sys
import tempfile
import time
import traceback
from pathlib import Path

sys.dont_write_bytecode = True

from harness import Failed, Server
from world import SCENARIOS, World

# Each notes its scenarios, in this order: those that stop the server come last.
for module in ("bytes_alone", "following", "sending", "kinds", "online", "refusing", "restarting"):
    importlib.import_module(module)

# Seconds for one scenario, whatever it waits for.
LONGEST = 60


def arguments():
    target = os.environ.get("CARGO_TARGET_DIR") or str(Path(__file__).resolve().parents[2] / "target")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default=f"{target}/release/waybill", help="the program under test")
    parser.add_argument("--only", action="append", default=[], help="only scenarios whose title holds this")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


async def run(world, title, scenario, quiet):
    began = time.monotonic()
    problem = None
    try:
        await asyncio.wait_for(scenario(world), LONGEST)
    except Failed as error:
        problem = str(error)
    except Exception:  # noqa: BLE001  whatever it is, the other scenarios go on
        problem = traceback.format_exc()
    finally:
        await world.end_scenario()
    seconds = round(time.monotonic() - began, 1)
    if not quiet:
        print(f"{'ok' if problem is None else 'FAILED':8}{seconds:7.1f} s  {title}", flush=True)
        if problem:
            print("        " + problem.strip().replace("\n", "\n        "), flush=True)
    return {"scenario": title, "ok": problem is None, "seconds": seconds, "problem": problem}


async def run_all(server, wanted, quiet):
    world = World(server)
    return [await run(world, title, scenario, quiet) for title, scenario in wanted]


def main():
    args = arguments()
    wanted = [one for one in SCENARIOS if not args.only or any(word in one[0] for word in args.only)]
    with tempfile.TemporaryDirectory(prefix="waybill-python-client-") as folder:
        server = Server(str(Path(args.program).resolve()), folder)
        try:
            results = asyncio.run(run_all(server, wanted, args.json))
        finally:
            server.kill()
        failed = [one for one in results if not one["ok"]]
        if failed:
            print(server.log.read_text()[-5000:], file=sys.stderr)
    if args.json:
        print(json.dumps({"scenarios": results}, indent=2))
    else:
        print(f"{len(results) - len(failed)} of {len(results)} scenarios")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
