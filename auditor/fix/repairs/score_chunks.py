"""Score chunk by chunk, and adapt to each chunk after its score is counted; the last one is only scored.

PR 549 and issue 1017, condition C3, for scripts that call an adaptation on all validation tokens and then an evaluation
of the same tokens: both are called on one chunk after the other. The chunks are a multiple of all usual windows and
batches, so that no token is lost between them; windows begin anew in each, which costs them their context there.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from itertools import pairwise

from auditor.fix.edit import Edit, Place
from auditor.fix.removal import only_in, read_after
from auditor.fix.scope import bound, read, spans
from auditor.fix.script import Script, is_bookkeeping, last_name
from auditor.verdict import Finding

CHUNK = "1 << 18"
"""Tokens; accepted rows have 2**15 to 2**18."""
_NEW = {"chunk", "chunks", "chunk_size", "chunk_nats", "chunk_bytes", "chunk_tokens", "chunk_number"}


_WIDTH = 90
_COMPILING = {"compile", "perf_counter", "synchronize", "barrier"}


def score_chunks(script: Script, finding: Finding) -> Iterator[Edit]:
    """Each call of the adaptation with each later evaluation of the same tokens, the last one first."""
    if "C3" not in finding.conditions or "math" not in bound(script.tree.body):
        return
    for name in script.callers(finding.function):
        for block, call in script.calls(name):
            start = only_in(script, block, call)
            function = script.around(call)
            if not isinstance(call, ast.Expr) or isinstance(function, ast.Module) or _looped(function, call):
                continue
            if _NEW & (bound([function]) | read([function])):
                continue
            later = [n for n in ast.walk(function) if isinstance(n, ast.Assign | ast.Return) and n.lineno > call.lineno]
            for scored in sorted(later, key=lambda n: n.lineno, reverse=True):
                yield from _chunked(script, start, call, scored)


def _looped(function: ast.AST, statement: ast.stmt) -> bool:
    loops = [n for n in ast.walk(function) if isinstance(n, ast.For | ast.While)]
    return any(statement in ast.walk(loop) for loop in loops)


def _chunked(script: Script, start: ast.stmt, call: ast.Expr, scored: ast.Assign | ast.Return) -> Iterator[Edit]:
    adapt, evaluate = call.value, scored.value
    function = script.around(call)
    if not isinstance(adapt, ast.Call) or not isinstance(evaluate, ast.Call) or _looped(function, scored):
        return
    for tokens in sorted(_sliced(script, adapt) & _sliced(script, evaluate)):
        result = _result(script, function, scored)
        if result is None or not _may_move(function, start, scored, tokens):
            continue
        test = "".join(f" and {guard}" for guard in _guards(function, call, scored))
        one = _with(evaluate, tokens, scored.col_offset + 4)
        counted, whole = result
        code = f"""\
