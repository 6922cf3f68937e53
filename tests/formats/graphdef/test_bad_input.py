"""Bad files: a diagnostic each, no traceback, nothing half-written."""

from __future__ import annotations

import errno
import gzip
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from surgeon.atomic import write_bytes, write_text, writing
from surgeon.diagnostics import Diagnostic, SurgeonError
from surgeon.formats.graphdef import check_frozen, from_bytes, load_graph, save_graph, to_bytes
from surgeon.formats.graphdef.protos import GraphDef
from surgeon.formats.uff import export_uff, write_uff
from surgeon.graph import DType, Graph, Node, Ref, SetAttr, TensorValue, apply_edits, parse_graph
from surgeon.installation import install_command

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 102406955\n"


def message(text: str) -> Any:
    return GraphDef.FromString(to_bytes(parse_graph("graph v1\n" + text)))


def constant(dtype: int = 1, dims: tuple[int, ...] = (4,), **fields: Any) -> bytes:
    g = GraphDef()
    tensor = g.node.add(name="weights", op="Const").attr["value"].tensor
    tensor.dtype = dtype
    tensor.tensor_shape.SetInParent()
    for dim in dims:
        tensor.tensor_shape.dim.add(size=dim)
    for key, value in fields.items():
        if isinstance(value, bytes):
            setattr(tensor, key, value)
        else:
            getattr(tensor, key).extend(value)
    return bytes(g.SerializeToString())


def refusal(data: bytes | Path, folder: Path, name: str = "model.pb") -> Diagnostic:
    """Return what reading these bytes is refused with."""
    path = data if isinstance(data, Path) else folder / name
    if isinstance(data, bytes):
        path.write_bytes(data)
    with pytest.raises(SurgeonError) as caught:
        load_graph(path)
    found = caught.value.diagnostics[0]
    shown = found.render()
    shown.encode()
    assert found.help or found.code in ("G103", "G106", "G107", "G111")
    return found


