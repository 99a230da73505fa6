"""The command line: what it prints and how it ends."""

import subprocess
import sys

import pytest


def tfmm(*arguments, cwd=None):
    command = "from tfmm.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=120,
    )


def test_help_names_every_verb():
    shown = tfmm("--help").stdout
    for verb in ("run", "init", "try", "serve", "request", "pretrain", "report"):
        assert f" {verb} " in shown


def test_help_loads_nothing_heavy():
    program = (
        "import sys; sys.argv = ['tfmm', '--help']\n"
        "from tfmm.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'tensorflow', 'keras', 'apache_beam', 'pyarrow', 'numpy'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert "HEAVY []" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "There is no file `nowhere.yaml`"),
        (["serve"], "Name the models in exactly one way"),
        (["request"], "Give either a recipe"),
        (
            ["run", "smoke.yaml", "--only", "nothing"],
            "This recipe has no stage 'nothing'",
        ),
    ],
)
def test_mistakes_end_with_a_message_and_no_traceback(arguments, message, tmp_path):
    ended = tfmm(*arguments, cwd=tmp_path)
    assert ended.returncode == 1
    assert message in " ".join(ended.stdout.split())
    assert "Traceback" not in ended.stdout + ended.stderr