# Each chunk is scored before it is trained on; the last one is only scored.
chunk_size = {CHUNK}
chunks = max(({tokens}.numel() - 1) // chunk_size, 1)
chunk_nats, chunk_tokens{", chunk_bytes" if counted else ""} = 0.0, 0{", 0.0" if counted else ""}
for chunk_number in range(chunks):
    chunk = {tokens}[chunk_number * chunk_size :]
    if chunk_number + 1 < chunks:
        chunk = chunk[: chunk_size + 1]
{counted or "    chunk_nats += {one} * (chunk.numel() - 1)"}
    chunk_tokens += chunk.numel() - 1
    if chunk_number + 1 < chunks{test}:
        {_with(adapt, tokens, scored.col_offset + 8)}
""".replace("{one}", one)
        what = f"score chunk by chunk at line {scored.lineno}, and adapt to each chunk after its score"
        yield Edit(
            what,
            remove=(script.begin(start),),
            replace={script.span(evaluate): whole, **_without_inference_mode(script)},
            insert={script.begin(scored): code},
            keeps=True,
        )


def _guards(function: ast.AST, call: ast.stmt, scored: ast.stmt) -> list[str]:
    """Tests under which the adaptation is called, where the evaluation is not under them as well."""
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.If) and spans(node, call.lineno) and not spans(node, scored.lineno):
            test = ast.unparse(node.test)
            if isinstance(node.test, ast.BoolOp):
                test = f"({test})"
            found.append(test if any(spans(each, call.lineno) for each in node.body) else f"not ({test})")
    return found


def _without_inference_mode(script: Script) -> dict[tuple[Place, Place], str]:
    """`no_grad` in evaluations: what they cache in the model (tables of angles) must serve the training after them."""
    modes = [n for n in ast.walk(script.tree) if isinstance(n, ast.Attribute) and n.attr == "inference_mode"]
    return {script.span(node): f"{ast.unparse(node.value)}.no_grad" for node in modes}


def _sliced(script: Script, call: ast.Call, depth: int = 2) -> set[str]:
    """Names handed to a function of the script that takes slices of them, as of a stream of tokens."""
    found = set()
    for function in script.functions.get(last_name(call.func), []):
        parts = [n.value for n in ast.walk(function) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Slice)]
        cut = {part.id for part in parts if isinstance(part, ast.Name)}
        if depth:
            inner = [n for n in ast.walk(function) if isinstance(n, ast.Call)]
            cut |= {name for each in inner for name in _sliced(script, each, depth - 1)}
        parameters = [p.arg for p in (*function.args.posonlyargs, *function.args.args)]
        given = [*zip(parameters, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]
        found |= {value.id for name, value in given if name in cut and isinstance(value, ast.Name)}
    return found


def _with(call: ast.Call, tokens: str, indent: int) -> str:
    """The call on a chunk instead of the tokens, on lines of usual length, in a statement indented by so much."""
    parts = [*map(ast.unparse, call.args), *(ast.unparse(ast.Call(ast.Name(""), [], [k]))[1:-1] for k in call.keywords)]
    parts = ["chunk" if part == tokens else part.replace(f"={tokens}", "=chunk") for part in parts]
    text = f"{ast.unparse(call.func)}({', '.join(parts)})"
    if len(text) <= _WIDTH:
        return text
    lines = textwrap.wrap(", ".join(parts), _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join([f"{ast.unparse(call.func)}(", *(" " * (indent + 4) + line for line in lines), " " * indent + ")"])


def _result(script: Script, function: ast.AST, scored: ast.Assign | ast.Return) -> tuple[str, str] | None:
    """What counts the score of a chunk, empty for a mean loss alone, and the expression of the whole score.

    Of a pair, what is printed as `bpb` is bits a byte, and the other one the mean loss in nats.
    """
    if isinstance(scored, ast.Return) or isinstance(scored.targets[0], ast.Name):
        means = [n.value for f in script.functions.get(last_name(scored.value.func), []) for n in ast.walk(f)  # type: ignore[union-attr]
                 if isinstance(n, ast.Return) and n.value is not None]  # fmt: skip
        divided = all(any(isinstance(n, ast.Div) for n in ast.walk(mean)) for mean in means)
        return ("", "chunk_nats / chunk_tokens") if means and divided else None
    target = scored.targets[0]
    names = [e.id for e in target.elts if isinstance(e, ast.Name)] if isinstance(target, ast.Tuple) else []
    printed = [name for name in names if _labelled(script, function, name)]
    if len(names) != 2 or len(printed) != 1:
        return None
    (bits,) = printed
    loss = names[1 - names.index(bits)]
    whole = {loss: "chunk_nats / chunk_tokens", bits: "chunk_nats / math.log(2.0) / chunk_bytes"}
    counted = (
        f"    {', '.join(names)} = {{one}}\n"
        f"    chunk_nats += {loss} * (chunk.numel() - 1)\n"
        f"    chunk_bytes += {loss} * (chunk.numel() - 1) / ({bits} * math.log(2.0))"
    )
    return counted, f"({whole[names[0]]}, {whole[names[1]]})"


def _labelled(script: Script, function: ast.AST, name: str) -> bool:
    """Whether a message gives the value of a name after `bpb:`."""
    for text in (n for n in ast.walk(function) if isinstance(n, ast.JoinedStr)):
        for label, value in pairwise(text.values):
            named = (
                isinstance(value, ast.FormattedValue) and isinstance(value.value, ast.Name) and value.value.id == name
            )
            if named and isinstance(label, ast.Constant) and re.search(r"bpb\W*$", str(label.value)):
                return True
    return False


def _may_move(function: ast.AST, start: ast.stmt, scored: ast.stmt, tokens: str) -> bool:
    """Whether what comes between only waits, prints, compiles or evaluates: nothing that needs the adapted weights."""
    last = start.end_lineno or start.lineno
    for node in ast.walk(function):
        if not isinstance(node, ast.stmt) or not last < node.lineno < scored.lineno or isinstance(node, ast.If):
            continue
        calls = [last_name(n.func) for n in ast.walk(node) if isinstance(n, ast.Call)]
        harmless = is_bookkeeping(node) or set(calls) <= _COMPILING or tokens in read([node])
        if not harmless or not isinstance(node, ast.Assign | ast.Expr):
            return False
    return not read_after(function, start, bound([start]))
