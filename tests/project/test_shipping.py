"""What is shipped beside the wheel: images, the GitHub Action, workflows, the pre-commit hook, the citation."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from surgeon.cli import main, verbs
from surgeon.version import __version__

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = {
    "CITATION.cff": "vendor.citation-file-format",
    "action.yml": "vendor.github-actions",
    ".github/workflows/ci.yml": "vendor.github-workflows",
}
IMAGES = sorted((ROOT / "docker").glob("*.Dockerfile"))
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")


def read(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def settings() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_file_follows_its_published_schema(name: str) -> None:
    pytest.importorskip("check_jsonschema", reason="it is in the extra 'dev'")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", SCHEMAS[name], ROOT / name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


# The citation


def test_the_citation_is_of_this_release() -> None:
    citation, metadata = read("CITATION.cff"), settings()["metadata"]
    assert str(citation["version"]) == __version__ and citation["title"] == metadata["name"]
    assert citation["license"] in metadata["license_expression"].split(" AND ")
    assert (
        citation["repository-code"] == metadata["url"]
        and citation["authors"][0]["name"] == metadata["author"]
    )
    heading = re.search(r"^## \[(.+?)\] - (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert heading is not None and heading[1] in (__version__, "Unreleased")
    # A release has a date; before it, there is none.
    released = re.fullmatch(r"\d{4}-\d\d-\d\d", heading[2])
    assert str(citation.get("date-released", "")) == (heading[2] if released else "")


def test_every_link_to_the_repository_is_the_same() -> None:
    url = settings()["metadata"]["url"]
    owner = url.removeprefix("https://github.com/")
    assert set(re.findall(r"github\.com/([\w-]+/[\w-]+)", PAGE)) == {owner}
    assert set(re.findall(r"uses: (trt-[\w-]+/[\w-]+)@", PAGE)) == {owner}
    assert set(re.findall(r"(?:@|rev: )v(\d+\.\d+\.\d+)", PAGE)) == {__version__}


# The hook of pre-commit


def hook() -> dict[str, Any]:
    (found,) = read(".pre-commit-hooks.yaml")
    assert isinstance(found, dict)
    return found


def test_pre_commit_takes_the_hook() -> None:
    clientlib = pytest.importorskip("pre_commit.clientlib", reason="it is in the extra 'dev'")
    (found,) = clientlib.load_manifest(ROOT / ".pre-commit-hooks.yaml")
    assert found["id"] == "surgeon-check" and found["pass_filenames"]
    (repository,) = yaml.safe_load(re.findall(r"```yaml\n(repos:.*?)```", PAGE, re.S)[0])["repos"]
    assert [each["id"] for each in repository["hooks"]] == [found["id"]]


def test_the_hook_takes_recipes_and_nothing_else() -> None:
    found = hook()
    wanted = {
        "recipes/ssd.yaml": True,
        "detectors/recipes/a/b.yml": True,
        "recipes/ssd.cases.yaml": False,
        "recipes/__init__.py": False,
        "docs/pain.yaml": False,
    }
    assert {
        name: bool(re.search(found["files"], name) and not re.search(found["exclude"], name))
        for name in wanted
    } == wanted


def test_the_hook_finds_what_is_wrong_in_each_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program, *words = shlex.split(hook()["entry"])
    arguments = [*words, *hook()["args"]]
    assert program == "surgeon" and words[0] in verbs()
    wrong = {
        "a": "recipe: 1\nname: a\nextends: [ssd]\nnode: {}\n",
        "b": "extends: [unheard_of]\n",
        "c": "- 1\n",
    }
    for name, text in wrong.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    right = ROOT / "recipes" / "ssd.yaml"
    assert main([*arguments, str(right), str(ROOT / "recipes" / "lenet5_clip.yaml")]) == 0
    capsys.readouterr()
    assert main([*arguments, *(str(tmp_path / f"{name}.yaml") for name in wrong), str(right)]) == 1
    shown = capsys.readouterr()
    assert all(f"{name}.yaml:" in shown.err for name in wrong) and "recipe 'ssd'" in shown.out


def test_options_stand_before_the_recipes(run_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (configured,) = re.findall(r"args: \[(.*)\]", PAGE)
    options = [word.strip() for word in configured.split(",")]
    assert options[-1] == "--recipes"
    (run_in / "plugins" / "Twice").mkdir(parents=True)
    (run_in / "plugins" / "Twice" / "plugin.yaml").write_text(PLUGIN)
    assert main(["check", *options, str(ROOT / "recipes" / "ssd.yaml")]) == 0
    assert "onnx@tensorrt-10" in capsys.readouterr().out


PLUGIN = """\
title: Twice the input
summary: Multiplies by two.
library: own
inputs: [{name: input, summary: any tensor}]
outputs: [{name: output, summary: the same shape}]
sources: [own]
"""


@pytest.fixture
def run_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_recipes_go_without_a_recipe_and_anchors(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["ssd", "--recipes", "ssd"], ["--anchors", "plugin", "--recipes", "ssd"], []):
        with pytest.raises(SystemExit) as exits:
            main(["check", *words])
        assert exits.value.code == 2
    assert "RECIPE" in capsys.readouterr().err


# The Action


def scripts(name: str) -> dict[str, dict[str, Any]]:
    """Return the steps of an action or workflow that run a script, by name."""
    content = read(name)
    steps = (
        content["runs"]["steps"]
        if "runs" in content
        else [s for j in content["jobs"].values() for s in j["steps"]]
    )
    return {step.get("name", step["run"]): step for step in steps if "run" in step}


@pytest.mark.parametrize("name", ["action.yml", ".github/workflows/ci.yml"])
def test_no_script_holds_an_expression(name: str) -> None:
    found = scripts(name)
    assert found and [title for title, step in found.items() if "${{" in step["run"]] == []


def test_the_action_uses_every_input_and_the_page_names_all() -> None:
    action = read("action.yml")
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    used = set(re.findall(r"\$\{\{ inputs\.([\w-]+) \}\}", text))
    assert used == set(action["inputs"])
    given = scripts("action.yml")["Verify"]["env"]
    assert set(given) == set(re.findall(r"SURGEON_[A-Z_]+", scripts("action.yml")["Verify"]["run"]))
    tables = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.M))
    assert tables == {*action["inputs"], *action["outputs"]}
    written = set(re.findall(r'echo "([\w-]+)=', scripts("action.yml")["Verify"]["run"]))
    assert written == set(action["outputs"])
    extras = re.findall(r"GITHUB_ACTION_PATH\[([\w,]+)\]", text)[0].split(",")
    assert set(extras) <= set(settings()["options.extras_require"])


def verify_step(folder: Path, surgeon: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """Run the script that verifies; return its exit code, its outputs and what it wrote to standard error."""
    bin_folder = folder / "surgeon" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "surgeon").symlink_to(surgeon)
    (bin_folder / "python").symlink_to(sys.executable)
    step = scripts("action.yml")["Verify"]
    environment = {
        **os.environ,
        **dict.fromkeys(step["env"], ""),
        **{f"SURGEON_{name.upper()}": value for name, value in inputs.items()},
        "RUNNER_TEMP": str(folder),
        "GITHUB_OUTPUT": str(folder / "output"),
        "GITHUB_STEP_SUMMARY": str(folder / "summary"),
    }
    # The options that the runner gives to bash.
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    lines = (folder / "output").read_text().splitlines()
    return done.returncode, dict(line.split("=", 1) for line in lines), done.stderr


COMMAND = Path(sys.executable).with_name("surgeon")
HOSTILE = [
    "$(touch pwned)",
    "`touch pwned`",
    '"; touch pwned; "',
    "--output=pwned",
    "a\noutcome=passed",
    "-o",
    "*",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_caller_writes_is_no_command(text: str, tmp_path: Path) -> None:
    (tmp_path / "echo").write_text('#!/bin/sh\nprintf "%s\\n" "$@" >&2\nexit 1\n')
    (tmp_path / "echo").chmod(0o755)
    code, outputs, shown = verify_step(
        tmp_path, tmp_path / "echo", recipe=text, model=text, images=text, target=text, max_excused=text
    )
    assert code == 1 and outputs["outcome"] == "error" and set(outputs) == {"outcome", "exit-code", "report"}
    words = [f"--images={text}", f"--target={text}", f"--max-excused={text}", "--", text, text]
    assert shown == "\n".join(["verify", "--json", *words, ""])
    assert not (tmp_path / "pwned").exists()


@pytest.mark.skipif(not COMMAND.exists(), reason="the package is not installed with its command")
def test_the_action_says_why_it_fails(tmp_path: Path) -> None:
    code, outputs, shown = verify_step(tmp_path, COMMAND, recipe="unheard_of", model="nothing.pb")
    assert (code, outputs["outcome"], outputs["exit-code"]) == (1, "error", "1") and "error[" in shown
    assert (
        Path(outputs["report"]).read_text().startswith("{") and "error" in (tmp_path / "summary").read_text()
    )


def test_a_failed_verification_is_told_from_an_error(tmp_path: Path) -> None:
    verdict = ROOT / "tests" / "compatibility" / "0.1" / "verdict.json"
    (tmp_path / "failing").write_text(f"#!/bin/sh\ncat '{verdict}'\nexit 3\n")
    (tmp_path / "failing").chmod(0o755)
    code, outputs, _ = verify_step(tmp_path, tmp_path / "failing", recipe="ssd", model="m.pb")
    assert (code, outputs["outcome"], outputs["exit-code"]) == (3, "failed", "3")


# The workflow


def test_the_workflow_runs_what_any_machine_runs_and_may_only_read() -> None:
    workflow = read(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    assert ".ci/run" in scripts(".github/workflows/ci.yml") and os.access(ROOT / ".ci" / "run", os.X_OK)
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    used = [step for job in workflow["jobs"].values() for step in job["steps"] if "uses" in step]
    assert [
        s["uses"] for s in used if s["uses"] != "./" and not re.fullmatch(r"actions/[\w-]+@v\d+", s["uses"])
    ] == []
    assert all(s["with"]["persist-credentials"] is False for s in used if "checkout" in s["uses"])
    for step in used:
        if step["uses"] == "./":
            assert set(step["with"]) <= set(read("action.yml")["inputs"])
            assert (ROOT / step["with"]["model"]).is_file() and (ROOT / step["with"]["images"]).is_dir()
            assert (ROOT / "recipes" / f"{step['with']['recipe']}.yaml").is_file()


# The images


def instructions(path: Path) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, with their continued lines joined."""
    text = re.sub(r"\\\n", " ", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(word, " ".join(rest.split())) for word, _, rest in (line.partition(" ") for line in lines)]