@pytest.mark.parametrize(
    ("name", "data", "code", "text"),
    [
        ("m.pb", b"", "E103", "is empty (0 bytes)"),
        ("m.pb", LFS, "E104", "git lfs pull"),
        ("m.pbtxt", LFS, "E104", "git lfs pull"),
        ("m.pb", b"\x89HDF\r\n\x1a\n" + bytes(500), "G101", "HDF5"),
        ("m.pb", gzip.compress(b"x" * 500, mtime=0), "G101", "compressed"),
        ("m.pb", b"\x1c\0\0\0TFL3" + bytes(100), "G101", "TensorFlow Lite"),
        ("model.etlt", b"\x0c\xf3" + bytes(100), "G101", "encrypted model of NVIDIA's TLT or TAO"),
        ("model.tflite", b"\x1c\0\0\0TFL3" + bytes(100), "G101", "frozen_inference_graph.pb"),
        ("m.pb", b"<!DOCTYPE html><html>not found</html>", "G101", "a web page"),
        ("m.pb", b'{"node": []}', "G101", "it is JSON"),
        ("m.pth", b"\x80\x02}q\0.", "G101", "PyTorch"),
        ("m.engine", b"ftrt" + bytes(100), "G101", "surgeon run ENGINE PICTURE"),
        ("m.pb", b"\x08\x01\x10\x01\x1a\x02\x0a\x00", "G101", "name it '.uff'"),
        ("m.pb", b"\x08\x07\x12\x07pytorch", "G101", "name it '.onnx'"),
        ("m.pb", b"\x89PNG\r\n\x1a\n" + bytes(100), "G101", "a picture"),
        ("pipeline.config", b"# mine\nmodel {\n  ssd { num_classes: 3 }\n}\n", "G101", "--pipeline-config"),
        ("pipeline.pbtxt", b"model {\n  ssd { num_classes: 3 }\n}\n", "G101", "--pipeline-config"),
        ("label_map.pbtxt", b"item {\n  id: 1\n  name: 'a'\n}\n", "G101", "--labels"),
        ("checkpoint", b'model_checkpoint_path: "model.ckpt-9"\n', "G101", "export_inference_graph.py"),
        ("deploy.prototxt", b'name: "LeNet"\nlayer {\n', "G101", "surgeon build NET.prototxt WEIGHTS"),
        ("yolo.cfg", b"[net]\nbatch=1\n", "G101", "Darknet"),
        ("r.yaml", b"recipe: 1\nname: r\n", "G101", "surgeon check RECIPE MODEL"),
        ("m.xml", b'<?xml version="1.0"?><net/>', "G101", "OpenVINO"),
        ("m.pkl", b"\x80\x04}q\0.", "G101", "a pickle"),
        ("model.ckpt-9", b"\x0a\x02\x0a\x00", "G101", "exporter_main_v2.py"),
        ("variables.data-00000-of-00001", bytes(100), "G101", "exporter_main_v2.py"),
        ("m.pb", bytes(1000), "G101", "not a GraphDef"),
        ("m.pb", b"\x22\x02\x08\x18", "G101", "no field in it is a node"),
        ("saved_model.pb", b"\x08\x01\x12\x04\x0a\x02\x0a\x00", "G101", "give its folder"),
        ("model.ckpt.meta", b"\x0a\x02\x0a\x00", "G101", "checkpoint"),
        ("m.pbtxt", b"node { name: 'a' op: 'P'", "G101", "text form"),
        ("m.pbtxt", b"node { nme: 'a' }", "G101", "nme"),
        ("m.pbtxt", b"\xff\xfe\x00", "G101", "not text"),
        (
            "m.pbtxt",
            b"node { name: 'a' op: 'P' attr { key: 'k' value { i: 99999999999999999999 } } }",
            "G101",
            "text form",
        ),
        ("m.pbtxt", b"# nothing\n", "G103", "no nodes"),
        ("m.pb", b"# nothing\n", "G103", "no nodes"),
        ("m.pb", b"node {\n name: 'a'\n", "G101", "text form"),
    ],
)
def test_files_that_are_no_graph(name: str, data: bytes, code: str, text: str, tmp_path: Path) -> None:
    found = refusal(data, tmp_path, name)
    assert found.code == code and text in found.render(), found.render()


def test_the_common_name_of_the_files_of_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt-9.index").write_bytes(b"x")
    found = refusal(tmp_path / "model.ckpt-9", tmp_path)
    assert found.code == "G101" and "export_inference_graph.py" in found.render()
    assert refusal(tmp_path / "model.ckpt-8", tmp_path).code == "E101"


def test_a_zip_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.pb", "w") as archive:
        archive.writestr("model.json", "{}")
    found = refusal(tmp_path / "m.pb", tmp_path)
    assert found.code == "G101" and "zip archive" in found.render()


def test_random_bytes(tmp_path: Path) -> None:
    rng = random.Random(3)
    for size in (1, 2, 5, 30, 5000):
        for _ in range(20):
            assert refusal(rng.randbytes(size), tmp_path).code in ("G101", "G111", "G112")


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        ("a = VariableV2()\nb = Identity(a)", "G102", "'a' (VariableV2)"),
        ("a = VarHandleOp()\nb = ReadVariableOp(a)", "G102", "2 variables"),
        ("a = P()\nb = Q(a, c)", "G106", "'b' (Q) reads 'c'"),
        ("a = P()\nb = Q(^c)", "G106", "'b' (Q) reads 'c'"),
        ("a = P(c)\nb = Q(a)\nc = Q(b)", "G107", "'a' reads 'c' reads 'b' reads 'a'"),
    ],
)
@pytest.mark.parametrize("name", ["m.pb", "m.pbtxt"])
def test_graphs_that_break_an_invariant(text: str, code: str, shown: str, name: str, tmp_path: Path) -> None:
    save_graph(parse_graph("graph v1\n" + text), tmp_path / name)
    found = refusal(tmp_path / name, tmp_path)
    assert found.code == code and shown in found.render()


