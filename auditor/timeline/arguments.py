"""Models of `argparse`: declared options, their defaults, and what the run command sets."""

from __future__ import annotations

import ast

from auditor.timeline.library import Library
from auditor.timeline.registry import METHODS, PATHS, Args, Kwargs
from auditor.timeline.values import FALSE, NOCONST, NONE_VAL, TRUE, UNKNOWN, Obj, Val, constant, of_obj


def _parser(self: Library, args: Args, kwargs: Kwargs, node: ast.AST, path: str) -> Val | None:
    cls = Obj("class", "Namespace", -3, extra={"bases": (), "module": False, "optimizer": False})
    obj = self.alloc("parser", "parser", node, extra=cls)
    return of_obj(obj)


def _add_argument(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    parsers = [o for o in base.objs if o.kind == "parser"]
    names = [a.const for a in args if isinstance(a.const, str)]
    if not parsers or not names:
        return None
    flags = [n for n in names if n.startswith("-")]
    long = next((n for n in flags if n.startswith("--")), names[0])
    given = kwargs["dest"].const if "dest" in kwargs else long.lstrip("-").replace("-", "_")
    action = kwargs["action"].const if "action" in kwargs else "store"
    default = kwargs.get("default", FALSE if action == "store_true" else TRUE if action == "store_false" else NONE_VAL)
    line = getattr(node, "lineno", 0)
    text = "" if default.const is NOCONST else str(default.const)
    value, source = default, f"default:L{line}"
    for at, word in enumerate(self.argv):
        name, equals, rest = word.partition("=")
        if name not in flags:
            continue
        source = "command"
        if action in ("store_true", "store_false"):
            value = TRUE if action == "store_true" else FALSE
        else:
            words = [rest] if equals else [w for w in self.argv[at + 1 : at + 2] if not w.startswith("--")]
            value = _converted(self, words[0], kwargs.get("type"), default, node) if words else TRUE
    if isinstance(given, str):
        if value.const is not NOCONST:
            self.config_read(given, value.const, source, line, text)
        for parser in parsers:
            parser.fields[given] = value
    return NONE_VAL


def _converted(self: Library, text: str, kind: Val | None, default: Val, node: ast.AST) -> Val:
    """A word of the command line, converted by the option's type."""
    if kind is not None and kind.objs:
        return self.call_value(kind, [constant(text)], {}, node)
    if isinstance(default.const, (int, float)) and not isinstance(default.const, bool):
        try:
            return constant(type(default.const)(text))
        except ValueError:
            return UNKNOWN
    return constant(text)


def _parse(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    parsers = [o for o in base.objs if o.kind == "parser"]
    if not parsers:
        return None
    made = self.alloc("inst", "Namespace", node, extra=parsers[0].extra)
    made.fields.update(parsers[0].fields)
    value = of_obj(made)
    known = getattr(getattr(node, "func", None), "attr", "") == "parse_known_args"
    return Val(items=(value, of_obj(self.alloc("list", "list", node)))) if known else value


def _group(self: Library, base: Val, args: Args, kwargs: Kwargs, node: ast.AST) -> Val | None:
    return base if any(o.kind == "parser" for o in base.objs) else None


PATHS["argparse.ArgumentParser"] = _parser
METHODS.update(
    {
        "add_argument": _add_argument,
        "parse_args": _parse,
        "parse_known_args": _parse,
        "add_argument_group": _group,
        "add_mutually_exclusive_group": _group,
    }
)
