"""The page docs/openapi.yaml: what can be said of it without a server, and its form for the tests."""

import copy
import pathlib
import re
import urllib.parse

import jsonschema_rs
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "openapi.yaml"
ROUTER = ROOT / "gateway" / "src" / "http" / "v1" / "mod.rs"
ERRORS = ROOT / "gateway" / "src" / "error" / "table.rs"
METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")
PROBLEM = "urn:waybill:problem:"

# Rows of the table of errors that no operation of the page answers, each with the reason.
ELSEWHERE = {
    "no-route": "of addresses that are not on the page",
    "method-not-allowed": "of methods that are not on the page",
    "unknown-session-type": "of OpenIM's calls",
    "unknown-group": "of OpenIM's calls",
    "not-offered": "of OpenIM's calls",
    "wrong-secret": "of OpenIM's calls",
    "already-registered": "of OpenIM's calls",
}


class Wrong(Exception):
    """The page and the program do not agree."""


def load():
    """The page."""
    return yaml.safe_load(PAGE.read_text())


def operations(page):
    """Each operation: its path, its method in capitals, and what the page says of it."""
    for path, item in page["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method.upper(), item[method]


def resolve(page, value):
    """What a reference refers to."""
    while "$ref" in value and value["$ref"].startswith("#/"):
        found = page
        for part in value["$ref"][2:].split("/"):
            found = found[part]
        value = found
    return value


def parameters(page, path, operation):
    """The parameters of an operation, those of its path among them."""
    every = page["paths"][path].get("parameters", []) + operation.get("parameters", [])
    return [resolve(page, parameter) for parameter in every]


def check_examples(page):
    """Every example must fit its schema. Gives how many there are."""
    count = 0
    for where, holder in _holders(page, "#"):
        examples = [("example", holder["example"])] if "example" in holder else []
        examples += [(name, one["value"]) for name, one in holder.get("examples", {}).items()]
        for name, example in examples:
            # A validator of the whole page: its references are into it.
            pointer = urllib.parse.quote(f"{where}/schema"[1:], safe="/~$")
            schema = {"$ref": f"#{pointer}", "components": page["components"], "paths": page["paths"]}
            fault = next(jsonschema_rs.validator_for(schema).iter_errors(example), None)
            if fault:
                raise Wrong(f"{where}: {name} does not fit its schema: {fault}")
            count += 1
    return count


def _holders(value, where):
    """What has a schema and examples beside it."""
    if isinstance(value, dict):
        if "schema" in value and ("example" in value or "examples" in value):
            yield where, value
        for key, inner in value.items():
            yield from _holders(inner, f"{where}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _holders(inner, f"{where}/{index}")


def check_form(page):
    """What every operation must have. Gives how many there are."""
    ids = set()
    count = 0
    for path, method, operation in operations(page):
        name = f"{method} {path}"
        identifier = operation.get("operationId")
        if not identifier or identifier in ids:
            raise Wrong(f"{name}: no operationId of its own")
        ids.add(identifier)
        if not operation.get("summary", "").endswith("."):
            raise Wrong(f"{name}: no sentence that says what it does")
        named = set(re.findall(r"\{(\w+)\}", path))
        given = {one["name"] for one in parameters(page, path, operation) if one["in"] == "path"}
        if named != given:
            raise Wrong(f"{name}: the parameters of the path are {named}, and {given} are described")
        for status, response in operation["responses"].items():
            content = resolve(page, response).get("content", {})
            expected = {"2": "application/json"}.get(status[0], "application/problem+json")
            if status != "204" and list(content) != [expected]:
                raise Wrong(f"{name}: the answer {status} is {list(content)}, not {expected}")
        count += 1
    return count


def check_problems(page):
    """The problems of the page are those of the program's table, with their statuses. Gives how many there are."""
    rows = re.findall(r'^ {4}\w+: "([a-z-]+)", "[^"]*",\s+(\d{3}),', ERRORS.read_text(), re.MULTILINE)
    table = {slug: int(status) for slug, status in rows}
    if len(table) < 40:
        raise Wrong(f"only {len(table)} rows are read from {ERRORS}: has its form changed?")
    there = {}
    for name, response in page["components"]["responses"].items():
        schema = response["content"].get("application/problem+json", {}).get("schema")
        if schema:
            properties = schema["properties"]
            kinds = properties["type"]
            for kind in kinds.get("enum", [kinds.get("const")]):
                there[kind.removeprefix(PROBLEM)] = (properties["status"]["const"], name)
    for slug, (status, name) in there.items():
        if table.get(slug) != status:
            raise Wrong(f"response {name}: {slug} is {table.get(slug)} in the program, not {status}")
    missing = set(table) - set(there) - set(ELSEWHERE)
    stray = set(there) & set(ELSEWHERE)
    if missing or stray:
        raise Wrong(f"problems that are missing: {sorted(missing)}; that are elsewhere: {sorted(stray)}")
    return len(there)


def routes():
    """The routes of the program, read from its router: pairs of a method and a path whose parameters are `{}`. Whatever looks
    like a route and is not understood is an error, so that none is passed over."""
    text = ROUTER.read_text()
    functions = dict(re.findall(r"^(?:async )?fn (\w+)\((.*?)^\}", text, re.MULTILINE | re.DOTALL))
    found = set()
    _arms(functions, "dispatch", "/v1", found)
    found |= _lines()
    read = len(_lines()) + sum(len(re.findall(r"Method::[A-Z]+\b", functions[name])) for name in functions)
    if len(found) != read:
        raise Wrong(f"{read} routes are in {ROUTER}, and {len(found)} of them are understood")
    return found


def _lines():
    """What is read line by line and so has no arm in the router."""
    text = (ROUTER.parent / "lists.rs").read_text()
    if 'strip_prefix("/v1/audiences/")' not in text or "method == Method::PUT" not in text:
        raise Wrong("lists of audiences are no longer put as this check has it")
    return {("PUT", "/v1/audiences/{}")}


def _arms(functions, name, prefix, found):
    """The arms of a `match` over the segments of a path, and of the functions that it calls for the rest of one."""
    arms = re.split(r"^ {8}\[(.*?)\] => ", functions[name], flags=re.MULTILINE)[1:]
    for pattern, body in zip(arms[::2], arms[1::2]):
        parts = [part.strip() for part in pattern.split(",") if part.strip()]
        rest = bool(parts) and parts[-1] == "rest @ .."
        fixed = parts[:-1] if rest else parts
        path = prefix + "".join("/" + (part.strip('"') if part.startswith('"') else "{}") for part in fixed)
        if rest:
            called = re.search(r"(\w+)\(service, call,[^)]*rest\)", body)
            if not called:
                raise Wrong(f"{ROUTER}: the arm [{pattern}] calls nothing for the rest of the path")
            _arms(functions, called.group(1), path, found)
            continue
        for method, guard in re.findall(r'Method::([A-Z]+)(?: if \*\w+ == "(\w+)")? =>', body):
            found.add((method, path.removesuffix("{}") + guard if guard else path))


def check_routes(page):
    """The page has the routes of the program, and no other. Gives how many there are."""
    told = {(method, re.sub(r"\{\w+\}", "{}", path)) for path, method, _ in operations(page)}
    program = routes()
    if told != program:
        raise Wrong(
            f"routes that only the program has: {sorted(program - told)}; only the page: {sorted(told - program)}"
        )
    return len(told)


def for_tests(page, known):
    """The page as the tests need it: its answers have no fields but those that it names, and its parameters are, where they can
    be, of something that is there; else nearly every answer were 404. `known` has values by the name of the parameter, or by
    operation and name."""
    page = copy.deepcopy(page)
    _close(page)
    for path, _, operation in operations(page):
        own = operation.setdefault("parameters", [])
        own += page["paths"][path].get("parameters", [])
        operation["parameters"] = own = [copy.deepcopy(resolve(page, parameter)) for parameter in own]
        for parameter in own:
            name = parameter["name"]
            values = known.get(f"{operation['operationId']}.{name}")
            if values:
                # What is not of these is refused as no value at all.
                parameter["schema"] = {"enum": values}
            elif name in known:
                parameter["schema"] = {"anyOf": [{"enum": known[name]}, parameter["schema"]]}
    for item in page["paths"].values():
        item.pop("parameters", None)
    # What a message may say depends on its contentType; those that are there are texts.
    content = page["components"]["schemas"]["ChangeRequest"]["properties"]["content"]
    content.clear()
    content["anyOf"] = [{"$ref": "#/components/schemas/TextContent"}, {"type": "null"}]
    return page


def _close(page):
    """Refuses fields that the page does not name in answers. A part of an object cannot tell which are of the other parts."""
    parts = set()
    whole = {}

    def walk(schema, is_part):
        if not isinstance(schema, dict):
            return
        if "$ref" in schema and len(schema) == 1:
            target = schema["$ref"]
            if is_part:
                parts.add(target)
            if (target, is_part) not in seen:
                seen.add((target, is_part))
                walk(resolve(page, schema), is_part)
            return
        if "$ref" in schema:
            walk({"$ref": schema["$ref"]}, True)
        of_objects = schema.get("type") in ("object", ["object", "null"])
        if of_objects and not is_part and "properties" in schema and "additionalProperties" not in schema:
            whole[id(schema)] = schema
        for one in schema.get("allOf", []):
            walk(one, True)
        for one in schema.get("oneOf", []) + schema.get("anyOf", []):
            walk(one, is_part or "properties" in schema)
        for one in schema.get("properties", {}).values():
            walk(one, False)
        for key in ("items", "additionalProperties"):
            walk(schema.get(key), False)

    seen = set()
    for _, _, operation in operations(page):
        for response in operation["responses"].values():
            for content in resolve(page, response).get("content", {}).values():
                walk(content["schema"], False)
    for schema in whole.values():
        schema["unevaluatedProperties"] = False
    # What is a whole here and a part there stays open.
    for target in parts:
        resolve(page, {"$ref": target}).pop("unevaluatedProperties", None)