def test_duplicate_names(tmp_path: Path) -> None:
    twice = message("a = P()").SerializeToString() * 2
    assert refusal(twice, tmp_path).code == "G105"
    with pytest.raises(SurgeonError, match="G105"):
        from_bytes(twice)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "a"}, "has no operation: 'a'"),
        ({"op": "P"}, "has no name"),
        ({}, "has no name"),
        ({"name": "a", "op": "P", "input": ["b:x"]}, "malformed input: 'b:x'"),
        ({"name": "a", "op": "P", "input": ["b:" + "9" * 5000]}, "malformed input"),
    ],
)
def test_malformed_nodes(fields: dict[str, Any], text: str, tmp_path: Path) -> None:
    g = GraphDef()
    g.node.add(**fields).SetInParent()
    found = refusal(bytes(g.SerializeToString()), tmp_path)
    assert found.code == "G111" and text in found.message


@pytest.mark.parametrize("place", ["name", "op", "input", "attr", "device", "large"])
def test_names_that_are_not_utf8(place: str, tmp_path: Path) -> None:
    g = GraphDef()
    node = g.node.add(name="XXXX" if place == "name" else "a", op="XXXX" if place == "op" else "P")
    if place == "input":
        node.input.append("XXXX")
    elif place == "device":
        node.device = "XXXX"
    elif place == "attr":
        node.attr["XXXX"].i = 1
    elif place == "large":
        tensor = node.attr["XXXX"].tensor
        tensor.dtype, tensor.tensor_content = 4, bytes(2000)
        tensor.tensor_shape.dim.add(size=2000)
    data = g.SerializeToString().replace(b"XXXX", b"X\xff\xfeX")
    assert refusal(data, tmp_path).code == "G101"
    if place != "large":
        with pytest.raises(SurgeonError, match="G101"):
            from_bytes(data)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (constant(dims=(-2,), float_val=[1.0]), "negative dimension"),
        (constant(dims=(-1,), float_val=[1.0]), "negative dimension"),
        (constant(dims=(-4,), tensor_content=bytes(4096)), "negative dimension"),
        (constant(dims=(1 << 40, 1 << 40), float_val=[1.0]), "takes"),
        (constant(dims=(1 << 62, 4), tensor_content=bytes(4096)), "takes"),
        (constant(dims=(1 << 33, 1 << 33, 0)), "takes"),
        (constant(dims=(1 << 32,), dtype=7), "takes"),
        (constant(dims=(1,) * 200, float_val=[1.0]), "200 axes"),
        (constant(dims=(1,) * 200, tensor_content=bytes(4096)), "200 axes"),
        (constant(dims=(2,), float_val=[1.0, 2.0, 3.0]), "holds 3 values"),
        (constant(dims=(2,), dtype=7, string_val=[b"a", b"b", b"c"]), "holds 3 values"),
        (constant(dims=(1,), dtype=8, scomplex_val=[1.0, 2.0, 3.0, 4.0]), "holds 2 values"),
        (constant(dims=(2,), tensor_content=bytes(7)), "holds 7 bytes"),
        (constant(dims=(0,), tensor_content=bytes(4)), "holds 4 bytes"),
        (constant(dims=(1025,), tensor_content=bytes(4096)), "holds 4096 bytes"),
        (constant(dims=(1023,), tensor_content=bytes(4096)), "holds 1,024 values"),
        (constant(dims=(1024,), tensor_content=bytes(4097)), "holds 4097 bytes"),
    ],
)
def test_hostile_shapes_and_lengths(data: bytes, text: str, tmp_path: Path) -> None:
    found = refusal(data, tmp_path)
    assert found.code == "G112" and "'weights'" in found.message and text in found.message, found.render()


