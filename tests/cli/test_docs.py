"""The documentation: generated pages are up to date, its recipes are read, its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])


def test_the_generated_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def recipes_of_the_guide() -> list[str]:
    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    return [block for block in re.findall(r"```yaml\n(.*?)```", text, re.S) if block.startswith("recipe: 1")]


def test_the_guide_shows_recipes() -> None:
    assert len(recipes_of_the_guide()) >= 3


@pytest.mark.parametrize("text", recipes_of_the_guide())
def test_a_recipe_of_the_guide_is_one(text: str, tmp_path: Path) -> None:
    from surgeon import check, parse_recipe

    recipe = parse_recipe(text, str(tmp_path / "guide.yaml"))
    assert check(recipe).errors == ()


def test_the_guide_names_every_key_of_the_language() -> None:
    from surgeon.language import EngineSettings, Image, NodeDefinition, Recipe
    from surgeon.steps.step import step_types

    text = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    words = set(re.findall(r"[A-Za-z_][\w-]*", text))
    for model in (Recipe, NodeDefinition, Image, EngineSettings):
        assert set(model.model_fields) <= words, model.__name__
    assert {"extends", "optional", "before", "after", "drop", "append", *step_types()} <= words


def test_what_the_pages_name_exists() -> None:
    from surgeon.catalog import load_catalog
    from surgeon.diagnostics import all_codes
    from surgeon.targets import target_names

    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"surgeon explain ([BCDEFGILPRSTVWX]\d{3})", text)) <= set(all_codes())
    assert set(re.findall(r"`((?:uff|onnx)@[a-z]+-[\d.]+)`", text)) <= set(target_names())
    assert set(re.findall(r"surgeon explain (\w+_TRT)", text)) <= set(load_catalog())


CONTRIBUTORS = (
    "CONTRIBUTING.md",
    "SECURITY.md",
    "docs/architecture.md",
    "docs/adding.md",
    "docs/releasing.md",
)


def code_spans(page: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.S))


@pytest.mark.parametrize("page", CONTRIBUTORS)
def test_the_files_that_a_page_names_exist(page: str) -> None:
    places = tuple(path.name + "/" * path.is_dir() for path in ROOT.iterdir())
    paths = [span for span in code_spans(page) if span.startswith(places) and " " not in span]
    assert paths and not [
        path for path in paths if not any(ROOT.glob(re.sub(r"\b[A-Z]{4,}\b", "*", path).rstrip("/")))
    ]


def test_what_architecture_names_in_the_code_exists() -> None:
    import pkgutil

    rooms = {path.stem for path in (ROOT / "surgeon").iterdir()}
    names = [span for span in code_spans("docs/architecture.md") if span.partition(".")[0] in rooms]
    assert len(names) > 50
    for name in names:
        pkgutil.resolve_name(f"surgeon.{name}")
    with pytest.raises(AttributeError):
        pkgutil.resolve_name("surgeon.graph.edits.apply_edit")


@pytest.mark.parametrize("page", CONTRIBUTORS)
def test_the_make_targets_that_a_page_names_exist(page: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for span in code_spans(page):
        if span.startswith("make "):
            targets = [word for word in span.split()[1:] if "=" not in word]
            assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets), span


def codes_in(text: str) -> set[str]:
    return set(re.findall(r"[\"']([BCDEFGILPRSTVWX][1-9]\d\d)[\"']", text))


def test_every_code_has_a_page_and_every_page_a_use_and_a_test() -> None:
    from surgeon.diagnostics import all_codes, code_page

    sources = [*(ROOT / "surgeon").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
    used = set().union(*(codes_in(path.read_text(encoding="utf-8")) for path in sources))
    tested = set().union(
        *(
            set(re.findall(r"[BCDEFGILPRSTVWX][1-9]\d\d", path.read_text(encoding="utf-8")))
            for path in (ROOT / "tests").rglob("*.py")
        )
    )
    assert sorted(used - set(all_codes())) == []
    retired = {code: re.findall(r"\(now (.*)\)", code_page(code)[0]) for code in all_codes()}  # type: ignore[index]
    gone = {code for code, successors in retired.items() if successors}
    assert sorted(set(all_codes()) - used - gone) == [] and sorted(used & gone) == []
    assert sorted(set(all_codes()) - tested - gone) == []
    assert all(set(re.findall(r"[A-Z]\d{3}", retired[code][0])) <= used for code in gone)


def test_a_page_begins_with_its_code() -> None:
    from surgeon.diagnostics import all_codes, code_page, pages_dir

    for code in all_codes():
        first = (pages_dir() / f"{code}.md").read_text(encoding="utf-8").partition("\n")[0]
        title, body = code_page(code) or ("", "")
        assert first == f"# {code}: {title}" and title and body.strip()
