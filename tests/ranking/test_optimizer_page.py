import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "optimizers.md"


def test_the_error_shows_as_the_page_says(capsys):
    page = PAGE.read_text(encoding="utf-8")
    code = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    printed = re.search(r"```text\n(.*?)```", page, re.DOTALL)[1]
    exec(compile(code, str(PAGE), "exec"), {})
    assert capsys.readouterr().out == printed
