"""OpenIM's own web SDK, unmodified, in a real browser, against the built program: prints a table of scenarios.

    python3 tests/openim-sdk/run.py [--json] [--only WORD] [--program PATH] [--artifacts DIR]
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

from harness import HERE, SDK, Failed, Pages, Server
from scenarios import SCENARIOS, World


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="target/release/waybill", help="the program under test")
    parser.add_argument("--artifacts", default="target/openim-sdk", help="where the screenshot goes")
    parser.add_argument("--only", action="append", default=[], help="only scenarios whose title holds this")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def run(world, title, scenario, quiet):
    began = time.monotonic()
    problem = None
    try:
        scenario(world)
    except Failed as error:
        problem = str(error)
    except Exception:  # noqa: BLE001  whatever it is, the other scenarios go on
        problem = traceback.format_exc()
    finally:
        world.end_scenario()
    seconds = round(time.monotonic() - began, 1)
    if not quiet:
        print(f"{'ok' if problem is None else 'FAILED':8}{seconds:7.1f} s  {title}", flush=True)
        if problem:
            print("        " + problem.strip().replace("\n", "\n        "), flush=True)
    return {"scenario": title, "ok": problem is None, "seconds": seconds, "problem": problem}


def main():
    args = arguments()
    if not SDK.is_dir():
        sys.exit(f"openim-sdk: the SDK is missing: npm ci --ignore-scripts in {HERE}")
    artifacts = Path(args.artifacts).resolve()
    artifacts.mkdir(parents=True, exist_ok=True)
    wanted = [one for one in SCENARIOS if not args.only or any(word in one[0] for word in args.only)]
    with tempfile.TemporaryDirectory(prefix="openim-sdk-") as folder:
        server = Server(str(Path(args.program).resolve()), Path(folder) / "data")
        world = World(server, Pages(), artifacts)
        try:
            results = [run(world, title, scenario, args.json) for title, scenario in wanted]
        finally:
            server.stop()
        log = Path(folder) / "server.log"
        (artifacts / "server.log").write_bytes(log.read_bytes())
    failed = [one for one in results if not one["ok"]]
    if args.json:
        print(json.dumps({"scenarios": results, "figures": world.figures}, indent=2))
    else:
        for name, figure in world.figures.items():
            print(f"{figure:>15}    {name}")
        print(f"{len(results) - len(failed)} of {len(results)} scenarios; screenshot and log in {artifacts}")
    sys.exit(1 if failed or not results else 0)


if __name__ == "__main__":
    main()
