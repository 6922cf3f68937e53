"""Configuration files: what they set, in which order, and that a hostile project's file makes nothing run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

RUNS = "from pathlib import Path\nPath({marker!r}).write_text('it ran')\n"


@pytest.fixture
def own(run, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the user's own configuration file, which is empty, in a home of its own."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "xdg"))
    path = home / "xdg" / "surgeon" / "config.toml"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


@pytest.fixture
def code(tmp_path: Path) -> tuple[Path, Path]:
    """Give a plugin folder whose every module leaves a marker when it is run, and the marker's path."""
    folder, marker = tmp_path / "evil", tmp_path / "marker"
    (folder / "Evil").mkdir(parents=True)
    (folder / "Evil" / "plugin.yaml").write_text(
        "title: t\nsummary: s\nlibrary: own\ninputs: [{name: a, summary: s}]\noutputs: [{name: b, summary: s}]\nfields: {}\nsources: [own]\n"
    )
    for name in ("shape", "reference", "onnx", "derive", "__init__"):
        (folder / "Evil" / f"{name}.py").write_text(RUNS.format(marker=str(marker)))
    (folder / "evil.yaml").write_text(
        "recipe: 1\nname: evil\nsummary: s.\noutputs: [c]\nnodes: {c: {plugin: Evil}}\nnamespaces: {b: c}\n"
    )
    return folder, marker


def settings(run, *arguments: object) -> dict[str, tuple[object, str]]:
    shown = run("config", "--json", *arguments).json["settings"]
    return {each["key"]: (each["value"], each["source"]) for each in shown}


def test_the_first_source_that_says_something_counts(run, own: Path, work: Path, monkeypatch) -> None:
    assert settings(run)["target"] == ("uff@tensorrt-8.5, or by the output's suffix", "default")
    own.write_text('target = "uff@tensorrt-7.1"\n[display]\ncolor = "never"\n')
    assert settings(run)["target"] == ("uff@tensorrt-7.1", "your own file")
    Path("surgeon.toml").write_text('target = "onnx@tensorrt-10"\ndisplay.color = "always"\n')
    assert settings(run)["target"] == ("onnx@tensorrt-10", "the project's file")
    assert settings(run)["display.color"] == ("always", "the project's file")
    assert settings(run, "--target", "onnx@tensorrt-8.5")["target"] == ("onnx@tensorrt-8.5", "option")
    monkeypatch.setenv("NO_COLOR", "1")
    assert settings(run)["display.color"] == ("never", "the environment: NO_COLOR")


def test_verbs_use_the_target(run, own: Path, work: Path) -> None:
    Path("surgeon.toml").write_text('target = "uff@tensorrt-7.1"\n')
    assert "for uff@tensorrt-7.1" in run("check", "small.yaml", "small.pb").out
    assert (
        "for uff@tensorrt-8.0" in run("check", "small.yaml", "small.pb", "--target", "uff@tensorrt-8.0").out
    )
    assert (
        run("convert", "small.yaml", "small.pb", "-o", "small.uff", "--json").json["target"]
        == "uff@tensorrt-7.1"
    )


def test_the_output_s_suffix_says_more_than_a_file(run, own: Path, work: Path) -> None:
    Path("surgeon.toml").write_text('target = "onnx@tensorrt-10"\n')
    assert (
        run("convert", "small.yaml", "small.pb", "-o", "small.uff", "--json").json["target"]
        == "uff@tensorrt-8.5"
    )


def test_it_is_found_from_below_and_the_nearest_counts(run, own: Path, work: Path, monkeypatch) -> None:
    (work / "a" / "b").mkdir(parents=True)
    (work / "pyproject.toml").write_text('[tool.other]\nx = 1\n[tool.surgeon]\ntarget = "uff@tensorrt-7.1"\n')
    (work / "a" / "pyproject.toml").write_text("[tool.other]\nsurgeon = 1\n")
    monkeypatch.chdir(work / "a" / "b")
    assert settings(run)["target"] == ("uff@tensorrt-7.1", "the project's file")
    (work / "a" / "surgeon.toml").write_text('target = "uff@tensorrt-8.0"\n')
    assert settings(run)["target"] == ("uff@tensorrt-8.0", "the project's file")
    (work / "a" / "pyproject.toml").write_text('[tool.surgeon]\ntarget = "uff@tensorrt-8.0"\n')
    assert "both configure this project" in run("list", "recipes").err