def wheel_files() -> set[str]:
    from built_wheel import SOURCES

    return {"setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", *SOURCES}


def test_there_are_two_images() -> None:
    assert [path.stem for path in IMAGES] == ["cpu", "engine"]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_an_image_copies_files_that_exist_and_reach_the_build(path: Path) -> None:
    copied = [
        source
        for word, rest in instructions(path)
        if word == "COPY" and not rest.startswith("--from=")
        for source in rest.split()[:-1]
    ]
    assert set(copied) == wheel_files() and all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert "*" in ignored and {line[1:] for line in ignored if line.startswith("!")} == wheel_files()


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_an_image_follows_the_rules_of_good_dockerfiles(path: Path) -> None:
    found = instructions(path)
    words = [word for word, _ in found]
    assert set(words) <= {"FROM", "WORKDIR", "COPY", "RUN", "ENV", "USER", "ENTRYPOINT", "CMD"}
    stages = [rest for word, rest in found if word == "FROM"]
    names = {stage.split(" AS ")[1] for stage in stages if " AS " in stage}
    (tag,) = {stage.split()[0] for stage in stages}
    assert re.fullmatch(r"python:3\.\d+-slim-\w+", tag)
    assert {
        rest.split()[0].removeprefix("--from=") for word, rest in found if word == "COPY" and "--from" in rest
    } <= names
    assert [rest for word, rest in found if word == "USER"][-1] not in ("root", "0")
    assert words.index("USER") > words.index("ENV") and words[-2:] == ["ENTRYPOINT", "CMD"]
    assert all(rest.startswith("[") for word, rest in found if word in ("ENTRYPOINT", "CMD"))
    assert all(rest.startswith("/") for word, rest in found if word == "WORKDIR")
    installs = [rest for word, rest in found if word == "RUN" and " pip " in rest]
    assert installs and all("--no-cache-dir" in rest for rest in installs)
    assert not [
        rest for word, rest in found if word == "RUN" and re.search(r"\bsudo\b|\bcd \b|apt-get", rest)
    ]


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_an_image_installs_extras_on_a_python_that_has_them(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    extras = re.findall(r"\)\[([\w,]+)\]", text)[0].split(",")
    assert set(extras) <= set(settings()["options.extras_require"])
    (python,) = set(re.findall(r"python:(3\.\d+)", text))
    supported = re.findall(r"Python :: (3\.\d+)", settings()["metadata"]["classifiers"])
    assert python in (["3.10"] if "tensorrt" in extras else supported)


def test_the_commands_of_the_images_and_their_page_are_the_programs() -> None:
    text = (ROOT / "docker" / "README.md").read_text(encoding="utf-8")
    built = dict(re.findall(r"docker build -f (docker/[\w.]+) -t ([\w-]+) \.", text))
    assert set(built) == {f"docker/{path.name}" for path in IMAGES}
    runs = re.findall(r"^docker run .* (surgeon(?:-engine)?) ([a-z]+) ", text, re.M)
    assert len(runs) > 3 and {image for image, _ in runs} == set(built.values())
    assert {verb for _, verb in runs} <= set(verbs())


def test_the_commands_of_the_images_start(capsys: pytest.CaptureFixture[str]) -> None:
    for path in IMAGES:
        (line,) = [rest for word, rest in instructions(path) if word == "RUN" and rest.startswith("surgeon ")]
        for part in line.split(" && "):
            try:
                assert main(shlex.split(part)[1:]) == 0
            except SystemExit as exits:
                assert not exits.code, part
    assert __version__ in capsys.readouterr().out
