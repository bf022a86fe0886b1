"""Lanes: what is filled in, what is left to the shell, and what is wrong with one."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from engine import cli
from engine.errors import InputError, SpecError
from engine.jobs import lanes

HEAD = "#!/bin/bash\n#SBATCH --output={{log}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(lanes.FOLDER_VARIABLE, str(tmp_path / "lanes"))
    (tmp_path / "lanes").mkdir()
    return tmp_path / "lanes"


def filled(text: str, folder: Path, command: list[str]) -> str:
    (folder / "one.sh").write_text(text)
    return lanes.find("one").script(command=command, name="a-run", log="/logs/%A.log", folder=Path("/r n"))


def test_a_new_lane_is_valid_bash_and_asks_for_a_gpu_only_if_told(folder: Path, tmp_path: Path) -> None:
    lanes.new("cpu")
    lanes.new("gpu", gpu=True)
    assert "--gres=gpu:1" in " ".join(lanes.find("gpu").options)
    assert "--gres=gpu:1" not in " ".join(lanes.find("cpu").options)
    script = tmp_path / "job.sh"
    command = ["printf", "%s|", "a b", "it's", "$HOME", "{x}"]
    script.write_text(lanes.find("cpu").script(command=command, name="n", log="l", folder=tmp_path))
    said = subprocess.run(["/bin/bash", str(script)], capture_output=True, text=True, timeout=10, check=True)
    assert said.stdout == "a b|it's|$HOME|{x}|"
    with pytest.raises(InputError, match="there already"):
        lanes.new("cpu")


def test_only_words_in_double_braces_are_filled_in(folder: Path) -> None:
    body = "x=${HOME:-{}}; for i in {1..3}; do echo \"${x}\" {a,b}; done; awk '{print $1}' %s; "
    done = filled(f"{HEAD}{body}\ncd {{{{ folder }}}}\n{{{{command}}}}\n", folder, ["a", "b c"])
    assert body in done
    assert done.endswith(f"cd {shlex.quote('/r n')}\na 'b c'\n")
    assert "#SBATCH --output=/logs/%A.log\n" in done


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEAD}{{{{comand}}}}\n", r"Line 3 has an unknown placeholder, `\{\{comand\}\}`.*\{\{command\}\}"),
        (f"{HEAD}echo hello\n", "runs nothing"),
        (f"{HEAD}# {{{{command}}}}\n", "runs nothing"),
        ("#SBATCH --time=1\n{{command}}\n", "first line names no shell"),
        ("", "first line names no shell"),
        (f"{HEAD}cd x\n#SBATCH --time=1\n{{{{command}}}}\n", "Line 4 comes after a command"),
        (
            f"{HEAD}#SBATCH --array=1-4\n{{{{command}}}}\n",
            "Line 3 sets `--array=1-4`, which `verglas submit`",
        ),
        (f"{HEAD}{{{{command}}}}\n".replace("\n", "\r\n"), "line ends"),
    ],
)
def test_a_lane_that_can_t_work_says_why(text: str, words: str, folder: Path) -> None:
    (folder / "one.sh").write_bytes(text.encode())
    with pytest.raises(SpecError, match=words):
        lanes.find("one")


def test_lanes_are_listed_with_what_is_wrong(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lanes"]) == 0
    assert "verglas lanes new NAME" in capsys.readouterr().out
    assert cli.main(["lanes", "new", "gpu", "--gpu"]) == 0
    (folder / "bad.sh").write_text("echo")
    capsys.readouterr()
    assert cli.main(["lanes"]) == 0
    bad, gpu, _, where = capsys.readouterr().out.splitlines()
    assert where.endswith(str(folder))
    assert bad.split(maxsplit=1) == ["bad", "can't be used: The lane's first line names no shell."]
    assert gpu.split()[0] == "gpu"
    assert "--gres=gpu:1" in gpu
    assert cli.main(["lanes", "show", "gpu"]) == 0
    assert capsys.readouterr().out == (folder / "gpu.sh").read_text()
    for name in ("none", "../x", ""):
        assert cli.main(["lanes", "show", name]) == 2
        assert "Traceback" not in capsys.readouterr().err
