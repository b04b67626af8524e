"""What pages say can be followed: links, options, defaults; actions are pinned."""

import argparse
import inspect
import io
import re
import tomllib
from pathlib import Path

import pytest

import gvcodec
from gvcodec import cli
from gvcodec.bitstream import Kind, Reader
from gvcodec.config import SPEEDS
from tests.house.scripts import ROOT, load_script

GLOBS = "*.md", "docs/**/*.md", "eval/*.md", "training/log/*.md", "*/README.md"
PAGES = [page for pattern in GLOBS for page in ROOT.glob(pattern) if page.is_file()]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    found = re.findall(r"^#+ +(.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(page.read_text()):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_lines_outside_tables_have_at_most_160_characters(page: Path) -> None:
    lines = [ln for ln in page.read_text().splitlines() if len(ln) > 160 and ln[0] != "|"]
    assert not lines


def test_install_lines_do_not_bring_cuda_unasked() -> None:
    """PyPI's torch for Linux has 6 GB of CUDA: lines that install it name the other index."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    heavy = {name for name, needs in extras.items() if any("torch" in need for need in needs)}
    lines = [
        (page.name, line)
        for page in PAGES
        for line in page.read_text().splitlines()
        if heavy & set(re.findall(r"\w+", "".join(re.findall(r"pip install.*?\[([\w,]+)\]", line))))
    ]
    assert len(lines) >= 3
    wrong = [x for x in lines if "whl/cpu" not in x[1] and "macOS and Windows" not in x[1]]
    assert not wrong


def test_the_readme_fits_two_screens_and_names_what_this_is() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= 700
    first = text.partition("**")[2].partition("**")[0]
    assert all(word in first for word in ("AV1", "codec", "neural"))


def test_dissected_file_is_one() -> None:
    block = re.search(r"```hex\n(.*?)```", (ROOT / "docs/format.md").read_text(), re.DOTALL)
    assert block
    lines = re.findall(r"^(?:[0-9a-f]{2} )*[0-9a-f]{2}(?=  |$)", block[1], re.MULTILINE)
    data = bytes.fromhex(" ".join(lines))
    reader = Reader(io.BytesIO(data))
    head = reader.header
    assert (head.format.width, head.base, head.base_q) == (16, "av1", 50)
    packets = list(reader.packets())
    assert [p.kind for p in packets if p.is_frame] == [Kind.KEY, Kind.INTER]
    assert len(data) == 133 and reader.base_hash == bytes.fromhex("ab789a698f3c4520")


def test_the_reference_has_every_name() -> None:
    listed = re.findall(r"^::: gvcodec\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(gvcodec.__all__)


def test_the_table_of_speeds_is_that_of_the_code() -> None:
    text = (ROOT / "docs/usage.md").read_text()
    for name, row in SPEEDS.items():
        line = re.search(rf"^\| `{name}` \|(.*)\|$", text, re.MULTILINE)
        assert line is not None
        presets, vvc, tokens = line[1].split("|")
        assert numbers(presets) == row.presets["av1"]
        assert numbers(vvc) * 3 == row.presets["vvc"]
        searched = " `av1`: searched " if row.tokens == {"av1": "search"} else " none "
        assert tokens == searched


def numbers(cell: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", cell)))


def test_the_option_tables_are_those_of_the_commands() -> None:
    """`python scripts/option_tables.py` writes them."""
    tables = load_script("option_tables")
    assert tables.KEYWORDS.read_text("utf-8") == tables.keyword_types()
    for page, row in zip(tables.PAGES, ("| `-q N` |", "| `--jobs N` |"), strict=True):
        text = page.read_text()
        assert tables.fill(text) == text and row in text, page.name


#: A file or folder that a page names.
PATH = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|cpp|hpp|js|toml|html|css)|(?:[\w-]+/)+)`")


def test_files_that_the_architecture_names_exist() -> None:
    """By their path from the root or from gvcodec/; one without a folder anywhere."""
    names = PATH.findall((ROOT / "docs/architecture.md").read_text())
    tracked = [str(path.relative_to(ROOT)) for path in (ROOT / "gvcodec").rglob("*")]
    for folder in ("csrc", "web", "eval", "training", "conformance", "tests", "examples"):
        tracked += [str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*")]
    placeholder = {"training/NAME.py", "gvcodec/cli/NAME.py"}
    missing = [
        name
        for name in names
        if name not in placeholder
        and not (ROOT / name).exists()
        and not any(path.endswith(f"/{name.rstrip('/')}") for path in tracked)
    ]
    assert len(names) > 60 and not missing


def option_names(command: str) -> set[str]:
    """Keywords of a command's options."""
    (commands,) = (
        action
        for action in cli.parser([command])._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return {action.dest for action in commands.choices[command]._actions}


@pytest.mark.parametrize(
    ("function", "command"),
    [(gvcodec.encode_file, "encode"), (gvcodec.decode_file, "decode"), (gvcodec.Video, "")],
)
def test_the_reference_lists_parameters_with_their_defaults(function, command: str) -> None:
    """Those that are options of the command need no row."""
    text = (ROOT / "docs/api.md").read_text()
    section = text.partition(f"<!-- {function.__name__} -->\n")
    rows = re.findall(
        r"^\| `(\w+)` \| (.*?) \| \S.*\|$", section[2].partition("\n\n")[0], re.MULTILINE
    )
    parameters = inspect.signature(function).parameters
    named = {name for name, _ in rows}
    options = option_names(command) if command else set()
    above = section[0].rpartition("\n:::")[2]
    rest = [name for name in parameters if name not in named | options]
    assert named <= set(parameters) and all(f"`{name}`" in above for name in rest), rest
    for name, shown in rows:
        default = parameters[name].default
        if shown == "required":
            assert default is inspect.Parameter.empty
        elif shown == "–":
            assert default in ("", (), None) or isinstance(default, gvcodec.Limits)
        else:
            assert shown.strip("`") == repr(default).replace("'", '"')


GITHUB = ROOT / ".github"


def test_actions_are_pinned_by_commit_and_say_their_version() -> None:
    text = "".join(path.read_text() for path in GITHUB.glob("workflows/*.yml"))
    lines = [line.strip() for line in text.splitlines() if "uses:" in line]
    assert lines
    for line in lines:
        assert re.fullmatch(r"(- )?uses: [\w./-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", line), line
