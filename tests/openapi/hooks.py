"""What schemathesis cannot know of the program: loaded into it by fuzz.py."""

import json
import os
import urllib.parse
import urllib.request

import jsonschema_rs
import schemathesis

# Rules between fields that OpenAPI has no words for: what each operation says when two of its fields are right, but not together.
# A refusal in these words is no refusal of good data.
TOGETHER = {
    "listTaskReceivers": ["state and not cannot both be asked for"],
    "history": ["a page goes before a place or after one, not both"],
    "sendMessage": ["the Idempotency-Key and the clientMsgID differ", "a message for those online only is not kept"],
    "postTask": ["the Idempotency-Key and the clientMsgID differ"],
}

# What a content may be depends on the contentType of the message that is changed, which may be any that the run has met.
BY_MESSAGE = {
    "changeMessage": (":content-rules", ":content-shape"),
    "changeTask": (":content-rules", ":content-shape"),
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
        problem = response.json()
        together = any(problem["detail"].startswith(known) for known in TOGETHER.get(identifier, []))
        return not together and not problem["type"].endswith(BY_MESSAGE.get(identifier, ()))
    if "negative_data_rejection" in failure.checks:
        return not right_on_the_wire(case, response.request.url)
    return True


def right_on_the_wire(case, url):
    """Whether what is wrong by its type is right as the text that it is in an address: `[[]]` is a name like any other."""
    wrong = [place for place, part in case.meta.components.items() if part.mode.is_negative]
    if not wrong or not all(place.value in ("path", "query") for place in wrong):
        return False
    split = urllib.parse.urlsplit(url)
    texts = dict(_segments(case.operation.path, split.path))
    query = urllib.parse.parse_qsl(split.query, keep_blank_values=True)
    texts |= {("query", name): text for name, text in query}
    known = {}
    page = case.operation.schema.raw_schema
    for parameter in case.operation.definition.raw.get("parameters", []):
        schema = {"allOf": [parameter["schema"]], "components": page["components"]}
        known[parameter["in"], parameter["name"]] = jsonschema_rs.validator_for(schema)
    once = len(query) == len({name for name, _ in query})
    return once and all(place in known and _fits(known[place], text) for place, text in texts.items())


def _segments(template, path):
    for name, text in zip(template.split("/"), path.split("/")):
        if name.startswith("{"):
            yield ("path", name[1:-1]), urllib.parse.unquote(text)


def _fits(validator, text):
    if validator.is_valid(text):
        return True
    try:
        value = json.loads(text)
    except ValueError:
        return False
    # Texts of an address are no objects, lists or nothing, whatever they look like.
    return isinstance(value, (bool, int)) and validator.is_valid(value)
