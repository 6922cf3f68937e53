"""Building, keeping, loading and running engines, with a stand-in for TensorRT that has its calls and no arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from engine_files import INPUT, onnx, uff

from surgeon.diagnostics import SurgeonError
from surgeon.engine import (
    BuildOptions,
    CalibrationBatches,
    Output,
    Source,
    build,
    load_engine,
    manifest_path,
    read_manifest,
)


def told(engine: Path) -> dict[str, object]:
    """Return what the stand-in's builder was told."""
    found: dict[str, object] = json.loads(engine.read_bytes())
    return found


def code_of(caught: pytest.ExceptionInfo[SurgeonError]) -> str:
    return caught.value.diagnostics[0].code


def test_an_engine_is_built_with_its_manifest_and_runs(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "net.engine"
    seen: list[tuple[str, str, int, int]] = []
    built = build(
        uff(tmp_path),
        path,
        BuildOptions("fp16", max_batch=3, workspace=1 << 24, report=True),
        watch=lambda *event: seen.append(event),
    )
    assert not built.reused
    assert [layer["Name"] for layer in json.loads(built.report)["Layers"]] == ["a", "b", "c"]
    assert [event[0] for event in seen if not event[1]] == [
        "import",
        "libraries",
        "device",
        "start",
        "parse",
        "configure",
        "build",
        "report",
        "load",
        "run",
    ]
    assert [event[2:] for event in seen if event[1] == "timing layers"] == [(1, 3), (2, 3), (3, 3)]
    manifest = read_manifest(path)
    assert manifest == built.manifest
    assert (manifest.gpu, manifest.tensorrt, manifest.compute_capability, manifest.max_batch) == (
        "Fake GPU",
        "8.5.3.1",
        "9.0",
        3,
    )
    assert manifest.inputs == (INPUT,) and [(t.name, t.binding, t.dtype) for t in manifest.outputs] == [
        ("NMS", "NMS", "float32"),
        ("NMS:1", "NMS_1", "int32"),
    ]
    assert manifest.engine.sha256 and manifest.source.name == "net.uff" and manifest.labels == {1: "cat"}
    with load_engine(path) as engine:
        values = np.arange(2 * 24, dtype=np.float32).reshape(2, 2, 4, 3)
        found = engine.run({"Input": values})
        assert found["NMS"].shape == (2, 1, 4, 7) and np.allclose(found["NMS"][:, 0, 0, 0], [11.5, 35.5])
        assert found["NMS:1"].dtype == np.int32 and found["NMS:1"].view(np.float32)[0, 0, 0, 0] == np.float32(
            11.5
        )
        again = engine.run({"Input": values[1:]})
        assert again["NMS"].shape == (1, 1, 4, 7) and again["NMS"][0, 0, 0, 0] == np.float32(35.5)


def test_a_vector_has_the_shape_of_the_model(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """UFF's parser gives a vector of 28 three axes; the model has one."""
    source = replace(
        uff(tmp_path), outputs=(Output("NMS", "float32", (None, 28)), Output("NMS:1", "int32", (None, 5)))
    )
    manifest = build(source, tmp_path / "e.engine", BuildOptions()).manifest
    assert [t.shape for t in manifest.outputs] == [(None, 28), (None, 1, 1, 1)]
    with load_engine(tmp_path / "e.engine") as engine:
        assert engine.run({"Input": np.ones((1, 2, 4, 3), np.float32)})["NMS"].shape == (1, 28)


def test_the_input_arrives_channels_first(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    build(uff(tmp_path), tmp_path / "e.engine", BuildOptions())
    with load_engine(tmp_path / "e.engine") as engine:
        values = np.random.default_rng(0).random((1, 2, 4, 3), np.float32)
        fed = engine._in_engine_layout({"Input": values})["Input"]
        assert (
            fed.shape == (1, 3, 2, 4)
            and np.array_equal(fed[0, 1], values[0, ..., 1])
            and fed.flags.c_contiguous
        )


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        (BuildOptions(), {2}),
        (BuildOptions(tf32=False), set()),
        (BuildOptions("fp16"), {0, 2}),
        (BuildOptions("fp16", dla_core=1), {0, 2, 3}),
    ],
)
def test_options_reach_the_builder(
    fake: pytest.MonkeyPatch, tmp_path: Path, options: BuildOptions, flags: set[int]
) -> None:
    build(uff(tmp_path), tmp_path / "e.engine", options)
    found = told(tmp_path / "e.engine")
    assert set(found["flags"]) == flags and found["max_batch"] == 1 and not found["explicit"]  # type: ignore[call-overload]
    # cuBLAS is allowed beside what is on by default.
    assert found["told"] == {"tactics": 0b111, "pool": 1 << 30}


@pytest.mark.parametrize("version", ["7.0.0.11", "8.2.1", "8.6.1"])
def test_older_and_newer_versions_are_told_in_their_own_way(
    fake: pytest.MonkeyPatch, tmp_path: Path, version: str
) -> None:
    fake.setenv("FAKE_TENSORRT", version)
    path = tmp_path / "e.engine"
    build(uff(tmp_path), path, BuildOptions("fp16", max_batch=2, workspace=1 << 25))
    found = told(path)
    old = version < "8.4"
    assert found["workspace"] == (1 << 25 if old else None)
    assert found["told"] == {} if version < "7.2" else "tactics" in found["told"]  # type: ignore[operator]
    with load_engine(path) as engine:
        assert engine.run({"Input": np.ones((2, 2, 4, 3), np.float32)})["NMS"].shape == (2, 1, 4, 7)


@pytest.mark.parametrize("version", ["8.2.1", "8.5.3.1", "10.3.0", "11.0.0"])
def test_an_onnx_file_with_an_open_batch(fake: pytest.MonkeyPatch, tmp_path: Path, version: str) -> None:
    fake.setenv("FAKE_TENSORRT", version)
    path = tmp_path / "e.engine"
    seen: list[tuple[str, str, int, int]] = []
    build(
        onnx(tmp_path), path, BuildOptions(max_batch=4, best_batch=2), watch=lambda *event: seen.append(event)
    )
    assert told(path)["profiles"] == [{"x": [[1, 2, 2], [2, 2, 2], [4, 2, 2]]}] and told(path)["explicit"]
    assert (("build", "Building", 1, 2) in seen) == (version >= "10" and version[0] == "1")
    with load_engine(path) as engine:
        assert [t.shape for t in engine.manifest.outputs] == [(None, 5)]
        found = engine.run({"x": np.full((3, 2, 2), 7, np.float32)})
        assert found["y"].shape == (3, 5) and (found["y"] == 7).all()


def test_precision_flags_that_are_gone_are_refused(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake.setenv("FAKE_TENSORRT", "11.0.0")
    with pytest.raises(SurgeonError, match=r"BuilderFlag\.FP16 is gone"):
        build(onnx(tmp_path), tmp_path / "e.engine", BuildOptions("fp16"))
    with pytest.raises(SurgeonError, match="no UFF parser"):
        build(uff(tmp_path), tmp_path / "e.engine", BuildOptions())
    assert not (tmp_path / "e.engine").exists()


def test_open_sizes_need_shapes(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = Source("onnx", onnx(tmp_path).path)
    with pytest.raises(SurgeonError, match="'x' has open sizes"):
        build(source, tmp_path / "e.engine", BuildOptions())
    build(
        source,
        tmp_path / "e.engine",
        BuildOptions(max_batch=2),
        shapes={"x": [[1, 2, 2], [2, 2, 2], [2, 2, 2]]},
    )
    assert read_manifest(tmp_path / "e.engine").inputs[0].shape == (None, 2, 2)


def test_a_caffe_network(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("deploy.prototxt", "weights.caffemodel"):
        (tmp_path / name).write_text(name)
    source = Source("caffe", tmp_path / "deploy.prototxt", tmp_path / "weights.caffemodel", marks=("prob",))
    manifest = build(source, tmp_path / "e.engine", BuildOptions()).manifest
    assert [t.name for t in manifest.inputs] == ["data"] and [t.name for t in manifest.outputs] == ["prob"]
    with pytest.raises(SurgeonError, match="no tensor 'other'"):
        build(
            Source("caffe", source.path, source.weights, marks=("other",)),
            tmp_path / "f.engine",
            BuildOptions(),
        )


# Keeping engines


def test_an_engine_of_the_same_is_kept_and_another_is_built(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "e.engine"
    first = build(uff(tmp_path), path, BuildOptions())
    assert build(uff(tmp_path), path, BuildOptions()).reused
    assert not build(uff(tmp_path), path, BuildOptions(), force=True).reused
    assert not build(uff(tmp_path), path, BuildOptions(tf32=False)).reused
    assert not build(uff(tmp_path, b"other"), path, BuildOptions(tf32=False)).reused
    again = build(uff(tmp_path, b"other"), path, BuildOptions(tf32=False))
    assert again.reused and again.manifest.key != first.manifest.key
    path.write_bytes(path.read_bytes()[:-1])
    assert not build(uff(tmp_path, b"other"), path, BuildOptions(tf32=False)).reused
    fake.setenv("SURGEON_DEVICES", json.dumps([["Another GPU", "9.0", 1 << 30]]))
    assert not build(uff(tmp_path, b"other"), path, BuildOptions(tf32=False)).reused


def test_calibration_asks_for_whole_batches_and_keeps_the_scales(
    fake: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[int] = []

    def batch(number: int) -> list[np.ndarray]:
        asked.append(number)
        return [np.zeros((2, 3, 2, 4), np.float32)]

    path = tmp_path / "e.engine"
    pictures = CalibrationBatches(6, 2, 3, "digest", batch)
    manifest = build(uff(tmp_path), path, BuildOptions("int8", max_batch=2), calibration=pictures).manifest
    assert (
        asked == [0, 1, 2] and told(path)["calibrated"] == "3 batches" and set(told(path)["flags"]) >= {0, 1}
    )  # type: ignore[call-overload]
    assert manifest.calibration is not None and manifest.calibration.pictures == 6
    # The same pictures with another option: the scales that are there are used.
    build(uff(tmp_path), path, BuildOptions("int8", max_batch=2, tf32=False), calibration=pictures)
    assert asked == [0, 1, 2] and told(path)["calibrated"] == "scales of 3 batches"
    # Other pictures: calibrated again.
    build(
        uff(tmp_path),
        path,
        BuildOptions("int8", max_batch=2, tf32=False),
        calibration=CalibrationBatches(6, 2, 3, "other", batch),
    )
    assert asked == [0, 1, 2] * 2
    scales = tmp_path / "scales"
    scales.write_bytes(b"by hand")
    build(
        uff(tmp_path), path, BuildOptions("int8", max_batch=2), calibration=CalibrationBatches(cache=scales)
    )
    assert told(path)["calibrated"] == "by hand"
    with pytest.raises(SurgeonError) as caught:
        build(uff(tmp_path), path, BuildOptions("int8"))
    assert code_of(caught) == "B107"


def test_the_timing_cache_is_read_and_written(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cache = tmp_path / "timing"
    build(uff(tmp_path), tmp_path / "a.engine", BuildOptions(), timing_cache=cache)
    build(uff(tmp_path), tmp_path / "b.engine", BuildOptions(), timing_cache=cache)
    assert cache.read_bytes() == b"timed;timed;"


# What goes wrong


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ("abort", "B141", ("NMS", "inputOrder", "2, 1, 0")),
        ("parse", "B142", ("UFF parser refuses",)),
        ("no engine", "B140", ("plugin", "registered")),
        ("memory", "B143", ("memory", "loading")),
        ("context", "B143", ("memory", "reaching the GPU")),
        ("execute", "B142", ("execution failed",)),
        ("load", "B142", ("cannot load",)),
    ],
)
def test_a_failure_is_a_diagnostic_and_writes_nothing(
    fake: pytest.MonkeyPatch, tmp_path: Path, fault: str, code: str, words: tuple[str, ...]
) -> None:
    fake.setenv("FAKE_FAULT", fault)
    with pytest.raises(SurgeonError) as caught:
        build(uff(tmp_path), tmp_path / "e.engine", BuildOptions())
    assert code_of(caught) == code
    text = caught.value.diagnostics[0].render()
    assert all(word in text for word in words), text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.uff"]


@pytest.mark.parametrize("fault", ["slow", "hang"])
def test_a_time_out_ends_the_child(fake: pytest.MonkeyPatch, tmp_path: Path, fault: str) -> None:
    path = tmp_path / "e.engine"
    if fault == "hang":
        build(uff(tmp_path), path, BuildOptions())
        fake.setenv("FAKE_FAULT", fault)
        with load_engine(path) as engine, pytest.raises(SurgeonError) as caught:
            engine.run({"Input": np.zeros((1, 2, 4, 3), np.float32)}, timeout=0.5)
    else:
        fake.setenv("FAKE_FAULT", fault)
        with pytest.raises(SurgeonError) as caught:
            build(uff(tmp_path), path, BuildOptions(), timeout=0.5)
    assert code_of(caught) == "B144"


def test_an_engine_from_elsewhere_is_refused(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "e.engine"
    build(uff(tmp_path), path, BuildOptions())
    fake.setenv("SURGEON_DEVICES", json.dumps([["Tesla T4", "9.0", 1 << 30]]))
    fake.setenv("FAKE_TENSORRT", "8.2.1")
    with pytest.raises(SurgeonError) as caught:
        load_engine(path)
    assert code_of(caught) == "B104"
    assert caught.value.diagnostics[0].notes == (
        "TensorRT: built for 8.5.3.1, here is 8.2.1",
        "GPU: built for Fake GPU, here is Tesla T4",
    )


def test_a_damaged_engine_or_manifest_is_refused(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "e.engine"
    build(uff(tmp_path), path, BuildOptions())
    whole, manifest = path.read_bytes(), manifest_path(path).read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(SurgeonError) as caught:
        load_engine(path)
    assert code_of(caught) == "B106"
    path.write_bytes(whole)
    for content in (b"{", b"{}", b"\xff\xfe", manifest.replace(b'"version": 1', b'"version": 9')):
        manifest_path(path).write_bytes(content)
        with pytest.raises(SurgeonError) as caught:
            load_engine(path)
        assert code_of(caught) == ("E121" if b": 9," in content else "B103")
    manifest_path(path).unlink()
    with pytest.raises(SurgeonError) as caught:
        load_engine(path)
    assert code_of(caught) == "B102"


def test_the_plugin_libraries_of_the_build_are_demanded(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "e.engine"
    manifest = build(uff(tmp_path), path, BuildOptions()).manifest
    library = tmp_path / "libmine.so"
    library.write_bytes(b"one")
    from surgeon.engine.manifest import check_libraries_of, describe_file

    needing = manifest.model_copy(update={"plugin_libraries": (describe_file(library),)})
    check_libraries_of(needing, [library], path)
    library.write_bytes(b"another")
    for given in ([], [library]):
        with pytest.raises(SurgeonError) as caught:
            check_libraries_of(needing, given, path)
        assert code_of(caught) == "B105"


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"Input": np.zeros((1, 3, 2, 4), np.float32)},
        {"Input": np.zeros((4, 2, 4, 3), np.float32)},
        {"Input": np.zeros((0, 2, 4, 3), np.float32)},
        {"other": np.zeros((1, 2, 4, 3), np.float32)},
    ],
)
def test_inputs_that_do_not_fit_are_refused(
    fake: pytest.MonkeyPatch, tmp_path: Path, feeds: dict[str, np.ndarray]
) -> None:
    build(uff(tmp_path), tmp_path / "e.engine", BuildOptions(max_batch=3))
    with load_engine(tmp_path / "e.engine") as engine, pytest.raises(SurgeonError) as caught:
        engine.run(feeds)
    assert code_of(caught) == "B108"


def test_bench_counts_what_was_run(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    build(uff(tmp_path), tmp_path / "e.engine", BuildOptions(max_batch=4))
    with load_engine(tmp_path / "e.engine") as engine:
        found = engine.bench(warm_up=0.01, rounds=20)
        single = engine.bench(batch=1, warm_up=0.0, rounds=5)
    assert (found.batch, found.rounds, single.batch) == (4, 20, 1)
    for times in (found.gpu, found.whole):
        assert 0 < times["min"] <= times["p50"] <= times["p90"] <= times["p99"] <= times["max"]
    assert found.gpu["mean"] < found.whole["mean"] and found.throughput > 0


@pytest.mark.parametrize(
    "options",
    [
        {"precision": "fp8"},
        {"max_batch": 0},
        {"max_batch": 5000},
        {"best_batch": 2},
        {"workspace": 5},
        {"dla_core": 0},
        {"algorithm": "x"},
        {"dla_core": 77, "precision": "fp16"},
    ],
)
def test_options_without_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(SurgeonError) as caught:
        BuildOptions(**options)  # type: ignore[arg-type]
    assert code_of(caught) == "B101"


def test_without_a_gpu_it_is_said(fake: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake.setenv("SURGEON_DEVICES", "[]")
    with pytest.raises(SurgeonError) as caught:
        build(uff(tmp_path), tmp_path / "e.engine", BuildOptions())
    assert code_of(caught) == "B111"
