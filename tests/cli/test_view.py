"""The verb ``view``, and ``diff --html``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from surgeon.verify import Outcome, Tolerances, Verdict, Verification


def verdict(path: Path) -> Path:
    found = Verification("small", "uff@tensorrt-8.5", ("cat.jpg",), False, Tolerances(), None, (Verdict("cut to cut", Outcome.FAILED, "bad"),))
    path.write_text(json.dumps(found.to_json()))
    return path


def test_a_model_alone_becomes_a_page(run, work: Path) -> None:
    ran = run("view", "small.pb", "--html", "page.html")
    page = (work / "page.html").read_text()
    assert (ran.code, ran.out) == (0, "") and ran.err.startswith("page.html: the page, ")
    assert page.startswith("<!DOCTYPE html>") and 'data-path="body"' in page and 'id="surgery"' not in page


def test_a_recipe_shows_what_becomes_of_the_model(run, work: Path) -> None:
    ran = run("view", "small.pb", "small.yaml", "--html", "page.html", "--set", "top=5.0", "--json")
    page = (work / "page.html").read_text()
    assert ran.code == 0 and "CustomClipPlugin" in page and "small.yaml:" in page and "clipMax <b>5</b>" in page
    assert ran.json["page"] == "page.html" and ran.json["bytes"] == (work / "page.html").stat().st_size
    assert ran.json["graphs"]["before"]["nodes"] == 9 and ran.json["graphs"]["after"]["ops"]["CustomClipPlugin"] == 1
    told = {namespace["name"]: namespace for namespace in ran.json["namespaces"]}
    assert told["pre"]["fate"] == "collapsed" and told["pre"]["into"] == {"Input": 3} and told["body"]["fate"] == "partly"


def test_the_target_decides_what_is_said(run, work: Path) -> None:
    assert run("view", "small.pb", "small.yaml", "--html", "page.html", "--target", "uff@tensorrt-7.0").code == 0
    assert "uff@tensorrt-7.0" in (work / "page.html").read_text()


def test_a_verdict_of_another_recipe_is_refused(run, work: Path) -> None:
    verdict(work / "verdict.json")
    (work / "other.yaml").write_text((work / "small.yaml").read_text().replace("name: small", "name: other"))
    ran = run("view", "small.pb", "other.yaml", "--html", "page.html", "--verification", "verdict.json")
    assert ran.code == 1 and "error[W103]" in ran.err and not (work / "page.html").exists()


def test_a_verdict_is_shown(run, work: Path) -> None:
    verdict(work / "verdict.json")
    assert run("view", "small.pb", "small.yaml", "--html", "page.html", "--verification", "verdict.json").code == 0
    page = (work / "page.html").read_text()
    assert "cut to cut" in page and "Not run" not in page


@pytest.mark.parametrize(("arguments", "code"), [
    (["small.pb", "small.yaml", "--verification", "none.json"], "W102"), (["small.pb", "small.yaml", "--verification", "small.yaml"], "W101"),
    (["none.pb"], "E101"), (["small.pb", "no such recipe"], "R112"),
])  # fmt: skip
def test_what_is_wrong_is_said_and_no_page_is_written(run, work: Path, arguments: list[str], code: str) -> None:
    ran = run("view", *arguments, "--html", "page.html")
    assert ran.code == 1 and f"error[{code}]" in ran.err and not (work / "page.html").exists()


@pytest.mark.parametrize("arguments", [
    ["small.pb"], ["small.pb", "--html", "p.html", "--verify"], ["small.pb", "--html", "p.html", "--verification", "v.json"],
    ["small.pb", "small.yaml", "--html", "p.html", "--images", "."],
    ["small.pb", "small.yaml", "--html", "p.html", "--verify", "--verification", "v.json"],
])  # fmt: skip
def test_options_that_do_not_go_together_are_wrong_usage(run, work: Path, arguments: list[str]) -> None:
    ran = run("view", *arguments)
    assert ran.code == 2 and "error" in ran.err and not (work / "p.html").exists()


def test_a_page_that_cannot_be_written_leaves_nothing(run, work: Path) -> None:
    assert "error[E105]" in run("view", "small.pb", "--html", "none/page.html").err
    assert not (work / "none").exists()


def test_the_page_shows_a_verification_made_now(run, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="verifying runs TensorFlow")
    pytest.importorskip("PIL", reason="Pillow reads and writes pictures")
    from surgeon.zoo import demo

    page = tmp_path / "page.html"
    ran = run("view", demo.model_path(), "ssd", "--html", page, "--verify", "--images", demo.picture_paths()[0])
    text = page.read_text()
    assert ran.code == 0 and "each alone" in text and "data:image/" in text and ">passed<" in text
    assert page.stat().st_size < 3_000_000


def test_two_graphs_become_a_page_of_differences(run, work: Path) -> None:
    assert run("convert", "small.yaml", "small.pb", "-o", "new.pb").code == 0
    ran = run("diff", "small.pb", "new.pb", "--html", "diff.html")
    page = (work / "diff.html").read_text()
    assert (ran.code, ran.out) == (0, "") and ran.err.startswith("diff.html: the page, ")
    assert "Changed nodes" in page and ">removed<" in page and "small.pb and new.pb" in page
    assert run("diff", "small.pb", "new.pb", "--html", "diff.html", "--json").json["equal"] is False
    assert "removed" in run("diff", "small.pb", "new.pb").out
    assert "error[E101]" in run("diff", "small.pb", "none.pb", "--html", "none.html").err and not (work / "none.html").exists()


def test_the_function_returns_the_story(work: Path) -> None:
    import surgeon.view.story

    told = surgeon.view("small.pb", "small.yaml", html="page.html")
    assert isinstance(told, surgeon.view.story.Story) and told.before is not None and (work / "page.html").is_file()
    assert surgeon.view("small.pb").kind == "graph"
    with pytest.raises(TypeError, match="goes with a recipe"):
        surgeon.view("small.pb", verification="verdict.json")
    verification = surgeon.view.read_verification(verdict(work / "verdict.json"))
    assert surgeon.view("small.pb", "small.yaml", verification=verification).recipe == "small"
