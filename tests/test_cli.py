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
    for verb in ("run", "init", "try", "gain", "serve", "request", "pretrain"):
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
        (["run", "/x/a[/b].yaml"], "There is no file `/x/a[/b].yaml`"),
        (["run", "a[bold]b.yaml"], "There is no file `a[bold]b.yaml`"),
        (["request", "--item", "1", "--url", "http://[::1"], "must be an http(s)"),
        (["request", "demo.yaml", "--item", "1"], "example is sent as it is"),
    ],
)
def test_mistakes_end_with_a_message_and_no_traceback(arguments, message, tmp_path):
    ended = tfmm(*arguments, cwd=tmp_path)
    assert ended.returncode == 1
    assert message in " ".join(ended.stdout.split())
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no folder of models"),
        (["--model_base_path", "nowhere"], "no model to serve. Received: ['"),
    ],
)
def test_serve_looks_at_the_folder_before_it_loads_tensorflow(
    arguments, message, tmp_path
):
    program = (
        "import sys\n"
        "from tfmm.cli import main\n"
        "try: main()\n"
        "finally: print('HEAVY', 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", program, "serve", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 1 and "HEAVY False" in ended.stdout
    assert message in " ".join(ended.stdout.split())
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_serve_warns_when_other_machines_may_reach_it(host, warned, tmp_path):
    ended = tfmm("serve", "nowhere", "--host", host, cwd=tmp_path)
    assert ("Warning: other machines may reach '0.0.0.0'" in ended.stdout) is warned


def test_rollback_says_what_servers_do(tmp_path):
    for version in ("1", "2"):
        (tmp_path / "ranker" / version).mkdir(parents=True)
    ended = tfmm("rollback", "ranker", cwd=tmp_path)
    assert ended.returncode == 0
    assert "Version 2 is now `withdrawn-2`" in ended.stdout
    assert "go back to version 1" in ended.stdout
    again = tfmm("rollback", "ranker", cwd=tmp_path)
    assert again.returncode == 1 and "no older version" in again.stdout