@pytest.mark.parametrize(
    "data",
    [
        constant(dims=(1 << 20, 1 << 8), float_val=[1.0]),
        constant(dims=(1024,), tensor_content=bytes(4096)),
        constant(dims=(0, 1 << 20)),
        constant(dtype=60, dims=(2,), tensor_content=bytes(5000)),
        constant(dtype=20, dims=(2,)),
    ],
)
def test_unusual_constants_are_no_damage(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.pb").write_bytes(data)
    graph = load_graph(tmp_path / "m.pb")
    assert GraphDef.FromString(to_bytes(graph)) == GraphDef.FromString(data)


@pytest.mark.parametrize(
    "value",
    [
        constant(dtype=20, dims=(1,), int_val=[1]),
        constant(dtype=3, dims=(1,), int_val=[1]),
        constant(dtype=3, dims=(512,), tensor_content=bytes(2048)),
        constant(dtype=7, dims=(1,), string_val=[b"a"]),
        constant(dtype=60, dims=(1,)),
        constant(dtype=0, dims=(1,)),
    ],
)
@pytest.mark.parametrize("name", ["m.pb", "m.pbtxt"])
def test_a_constant_that_contradicts_its_type(value: bytes, name: str, tmp_path: Path) -> None:
    graph = GraphDef.FromString(value)
    graph.node[0].attr["dtype"].type = 1
    data = graph.SerializeToString() if name == "m.pb" else str(graph).encode()
    found = refusal(bytes(data), tmp_path, name)
    assert found.code == "G112" and "'weights'" in found.message and "float32" in found.message


def test_a_step_cannot_make_a_constant_contradict_itself() -> None:
    graph = parse_graph("graph v1\nc = Const() {dtype: int32, value: tensor<int32[]: 1>}\n")
    with pytest.raises(SurgeonError, match="G112"):
        apply_edits(graph, [SetAttr("c", "dtype", DType.FLOAT32)])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("m = Mean(a) {T: float32}", "'m' (Mean) reads 1 tensor; expected 2"),
        ("m = Relu(^a) {T: float32}", "'m' (Relu) reads 0 tensors; expected 1"),
        ("m = Relu(a, a) {T: float32}", "'m' (Relu) reads 2 tensors; expected 1"),
        ("m = ConcatV2(a, a) {T: float32}", "'m' (ConcatV2) reads 2 tensors; expected 3 or more"),
    ],
)
def test_operations_with_another_number_of_inputs(text: str, shown: str, tmp_path: Path) -> None:
    save_graph(parse_graph(f"graph v1\na = Placeholder() {{dtype: float32}}\n{text}\n"), tmp_path / "m.pb")
    found = refusal(tmp_path / "m.pb", tmp_path)
    assert found.code == "G117" and shown in found.message


@pytest.mark.parametrize("name", ["out.pb", "out.pbtxt", "out.uff"])
def test_an_input_that_is_cut_off_meanwhile(name: str, tmp_path: Path) -> None:
    model = tmp_path / "m.pb"
    graph = parse_graph("graph v1\noutputs: y\nx = Placeholder() {dtype: float32, shape: shape[1,9]}\n")
    weights = TensorValue.of(np.ones((9, 50_000), np.float32))
    nodes = [Node("w", "Const", attrs={"dtype": DType.FLOAT32, "value": weights})]
    nodes.append(Node("y", "MatMul", (Ref("x"), Ref("w")), attrs={"T": DType.FLOAT32}))
    save_graph(graph.replace([*graph, *nodes]), model)
    read = load_graph(model).replace(outputs=[Ref("y")])
    exported = export_uff(read, plugins={})
    os.truncate(model, 5000)
    with pytest.raises(SurgeonError, match=r"E107.*m\.pb"):
        if name == "out.uff":
            write_uff(exported, tmp_path / name)
        else:
            save_graph(read, tmp_path / name)
    with pytest.raises(SurgeonError, match="E107"):
        read["w"].attrs["value"].array()
    assert os.listdir(tmp_path) == ["m.pb"]


