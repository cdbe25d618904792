"""Every request that pgolf sends, and every answer of the fake, against GitHub's own description of its API.

Requests must be complete and have nothing that GitHub does not know. Answers of the fake may leave out what nobody
reads, so what GitHub always sends is not required of them; what they have must be as GitHub has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator

from auditor.github import account, comment
from auditor.github.account import Account
from auditor.github.client import Client
from auditor.github.post import post
from auditor.submission.github import open_pull
from tests.github.conftest import NEXT, draft
from tests.github.fake import BOT, PERSON, GitHub, Seen
from tests.github.fetch_openapi import DESCRIPTION

pytestmark = pytest.mark.skipif(
    not DESCRIPTION.is_file(), reason="no description of the API: run `python -m tests.github.fetch_openapi`"
)
ME = Account(BOT["id"], BOT["login"])


@pytest.fixture(scope="module")
def api() -> dict[str, Any]:
    return json.loads(DESCRIPTION.read_text(encoding="utf-8"))


def json_schema(part: Any) -> Any:
    """OpenAPI 3.0 as JSON schema: there, `nullable` is a word of its own."""
    if isinstance(part, list):
        return [json_schema(each) for each in part]
    if not isinstance(part, dict):
        return part
    found = {name: json_schema(value) for name, value in part.items() if name not in ("nullable", "discriminator")}
    if part.get("nullable") is True:
        return {"anyOf": [{"type": "null"}, found]}
    return found


def lenient(part: Any) -> Any:
    """The same schema, with nothing required and nothing unknown allowed where properties are listed.

    Variants that differ in what they require are then no longer exclusive.
    """
    if isinstance(part, list):
        return [lenient(each) for each in part]
    if not isinstance(part, dict):
        return part
    found = {name: lenient(value) for name, value in part.items() if name != "required" or not isinstance(value, list)}
    if "oneOf" in found:
        found["anyOf"] = found.pop("oneOf")
    if isinstance(found.get("properties"), dict) and "allOf" not in found:
        found.setdefault("additionalProperties", False)
    return found


def problems(schema: Any, value: Any, api: dict[str, Any], change: Callable[[Any], Any]) -> list[str]:
    whole = {**change(json_schema(schema)), "components": change(json_schema(api["components"]))}
    return [
        f"{'/'.join(map(str, e.absolute_path))}: {e.message[:200]}"
        for e in Draft202012Validator(whole).iter_errors(value)
    ]


def resolved(part: dict[str, Any], api: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in part:
        _, _, kind, name = part["$ref"].split("/")
        return api["components"][kind][name]
    return part


def operation_of(api: dict[str, Any], seen: Seen) -> tuple[str, dict[str, Any]]:
    for path, operations in api["paths"].items():
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", path)
        if re.fullmatch(pattern, seen.path) and seen.verb.lower() in operations:
            return path, operations[seen.verb.lower()]
    raise AssertionError(f"GitHub has no {seen.verb} {seen.path}")


def check_request(api: dict[str, Any], seen: Seen) -> list[str]:
    path, operation = operation_of(api, seen)
    found = []
    known = {each["name"]: each for each in (resolved(p, api) for p in operation.get("parameters", []))}
    values = dict(zip(re.findall(r"\{([^}]+)\}", path), path_values(path, seen.path), strict=True))
    for name, text in {**seen.query, **values}.items():
        if name not in known:
            found.append(f"unknown parameter {name}")
            continue
        schema = known[name]["schema"]
        value: Any = int(text) if schema.get("type") == "integer" and text.isdecimal() else text
        found += [f"{name}: {each}" for each in problems(schema, value, api, lambda part: part)]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        found += problems(schema, seen.body, api, lambda part: part)
        found += [f"unknown in body: {name}" for name in sorted(set(seen.body) - properties(schema, api))]
    elif seen.body is not None:
        found.append("a body where there is none")
    return found


def path_values(path: str, actual: str) -> list[str]:
    match = re.fullmatch(re.sub(r"\{[^}]+\}", "([^/]+)", path), actual)
    assert match is not None
    return [unquote(each) for each in match.groups()]


def properties(schema: dict[str, Any], api: dict[str, Any]) -> set[str]:
    """Every property that the schema, or a variant of it, lists."""
    schema = resolved(schema, api)
    found = set(schema.get("properties", {}))
    for variants in ("oneOf", "anyOf", "allOf"):
        for each in schema.get(variants, []):
            found |= properties(each, api)
    return found


def check_answer(api: dict[str, Any], seen: Seen) -> list[str]:
    _, operation = operation_of(api, seen)
    if str(seen.status) not in operation["responses"]:
        return [f"GitHub never answers {seen.status}"]
    content = resolved(operation["responses"][str(seen.status)], api).get("content")
    if content is None or seen.answer is None:
        return [] if seen.answer is None else ["a body where there is none"]
    return problems(content["application/json"]["schema"], seen.answer, api, lenient)


@pytest.fixture
def everything(hub: GitHub, client: Client, url: str, monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """All that is asked of GitHub when reviews come and go."""
    monkeypatch.setenv("GITHUB_API_URL", url)
    monkeypatch.setenv("GITHUB_TOKEN", next(iter(hub.tokens)))
    hub.labels[7] = ["pgolf: clean", "bug"]
    hub.pull(7, "a" * 40, {"records/track/run/train_gpt.py": b"x\n" * 130})
    account.own(client, BOT["login"])
    post(client, ME, draft("One.", lines=tuple(range(1, 120))), label=True)
    hub.comment(7, BOT, draft("One.").review.body)
    hub.comment(7, PERSON, "Thanks!")
    post(client, ME, draft("Two.", lines=tuple(range(1, 120))), label=True)
    post(client, ME, draft("Three.", lines=(1,)))
    hub.pull(7, NEXT, {"records/track/run/train_gpt.py": b"x\n"})
    comment.mark_stale(client, hub.repo, 7, ME, NEXT)
    client.pages(f"/repos/{hub.repo}/pulls", {"state": "all", "sort": "updated", "direction": "desc"})
    tree = open_pull(hub.repo, 7).tree
    assert [tree.read(path) for path in tree.paths()] == [b"x\n"]
    hub.me = PERSON
    account.own(client)
    return hub.seen


def test_requests_are_as_github_describes_them(api: dict[str, Any], everything: list[Seen]) -> None:
    wrong = {f"{seen.verb} {seen.path}: {each}" for seen in everything for each in check_request(api, seen)}
    assert not wrong, "\n".join(sorted(wrong))
    asked = {(seen.verb, operation_of(api, seen)[0]) for seen in everything}
    assert len(asked) >= 17, sorted(asked)


def test_the_fake_answers_as_github_describes_it(api: dict[str, Any], everything: list[Seen]) -> None:
    wrong = {f"{seen.verb} {seen.path}: {each}" for seen in everything for each in check_answer(api, seen)}
    assert not wrong, "\n".join(sorted(wrong))


BAD: list[tuple[str, str, dict[str, str], Any]] = [
    ("POST", "/repos/o/r/issues/7/comments", {}, {}),
    ("POST", "/repos/o/r/issues/7/comments", {}, {"body": "x", "colour": 1}),
    ("POST", "/repos/o/r/check-runs", {}, {"name": "x"}),
    ("POST", "/repos/o/r/check-runs", {}, {"name": "x", "head_sha": "a", "status": "completed", "conclusion": "bad"}),
    ("GET", "/repos/o/r/pulls", {"sort": "size"}, None),
    ("GET", "/repos/o/r/pulls", {"order": "desc"}, None),
    ("GET", "/repos/o/r/issues/seven/comments", {}, None),
]


@pytest.mark.parametrize("verb, path, query, body", BAD)
def test_this_check_sees_what_is_wrong(
    api: dict[str, Any], verb: str, path: str, query: dict[str, str], body: Any
) -> None:
    assert check_request(api, Seen(verb, path, query, {}, body))


def test_an_unknown_address_is_seen(api: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="GitHub has no"):
        check_request(api, Seen("PUT", "/repos/o/r/pulls", {}, {}, None))
