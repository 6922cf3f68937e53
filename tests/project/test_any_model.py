"""The harness for models that detect nothing: it tells right from wrong and from refused, and goes on where it
was stopped."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"


@pytest.fixture(scope="module")
def harness() -> Iterator[Any]:
    sys.path.append(str(BENCH))
    try:
        import any_model

        yield any_model
    finally:
        sys.path.remove(str(BENCH))


@pytest.fixture(scope="module")
def graphs(harness: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    import any_model_graphs

    folder = tmp_path_factory.mktemp("graphs")
    any_model_graphs.write_graphs(folder, ["autoencoder", "hashed_words"])
    return folder


@pytest.fixture(scope="module")
def autoencoder(harness: Any, graphs: Path) -> Any:
    path = graphs / "autoencoder.pb"
    return harness.Original(path, harness.known_facts(path))


def test_a_right_conversion_is_right_in_every_column(harness: Any, autoencoder: Any, tmp_path: Path) -> None:
    for stage in ("tf2onnx", "onnx-least", "uff-least"):
        result = harness.result_of(stage, autoencoder, tmp_path)
        assert (result.outcome, result.error < 1e-6) == ("right", True), stage


def test_a_recipe_that_changes_numbers_is_wrong(
    harness: Any, autoencoder: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = harness.least_recipe(autoencoder)
    change = {"step": "replace-op", "id": "other", "from": "Sigmoid", "to": "Tanh"}
    recipe["steps"] = {"append": [change]}
    monkeypatch.setattr(harness, "least_recipe", lambda original: recipe)
    result = harness.result_of("onnx-least", autoencoder, tmp_path)
    assert result.outcome == "wrong", result.message
    assert result.cell().startswith("**wrong**")


def test_a_refusal_names_its_code_and_the_operation(harness: Any, graphs: Path, tmp_path: Path) -> None:
    path = graphs / "hashed_words.pb"
    original = harness.Original(path, harness.known_facts(path))
    for stage in ("tf2onnx", "uff-least"):
        result = harness.result_of(stage, original, tmp_path)
        assert result.outcome == "refused"
        assert "StringToHashBucketFast" in result.operation
    assert "X101" in result.code


def test_graphs_without_facts_are_read_off_themselves(harness: Any, graphs: Path, tmp_path: Path) -> None:
    path = tmp_path / "autoencoder.pb"
    path.write_bytes((graphs / "autoencoder.pb").read_bytes())
    facts = harness.known_facts(path)
    assert [(each["tensor"], tuple(each["shape"])) for each in facts.inputs] == [("X", (1, 64))]
    assert facts.outputs == ["decoded"]


def test_the_same_name_gives_the_same_graph(graphs: Path, tmp_path: Path) -> None:
    import any_model_graphs

    any_model_graphs.write_graphs(tmp_path, ["autoencoder"])
    for suffix in (".pb", ".json"):
        name = f"autoencoder{suffix}"
        assert (tmp_path / name).read_bytes() == (graphs / name).read_bytes()


@pytest.mark.parametrize(
    ("ours", "theirs", "within"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.001], False),
        ([1.9, 3.8], [1.0, 2.0], False),
        ([float("nan"), 2.0], [1.0, 2.0], False),
        ([3, 4], [3, 4], True),
        ([3, 4], [3, 5], False),
        (np.array(["cat"], object), np.array([b"cat"], object), True),
        (np.array(["cat"], object), np.array([b"cow"], object), False),
    ],
)
def test_distances(harness: Any, ours: list[float], theirs: list[float], within: bool) -> None:
    apart = harness.distance(np.asarray(ours), np.asarray(theirs))
    assert (apart <= harness.TOLERANCE) is within


def test_what_is_kept_is_not_computed_again(harness: Any, graphs: Path, tmp_path: Path) -> None:
    right = harness.asdict(harness.Result("right", 1e-7))
    for path in graphs.glob("*.pb"):
        digest = harness.hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        results = dict.fromkeys(harness.STAGES, right)
        summary = harness.known_facts(path).summary
        entry = {"graph": path.stem, "summary": summary, "digest": digest, "results": results}
        (tmp_path / f"{path.stem}.json").write_text(json.dumps(entry), encoding="utf-8")
    harness.run_folder(graphs, tmp_path, (), (), limit=0.0)
    rows = harness.table(harness.read_results(tmp_path)).splitlines()
    assert rows[2].startswith("| **right**, of 2 | 2 | 2 |")
    assert rows[-1].startswith(
        "| `hashed_words`: Words as texts: hashed to ids, then looked up | right (1e-07"
    )
    page = tmp_path / "page.md"
    page.write_text(f"# Page\n\n{harness.BEGIN}\nold\n{harness.END}\nrest\n", encoding="utf-8")
    harness.write_page(page, rows[0])
    assert page.read_text(encoding="utf-8") == f"# Page\n\n{harness.BEGIN}\n{rows[0]}\n{harness.END}\nrest\n"


def test_a_conversion_beyond_its_time_is_ended_and_the_next_one_tried(
    harness: Any, graphs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "PRELOADED", ())
    harness.run_folder(graphs, tmp_path, (), ("autoencoder",), limit=0.0)
    results = json.loads((tmp_path / "autoencoder.json").read_text(encoding="utf-8"))["results"]
    assert list(results) == list(harness.STAGES)
    assert {result["outcome"] for result in results.values()} == {"failed"}
    assert results["uff-init"]["message"] == "more than 0 s"