def test_folders_of_all_sources_count(run, own: Path, work: Path, code: tuple[Path, Path]) -> None:
    for name in ("ours", "mine", "given"):
        (work / name).mkdir()
        (work / name / f"{name}.yaml").write_text(f"recipe: 1\nname: {name}\nextends: ssd\n")
    (work / "surgeon.toml").write_text('recipe-path = ["ours", "given"]\n')
    own.write_text(f'recipe-path = ["{work}/mine"]\nplugin-path = ["{code[0]}"]\n')
    shown = run("list", "recipes", "--recipe-path", "given").out
    assert {"ours", "mine", "given"} <= set(shown.split())
    assert "Evil" in run("list", "plugins").out.split()
    rows = run("config", "--json", "--recipe-path", "given").json["settings"]
    found = [(Path(row["value"]).name, row["source"]) for row in rows if row["key"] == "recipe-path"]
    assert found == [
        ("given", "option"),
        ("ours", "the project's file"),
        ("given", "the project's file"),
        ("mine", "your own file"),
    ]


HOSTILE = {
    "a plugin folder": ('plugin-path = ["evil"]', "E133", "names code"),
    "a plugin folder as a text": ('plugin-path = "evil"', "E133", "names code"),
    "a library": ('plugin-library = ["evil/lib.so"]', "E133", "names code"),
    "a quoted key": ('"plugin-path" = ["evil"]', "E133", "names code"),
    "an escaped key": ('"plugin\\u002dpath" = ["evil"]', "E133", "names code"),
    "a table": ('[plugin-path]\nx = "evil"', "E133", "names code"),
    "recipes outside": ('recipe-path = [".."]', "E133", "outside the project"),
    "recipes at the root": ('recipe-path = ["/etc"]', "E133", "outside the project"),
    "recipes by a link": ('recipe-path = ["link"]', "E133", "outside the project"),
    "no recipes": ('recipe-path = ["nowhere"]', "E131", "no such folder"),
    "a zero byte": ('recipe-path = ["a\\u0000b"]', "E132", "expected a path"),
    "a misspelt key": ('plugin_path = ["evil"]', "E132", "there is no setting 'plugin_path'"),
    "an option": ('set = ["a=b"]', "E132", "there is no setting 'set'"),
    "a number for a target": ("target = 3", "E132", "'target' is 3; expected a text"),
    "no target": ('target = "uff@tensorrt-99"', "T101", "uff@tensorrt-99"),
    "a path for a target": ('target = "../../evil/x"', "T101", "evil"),
    "a number for folders": ("recipe-path = 1", "E132", "expected a list of paths"),
    "numbers for folders": ("recipe-path = [1]", "E132", "expected a list of paths"),
    "a text for a table": ('display = "evil"', "E132", "expected a table"),
    "a colour": ('display.color = "red"', "E132", "'display.color' is 'red'"),
    "a list for a colour": ("display.color = []", "E132", "expected 'auto'"),
    "a text for a truth value": ('display.progress = "no"', "E132", "expected true or false"),
    "unknown display": ("[display]\nwidth = 3", "E132", "'display.width'"),
    "no TOML": ("target = ", "E131", "no TOML"),
    "depth": ("x = " + "[" * 100_000, "E131", "nests too deeply"),
    "a huge number": ("x = " + "9" * 5000, "E13", ""),
    "a huge file": ("# " + "x" * 300_000, "E131", "larger than 256 KiB"),
    "escapes of the terminal": ('"\\u001b[31m" = 1', "E132", "there is no setting"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_project_file_runs_nothing(
    run, own: Path, work: Path, code: tuple[Path, Path], name: str
) -> None:
    text, expected, words = HOSTILE[name]
    (work / "link").symlink_to(work.parent)
    (work / "surgeon.toml").write_text(f"{text}\n")
    ran = run("list", "steps")
    assert ran.code == 1 and f"error[{expected}" in ran.err and words in ran.err, ran.err
    assert "\x1b" not in ran.err and "Traceback" not in ran.err
    if expected in ("E132", "E133"):
        assert f"surgeon.toml:{2 if 'width' in text else 1}:" in ran.err
    assert not code[1].exists()


@pytest.mark.parametrize(
    "name", ["a plugin folder", "recipes outside", "a misspelt key", "no TOML", "a huge file"]
)
def test_a_hostile_table_of_pyproject_runs_nothing(
    run, own: Path, work: Path, code: tuple[Path, Path], name: str
) -> None:
    text, expected, words = HOSTILE[name]
    (work / "pyproject.toml").write_text(f"[tool.surgeon]\n{text}\n")
    ran = run("list", "steps")
    assert ran.code == 1 and f"error[{expected}]" in ran.err and words in ran.err
    assert "pyproject.toml:2:" in ran.err or name == "a huge file"
    assert not code[1].exists()


def test_verbs_that_explain_go_on(run, own: Path, work: Path, code: tuple[Path, Path]) -> None:
    (work / "surgeon.toml").write_text('plugin-path = ["evil"]\n')
    for verb, status in ((("explain", "E133"), 0), (("config",), 1)):
        ran = run(*verb)
        assert ran.code == status and "warning[E133]" in ran.err and ran.out
    assert not code[1].exists()


def test_a_folder_of_recipes_is_data(run, own: Path, work: Path, code: tuple[Path, Path]) -> None:
    folder, marker = code
    (work / "surgeon.toml").write_text('recipe-path = ["evil"]\n')
    os.mkfifo(folder / "pipe.yaml")
    (folder / "far.yaml").symlink_to("/etc/passwd")
    ran = run("list", "recipes")
    assert ran.code == 0 and "evil" in ran.out.split()
    assert "C101" in run("check", "evil").err or run("check", "evil").code == 1
    run("list", "plugins"), run("test", "Evil"), run("explain", "Evil")
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["pipe", "folder", "broken link", "not UTF-8"])
def test_a_file_that_is_none(run, own: Path, work: Path, kind: str) -> None:
    path = work / "surgeon.toml"
    {
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
        "broken link": lambda: path.symlink_to("nowhere"),
        "not UTF-8": lambda: path.write_bytes(b"\xff\xfe"),
    }[kind]()
    ran = run("list", "recipes")
    assert ran.code == (0 if kind == "folder" else 1)
    assert ("error[E131]" in ran.err) == (kind != "folder")


@pytest.mark.skipif(os.getuid() != 0, reason="only the administrator can give files away")
def test_a_file_that_somebody_else_left_is_passed_over(run, own: Path, work: Path, monkeypatch) -> None:
    (work / "surgeon.toml").write_text('plugin-path = ["evil"]\n')
    os.chown(work / "surgeon.toml", 12345, 12345)
    ran = run("check", "small.yaml", "small.pb")
    assert ran.code == 0 and "warning[E134]" in ran.err and "another user" in ran.err
    os.chown(work, 12345, 12345)  # who works in somebody's folder has chosen so
    assert "error[E133]" in run("check", "small.yaml", "small.pb").err
    own.write_text('target = "uff@tensorrt-7.1"\n')
    os.chown(own, 12345, 12345)
    (work / "surgeon.toml").unlink()
    assert "warning[E134]" in run("list", "recipes").err


def test_an_own_file_that_everybody_may_write_is_passed_over(run, own: Path, work: Path, code) -> None:
    own.write_text(f'plugin-path = ["{code[0]}"]\n')
    own.chmod(0o666)
    ran = run("list", "plugins")
    assert ran.code == 0 and "everybody may write" in ran.err and "Evil" not in ran.out.split()
    own.chmod(0o644)
    assert "Evil" in run("list", "plugins").out.split()


def test_the_own_file_by_the_home_folder(run, own: Path, work: Path, monkeypatch) -> None:
    home = own.parents[2]
    (home / ".config" / "surgeon").mkdir(parents=True)
    (home / ".config" / "surgeon" / "config.toml").write_text('recipe-path = "~/recipes"\n')
    (home / "recipes").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", "xdg")  # relative: ignored
    assert settings(run)["recipe-path"] == (str(home / "recipes"), "your own file")


def test_a_removed_working_folder_has_no_project(run, own: Path, tmp_path: Path, monkeypatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert run("list", "steps").code == 0
    monkeypatch.chdir(tmp_path)


def test_libraries_of_the_own_file_do_not_disturb(run, own: Path, work: Path) -> None:
    (work / "lib.so").write_text("")
    own.write_text(f'plugin-library = ["{work}/lib.so"]\n')
    ran = run("verify", "small.yaml", "nothing.pb")
    assert "--plugin-library" not in ran.err
