"""Every `tfmm ...` of the documents is a command that the command line takes."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from tfmm import cli

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "saved_models/README.md", *ROOT.glob("docs/*.md")]
VERBS = typer.main.get_command(cli.app)


def documented():
    """(page, arguments) of the commands in blocks and in running text."""
    for page in PAGES:
        text = page.read_text().replace("\\\n", " ")
        blocks = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        spans = (" ".join(s.split()) for s in re.findall(r"`(tfmm [^`]+)`", prose))
        for line in [*re.findall(r"^(tfmm .*)$", blocks, re.M), *spans]:
            yield page.name, shlex.split(line, comments=True)[1:]


def parse(verb, *arguments):
    """Reads a command's arguments without running it."""
    VERBS.commands[verb].make_context(verb, list(arguments))


COMMANDS = sorted({(page, tuple(arguments)) for page, arguments in documented()})


@pytest.mark.parametrize(
    ("page", "arguments"), COMMANDS, ids=[f"{p} {' '.join(a)}" for p, a in COMMANDS]
)
def test_a_documented_command_is_taken(page, arguments):
    parse(*arguments) if len(arguments) > 1 else VERBS.commands[arguments[0]]


def test_every_page_with_commands_is_read():
    assert {"README.md", "serving.md", "day_two.md"} <= {page for page, _ in COMMANDS}


def test_what_is_no_command_is_found():
    with pytest.raises(Exception, match="No such option: --forse"):
        parse("publish", "recipes/demo.yaml", "--forse")
    with pytest.raises(Exception, match="unexpected extra argument"):
        parse("replay", "a", "b")