def test_lengths_that_lie(tmp_path: Path) -> None:
    good = message("a = P()").SerializeToString()
    for prefix in (
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0a\x80",
        b"\x0a\x7f",
    ):
        found = refusal(good + prefix, tmp_path)
        assert found.code == "G101" and "truncated or damaged" in found.message
    assert refusal(good + b"\x12\x01\xff", tmp_path).code == "G101"
    assert refusal(good + b"\x22\x01\xff", tmp_path).code == "G101"
    assert refusal(good + b"\x2a\x01\xff", tmp_path).code == "G101"


def test_every_truncation(tmp_path: Path) -> None:
    text = (
        "versions: 24 0\n"
        + "a = P() {dtype: float32}\nw = Const() {value: tensor<int32[3]: 1, 2, 3>}\nb = Q(a, c, w)\nc = R(a)\n"
    )
    whole = message(text)
    big = whole.node.add(name="big", op="Const").attr["value"].tensor
    big.dtype, big.tensor_content = 1, np.arange(1000, dtype=np.float32).tobytes()
    big.tensor_shape.dim.add(size=1000)
    data = whole.SerializeToString()
    boundaries = {
        len(GraphDef(node=whole.node[:count]).SerializeToString()) for count in range(len(whole.node) + 1)
    }
    outcomes = {}
    for length in [*range(400), *range(400, len(data), 61), len(data) - 1]:
        (tmp_path / "m.pb").write_bytes(data[:length])
        try:
            load_graph(tmp_path / "m.pb")
            outcomes[length] = "read"
        except SurgeonError as exc:
            outcomes[length] = exc.diagnostics[0].code
        if length not in boundaries:
            assert outcomes[length] == "G101", (length, outcomes[length])
    assert outcomes[0] == "E103"
    assert set(outcomes.values()) == {"E103", "G101", "G106", "read"}


def test_nothing_there(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pb", tmp_path / ("x" * 300), tmp_path / "a\0b"):
        assert refusal(path, tmp_path).code == "E101"
    (tmp_path / "loop").symlink_to("loop")
    assert refusal(tmp_path / "loop", tmp_path).code == "E101"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    found = refusal(tmp_path / "pipe", tmp_path)
    assert found.code == "E101" and "pipe" in found.message
    assert refusal(Path("/dev/zero"), tmp_path).code == "E101"


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.pb"
    path.write_bytes(message("a = P()").SerializeToString())
    path.chmod(0)
    if os.access(path, os.R_OK):  # root reads everything

        def refuse(*_: Any) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr("surgeon.formats.graphdef.loading.MappedFile", refuse)
    found = refusal(path, tmp_path)
    assert found.code == "E101" and "Permission denied" in found.message


def test_a_saved_model_without_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"\x08\x01")
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    found = refusal(tmp_path, tmp_path)
    assert found.code == "E108" and install_command("tensorflow", "pictures") in found.render()
    os.write(2, b"still open")
    assert capfd.readouterr().err == "still open"


def test_a_graph_in_memory_is_checked_too() -> None:
    with pytest.raises(SurgeonError, match="G103"):
        check_frozen(Graph())
    with pytest.raises(SurgeonError, match="G101"):
        from_bytes(b"\xff\xff")
    assert len(from_bytes(b"")) == 0


GRAPH = parse_graph("graph v1\na = P()\n")


