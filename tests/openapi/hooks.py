"""What schemathesis cannot know of the program: loaded into it by fuzz.py."""

import json
import os
import urllib.request

import schemathesis

# Rules between fields that OpenAPI has no words for: what each operation says when two of its fields are right, but not together.
# A refusal in these words is no refusal of good data.
TOGETHER = {
    "listTaskReceivers": ["state and not cannot both be asked for"],
    "history": ["a page goes before a place or after one, not both"],
    "sendMessage": ["the Idempotency-Key and the clientMsgID differ"],
    "postTask": ["the Idempotency-Key and the clientMsgID differ"],
}


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """Lines as they are."""
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


@schemathesis.hook
def before_call(context, case, kwargs):
    """A call that revokes tokens has one of its own: with that of the run gone, every later call would be refused."""
    own = f"Bearer {os.environ['WAYBILL_TOKEN']}"
    if case.operation.label != "DELETE /v1/tokens" or case.headers.get("Authorization") != own:
        return
    request = urllib.request.Request(os.environ["WAYBILL_URL"] + "/v1/tokens", data=b'{"user": "revoked"}')
    request.add_header("Authorization", f"Bearer {os.environ['WAYBILL_ADMIN']}")
    with urllib.request.urlopen(request) as answer:
        case.headers["Authorization"] = f"Bearer {json.load(answer)['token']}"


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is one."""
    if "positive_data_acceptance" in failure.checks and response.status_code == 400:
        identifier = case.operation.definition.raw.get("operationId")
        said = response.json().get("detail", "")
        return not any(said.startswith(known) for known in TOGETHER.get(identifier, []))
    return True
