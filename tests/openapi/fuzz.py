"""Schemathesis against a running program: who calls, with what kind of data, and what is expected."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from page import for_tests
from server import Server, seed

HERE = pathlib.Path(__file__).resolve().parent

# One: threads trip over a fault of CPython's parser (SystemError, "AST constructor recursion depth mismatch"), and the same seed is
# to give the same run.
WORKERS = 1


@dataclass(frozen=True)
class Pass:
    """One run of schemathesis on a server of its own."""

    name: str
    # Who calls; nobody is the admin.
    user: str | None
    # Coverage is every boundary of every field, one by one, right and wrong; fuzzing is what comes to its mind.
    phases: str
    codec: str
    excluded: tuple[str, ...]
    # Operations that are left out.
    without: tuple[str, ...] = ()


# Lengths are in bytes in the program and in characters on the page, so that what is right by the page is right by the program in
# ASCII alone. What holds for all texts is tried with all of them.
NOT_ASCII = ("positive_data_acceptance",)

PASSES = (
    Pass("a business system", None, "examples,coverage,fuzzing", "ascii", ()),
    Pass("a business system, any text", None, "fuzzing", "utf-8", NOT_ASCII),
    # To a user it is forbidden whatever it says, and it has a third of all boundaries.
    Pass("a user, any text", "anna", "coverage,fuzzing", "utf-8", NOT_ASCII, ("postTask",)),
)
# The phase "stateful" is off: it finds by itself which answer feeds which call, and here `seed` has put there what calls need.


def _said(fault):
    operations = ", ".join(fault.get("operations", []))
    return f"{fault.get('title', fault)} ({operations})"


def run(one, program, page, examples, random_seed):
    """One pass: what it came to, and the text of it when anything was found."""
    with Server(program) as server, tempfile.TemporaryDirectory() as folder:
        known = seed(server)
        file = pathlib.Path(folder) / "page.json"
        file.write_text(json.dumps(for_tests(page, known)))
        report = pathlib.Path(folder) / "report.json"
        token = server.token
        if one.user:
            token = server.done("POST", "/v1/tokens", {"user": one.user})["token"]
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml")]
        command += ["run", str(file), "--url", server.url, "--no-color", "--warnings", "off"]
        command += ["--checks", "all", "--continue-on-failure", "--phases", one.phases, "--workers", str(WORKERS)]
        command += ["--generation-codec", one.codec, "--generation-database", "none"]
        command += ["--max-examples", str(examples), "--seed", str(random_seed)]
        command += ["--report", "json", "--report-json-path", str(report)]
        for operation in one.without:
            command += ["--exclude-operation-id", operation]
        if one.excluded:
            command += ["--exclude-checks", ",".join(one.excluded)]
        environment = {
            **os.environ,
            "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
            "WAYBILL_URL": server.url,
            "WAYBILL_ADMIN": server.token,
            "WAYBILL_TOKEN": token,
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        faults = []
        if not server.is_alive():
            faults.append("the server has ended")
        # Answers of 500 and above are told of in its log too, and what else it found wrong.
        faults += server.complaints()
        text = done.stdout + done.stderr
        if not report.exists():
            return {"pass": one.name, "cases": 0, "failures": ["schemathesis did not run"]}, text
        found = json.loads(report.read_text())
        faults += [_said(fault) for fault in found["failures"] + found["errors"]]
        if done.returncode and not faults:
            faults.append(f"schemathesis ended with {done.returncode}")
        summary = {
            "pass": one.name,
            "cases": found["test_cases"]["generated"],
            "operations": found["operations"]["tested"],
            "passed over": found["filtered"],
            "seconds": round(found["running_time"], 1),
            "failures": faults,
        }
        return summary, text if faults else ""