@pytest.mark.parametrize("name", ["out.pb", "out.pbtxt"])
def test_outputs_that_cannot_be_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"kept")
    (tmp_path / "loop").symlink_to("loop/x")
    suffix = Path(name).suffix
    (tmp_path / f"folder{suffix}").mkdir()
    for path, text in (
        (tmp_path / "none" / name, "No such file"),
        (tmp_path / f"folder{suffix}", "it is a folder"),
        (tmp_path / "file" / name, "Not a directory"),
        (tmp_path / ("x" * 300 + suffix), "too long"),
        (tmp_path / ("a\0b" + suffix), "null"),
        (tmp_path / "loop" / name, "symbolic links"),
    ):
        with pytest.raises(SurgeonError, match="E105") as caught:
            save_graph(GRAPH, path)
        assert text in str(caught.value), str(caught.value)
    assert sorted(os.listdir(tmp_path)) == sorted(["file", "folder", f"folder{suffix}", "loop"])
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_a_folder_that_takes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("surgeon.atomic.tempfile.mkstemp", refuse)
    with pytest.raises(SurgeonError, match=r"E105.*Permission denied; nothing was changed"):
        save_graph(GRAPH, tmp_path / "out.pb")


@pytest.mark.parametrize("moment", ["write", "flush", "rename"])
def test_a_full_disk_leaves_what_was_there(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.pb"
    path.write_bytes(b"before")

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if moment == "rename":
        monkeypatch.setattr("surgeon.atomic.os.replace", full)
    else:
        real = os.fdopen

        class Handle:
            def __init__(self, number: int, mode: str) -> None:
                self.inner = real(number, mode)

            def __enter__(self) -> Any:
                setattr(self, moment, full)
                return self

            def __exit__(self, *_: object) -> None:
                self.inner.close()

            def __getattr__(self, name: str) -> Any:
                return getattr(self.inner, name)

        monkeypatch.setattr("surgeon.atomic.os.fdopen", Handle)
    with pytest.raises(SurgeonError, match="E105") as caught:
        save_graph(GRAPH, path)
    assert "free some space" in str(caught.value)
    assert path.read_bytes() == b"before" and os.listdir(tmp_path) == ["out.pb"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device() -> None:
    with pytest.raises(SurgeonError, match="E105") as caught:
        save_graph(GRAPH, "/dev/full")
    assert "free some space" in str(caught.value)


def test_a_full_file_system(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)], capture_output=True
        ).returncode
    ):
        pytest.skip("needs the right to mount a small file system")
    try:
        (disk / "out.pb").write_bytes(b"before")
        (tmp_path / "in.pb").write_bytes(constant(dims=(1 << 16,), tensor_content=bytes(1 << 18)))
        with pytest.raises(SurgeonError, match="E105"):
            save_graph(load_graph(tmp_path / "in.pb"), disk / "out.pb")
        assert os.listdir(disk) == ["out.pb"] and (disk / "out.pb").read_bytes() == b"before"
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_any_failure_while_writing_leaves_nothing(tmp_path: Path) -> None:
    def attempt(path: Path) -> None:
        with writing(path) as handle:
            handle.write(b"half")
            raise KeyboardInterrupt

    for name in ("new.pb", "old.pb"):
        (tmp_path / "old.pb").write_bytes(b"before")
        with pytest.raises(KeyboardInterrupt):
            attempt(tmp_path / name)
        assert os.listdir(tmp_path) == ["old.pb"] and (tmp_path / "old.pb").read_bytes() == b"before"


def test_files_are_written_whole(tmp_path: Path) -> None:
    name = "\U0001f600" * 60
    write_bytes(tmp_path / name, b"bytes")
    write_text(tmp_path / "text", "ü")
    assert (tmp_path / name).read_bytes() == b"bytes" and (tmp_path / "text").read_bytes() == b"\xc3\xbc"
    mask = os.umask(0)
    os.umask(mask)
    assert (tmp_path / "text").stat().st_mode & 0o777 == 0o666 & ~mask
    assert sorted(os.listdir(tmp_path)) == sorted([name, "text"])
    write_bytes("/dev/null", b"gone")


def test_control_characters_of_a_name_do_not_reach_the_terminal(tmp_path: Path) -> None:
    g = GraphDef()
    g.node.add(name="a\x1b[2J", op="P", input=["b"])
    shown = refusal(bytes(g.SerializeToString()), tmp_path).render()
    assert "\x1b" not in shown and "\\x1b[2J" in shown
