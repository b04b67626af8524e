"""Names: a public name is a noun, a verb with its object, or a question; never a bare participle
(`found`, `wanted`, `kept`, `Settled`), which says what happened to a thing and not what it is."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Participles that are names all the same, each with its reason.
ALLOWED = {
    "cut": "command, and the function of its name",
    "read": "codec verb (in the present tense)",
    "hidden": "hidden layer",
    "left": "direction",
    "LEFT": "chroma siting",
    "PAINTED": "kind of packet, as the specification calls it",
    "coded": "callback of a progress object, public since 1.0",
    "painted": "callback of a progress object, public since 1.0",
    "compared": "field of `VerifyReport`, public since 1.0",
    "kept": "field of `RepairReport`, public since 1.0",
    "lost": "field of `RepairReport`, public since 1.0",
    "reached": "field of `EncodeReport`, public since 1.0",
}
#: Nouns and verbs that end like participles.
_NOT_PARTICIPLES = {"bed", "seed", "speed", "feed", "need", "red", "embed", "exceed", "proceed"}
_IRREGULAR = set(
    """begun bent beaten borne bound bought bitten blown born broken brought built burnt caught
    chosen cut dealt done drawn driven drunk dug eaten fallen fed felt flown forgotten fought found
    frozen given gone grown heard held hid hidden hung kept knelt known laid led left lent let lost
    made meant met mistaken overridden paid proven put read rewritten ridden risen run said seen
    sent sewn shaken shown shut slept sold sought spent split spoken spread stolen stood struck
    stuck sung sunk swept sworn taken taught thought thrown told torn understood undone wept won
    worn wound written""".split()  # noqa: SIM905
)
#: Of these the verb and the participle are one word, and the verb is what functions are named for.
_VERBS = {"put", "let", "run", "split", "spread", "set", "hid", "shut"}


def is_participle(name: str) -> bool:
    """Whether a name is one word, and that a past participle."""
    if name.startswith("_") or len(re.findall(r"[A-Z]?[a-z]+|[A-Z]+|_|\d", name)) != 1:
        return False
    word = name.lower()
    if word in _NOT_PARTICIPLES | _VERBS:
        return False
    return word in _IRREGULAR or word.endswith("ed")


def _targets(statement: ast.stmt) -> Iterator[str]:
    """Names that a statement of a module or a class defines."""
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    elif isinstance(statement, ast.Assign):
        targets = statement.targets
    else:
        return
    for target in targets:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                yield node.id


def public_names(source: str) -> Iterator[tuple[str, int]]:
    """Functions, classes, parameters, attributes and names of a module, with their lines."""
    tree = ast.parse(source)
    bodies: list[list[ast.stmt]] = [tree.body]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.lineno
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from ((parameter.arg, parameter.lineno) for parameter in parameters)
        elif isinstance(node, ast.ClassDef):
            yield node.name, node.lineno
            bodies.append(node.body)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr, node.lineno
    for body in bodies:
        for statement in body:
            yield from ((name, statement.lineno) for name in _targets(statement))


def _checked_files() -> list[Path]:
    return sorted((ROOT / "gvcodec").rglob("*.py"))


def test_no_public_name_is_a_bare_participle() -> None:
    wrong = []
    for path in _checked_files():
        place = path.relative_to(ROOT)
        names = [(path.stem, 1), *public_names(path.read_text(encoding="utf-8"))]
        wrong += [f"{place}:{line}: {name}" for name, line in names if is_participle(name)]
    new = [line for line in wrong if line.rsplit(" ", 1)[1] not in ALLOWED]
    assert not new, "name the thing, not what happened to it:\n" + "\n".join(new)
    used = {line.rsplit(" ", 1)[1] for line in wrong}
    assert set(ALLOWED) == used, "these are allowed and not used any more"


@pytest.mark.parametrize(
    "source",
    [
        "def found(): ...",
        "class Settled: ...",
        "def choose(wanted): ...",
        "class A:\n    kept: int = 0",
        "class A:\n    def __init__(self):\n        self.known = {}",
        "given = 3",
        "def f(*, told=1): ...",
    ],
)
def test_a_new_participle_is_found_wherever_it_is_defined(source: str) -> None:
    assert [name for name, _ in public_names(source) if is_participle(name)]


def test_nouns_verbs_and_longer_names_are_no_participles() -> None:
    for name in (
        "speed",
        "seed",
        "is_painted",
        "fit_payloads",
        "_found",
        "split",
        "ResolvedConfig",
    ):
        assert not is_participle(name)


#: Words in backticks of docstrings that are not names in their file: of Python, of the formats, of
#: weight files and of other programs, and keywords that a function passes on.
_OTHER_WORDS = set(
    """with fork timing style sound subtitle mpvd sha256sum stamp cores creation_time location
    artist stride keys mark_lost target_of ops_exact log_lambda_offset bitrate video_bitrate
    max_size min_gain ignore_errors allow_damaged jobs""".split()  # noqa: SIM905
)


def _identifiers(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            if isinstance(value := getattr(node, field, None), str):
                yield from value.split(".")
        text = node.value if isinstance(node, ast.Constant) else None
        if isinstance(text, str) and len(text) < 40:
            yield from re.findall(r"\w+", text)


def test_names_in_docstrings_exist() -> None:
    """A parameter that is renamed takes its description along."""
    folders = ("gvcodec", "training", "conformance", "eval", "scripts")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = {n.name for tree in trees.values() for n in ast.walk(tree) if isinstance(n, kinds)}
    stale = []
    for path, tree in trees.items():
        names = defined | _OTHER_WORDS | set(_identifiers(tree))
        for node in (node for node in ast.walk(tree) if isinstance(node, kinds)):
            words = re.findall(r"`([a-z_][a-z_0-9]*)`", ast.get_docstring(node) or "")
            stale += [f"{path.name}: {node.name}: {word}" for word in words if word not in names]
    assert not stale


#: Variables that code in docstrings takes as given, besides names of its file.
_GIVEN = {"width", "height", "scale", "q", "reader", "recovery", "video", "dataclass"}


def _code_in(docstring: str) -> Iterator[ast.Module]:
    """Paragraphs of a docstring that are Python."""
    for paragraph in re.split(r"\n\s*\n", docstring):
        try:
            code = ast.parse(textwrap.dedent(paragraph))
        except SyntaxError:
            continue
        # A line of prose, such as "Gives width (samples)", may parse as an expression.
        if any(isinstance(node, ast.Assign | ast.Call | ast.ClassDef) for node in ast.walk(code)):
            yield code


def _unknown_names(code: ast.Module, known: set[str]) -> list[str]:
    """Names that code reads, and neither defines nor finds among the `known` ones."""
    names = [node for node in ast.walk(code) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return [node.id for node in names if node.id not in known | stored]


def test_code_in_docstrings_uses_names_that_exist() -> None:
    """A function that is renamed takes its example along, in the head of a module too."""
    folders = ("gvcodec", "training", "conformance", "eval", "scripts")
    paths = [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]
    trees = {path: ast.parse(path.read_text()) for path in paths}
    kinds = (ast.FunctionDef, ast.ClassDef)
    defined = {n.name for tree in trees.values() for n in ast.walk(tree) if isinstance(n, kinds)}
    stale, examples = [], 0
    for path, tree in trees.items():
        known = defined | _GIVEN | set(_identifiers(tree)) | set(dir(builtins))
        for node in (n for n in ast.walk(tree) if isinstance(n, (ast.Module, *kinds))):
            for code in _code_in(ast.get_docstring(node) or ""):
                examples += 1
                stale += [f"{path.name}: {name}" for name in _unknown_names(code, known)]
    assert not stale and examples > 20


def test_code_that_keeps_an_old_name_is_found() -> None:
    head = "Reads options.\n\n    words = from_habits(arguments)\n    print(words)\n\nNo other."
    (code,) = _code_in(head)
    assert _unknown_names(code, {"arguments", "print"}) == ["from_habits"]
