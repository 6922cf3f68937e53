"""Scripts as programs: arguments, modules that are not installed, failures, strictness, the commands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from surgeon.cli import convert_to_uff, main
from surgeon.compat.running import ScriptRun, run_script
from surgeon.compat.tensorflow_names import tensorflow_module
from surgeon.formats.uff import read_uff

GRAPH = """
import graphsurgeon as gs
graph = gs.DynamicGraph()
for name, op, inputs in [("x", "Placeholder", []), ("N/a", "Relu", ["x"]), ("y", "Tanh", ["N/a"])]:
    graph.append(gs.create_node(name, op, inputs=inputs))
"""


@pytest.fixture(autouse=True)
def _modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let scripts find no TensorFlow but the stand-in, and leave the process's modules as they were."""
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow_module())
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("graphsurgeon", "uff", "beside"):
            del sys.modules[name]


def script(folder: Path, text: str) -> Path:
    """Write a script."""
    path = folder / "script.py"
    path.write_text(text)
    return path


def codes(run: ScriptRun) -> list[str]:
    """Return the codes of what was said of a script."""
    return [d.code for d in run.diagnostics]


def test_a_script_is_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "beside.py").write_text("VALUE = 3\n")
    argv, path = list(sys.argv), list(sys.path)
    run = run_script(
        script(tmp_path, "import sys, beside\nprint(__name__, sys.argv[1:], beside.VALUE)\nsys.exit(4)\n"),
        ["-o", "a"],
    )
    assert (run.code, codes(run)) == (4, [])
    assert capsys.readouterr().out == "__main__ ['-o', 'a'] 3\n"
    assert (sys.argv, sys.path) == (argv, path)


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("import nonesuch\nnonesuch.get('a')\n", "P120", "the script uses 'nonesuch.get'"),
        ("import nonesuch\nfor x in nonesuch.things: pass\n", "P120", "'nonesuch.things'"),
        ("from nonesuch.inner import f\nwith f as g: pass\n", "P120", "'nonesuch.inner.f'"),
        ("[].remove(3)\n", "P126", "ValueError: list.remove(x): x not in list"),
        ("def f(: pass\n", "P126", "SyntaxError"),
        ("raise SystemExit('no graph')\n", "P126", "ended itself: no graph"),
    ],
)
def test_failures_are_told_with_the_line(tmp_path: Path, text: str, code: str, message: str) -> None:
    run = run_script(script(tmp_path, text))
    assert run.code == 1
    assert run.diagnostics[-1].code == code and message in run.diagnostics[-1].message
    assert str(run.diagnostics[-1].where).startswith(str(tmp_path / "script.py"))


def test_modules_that_are_not_installed_are_stood_in_for(tmp_path: Path) -> None:
    run = run_script(
        script(
            tmp_path,
            """
import ctypes, tensorrt as trt, pycuda.driver as cuda
from nonesuch import thing
import tensorflow.contrib.tensorrt as contrib
import numba
try:
    import nothing_like_it
except ImportError:
    nothing_like_it = None
assert nothing_like_it is None
LOGGER = trt.Logger(trt.Logger.WARNING)
FLAG = 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)
class Calibrator(trt.IInt8EntropyCalibrator2, thing):
    pass
@numba.jit(nopython=True)
def f():
    return 3
@numba.jit
def g():
    return 4
assert f() + g() == 7 and trt.__version__.startswith("8.5")
ctypes.CDLL("libnonesuch.so")
class Library(ctypes.CDLL):
    pass
assert ctypes.CDLL(None)
ctypes.cdll.LoadLibrary("libnonesuch.so")
""",
        )
    )
    assert (run.code, codes(run)) == (0, ["P121", "P121", "P124"]), run.diagnostics
    assert "'nonesuch', 'numba', 'pycuda', 'tensorrt' are stood in for" in run.diagnostics[-1].message
    assert "tensorrt" not in sys.modules and "nonesuch" not in sys.modules


def test_an_installed_package_still_misses_its_own_modules(tmp_path: Path) -> None:
    run = run_script(script(tmp_path, "import json\nfrom json import nonesuch\n"))
    assert run.code == 1 and "ImportError" in run.diagnostics[-1].message


def test_warnings_are_errors_where_wanted_and_nothing_is_written(tmp_path: Path) -> None:
    text = (
        GRAPH
        + """
import sys, uff
graph.collapse_namespaces({"Q": gs.create_node("q", "Q")})
uff.from_tensorflow(graph, ["y"], output_filename=sys.argv[1], quiet=True)
"""
    )
    for strict in (False, True):
        run = run_script(script(tmp_path, text), [str(tmp_path / f"{strict}.uff")], strict=strict)
        assert (run.code, [(d.code, d.severity.value) for d in run.diagnostics]) == (
            int(strict),
            [("P101", "error" if strict else "warning")],
        )
        assert (tmp_path / f"{strict}.uff").exists() is not strict
    edits_only = text.replace("uff.from", "0 and uff.from")
    assert run_script(script(tmp_path, edits_only), ["m"], strict=True).code == 1


def test_a_graph_that_is_neither_written_nor_converted_is_checked(tmp_path: Path) -> None:
    text = (
        GRAPH
        + """
graph.append(gs.create_plugin_node("NMS", op="NMS_TRT", inputs=["x"], inputOrder=[0, 1, 2]))
graph.remove("y")
"""
    )
    run = run_script(script(tmp_path, text))
    assert (run.code, codes(run)) == (0, ["P118"])


def test_a_preprocessor_is_sent_to_the_converter(tmp_path: Path) -> None:
    run = run_script(script(tmp_path, "def preprocess(graph): pass\n"))
    assert (run.code, codes(run)) == (0, ["P125"])


def test_a_script_that_is_not_there() -> None:
    run = run_script("nonesuch.py")
    assert (run.code, codes(run)) == (1, ["P123"])


def test_the_names_of_tensorflow_without_it(tmp_path: Path) -> None:
    text = """
import sys
import tensorflow as tf
from tensorflow.python.framework import graph_io
node = tf.NodeDef(name="x", op="Placeholder")
node.attr["dtype"].CopyFrom(tf.AttrValue(type=tf.float32.as_datatype_enum))
graph = tf.compat.v1.GraphDef()
graph.node.extend([node])
constant = graph.node.add(name="c", op="Const")
constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([1, 2], dtype=tf.int32, shape=[2, 1]))
assert tf.as_dtype("float16") is tf.float16 and str(tf.float16) == "tf.float16"
tf.io.write_graph(graph, sys.argv[1], "g.pb", as_text=False)
with tf.gfile.GFile(sys.argv[1] + "/g.pb", "rb") as handle:
    assert len(tf.GraphDef.FromString(handle.read()).node) == 2
assert tf.gfile.Exists(sys.argv[1] + "/g.pb") and not tf.gfile.Exists("nonesuch")
tf.Session()
"""
    run = run_script(script(tmp_path, text), [str(tmp_path)])
    assert codes(run) == ["P120"] and "'tensorflow.Session'" in run.diagnostics[0].message


def test_tensorflow_2_runs_the_names_of_tensorflow_1(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    text = """
import sys
import tensorflow as tf
import graphsurgeon as gs
import uff
tf.reset_default_graph()
with tf.Session() as session:
    x = tf.placeholder(tf.float32, [1, 2], "x")
    y = tf.nn.relu(x, "y")
    graph = tf.graph_util.convert_variables_to_constants(session, session.graph_def, ["y"])
with tf.gfile.GFile(sys.argv[1], "wb") as handle:
    handle.write(graph.SerializeToString())
old = tf.GraphDef()
old.ParseFromString(open(sys.argv[1], "rb").read())
dynamic = gs.DynamicGraph(old)
dynamic.append(gs.create_node("z", "Tanh", inputs=["y"], T=tf.float32))
assert isinstance(dynamic.as_graph_def().node[-1], tf.NodeDef)
uff.from_tensorflow(dynamic.as_graph_def(), ["z"], output_filename=sys.argv[2], quiet=True)
"""
    command = [
        sys.executable,
        "-m",
        "surgeon.compat",
        str(script(tmp_path, text)),
        str(tmp_path / "g.pb"),
        str(tmp_path / "g.uff"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("P122]") == 1
    assert [node.id for node in read_uff(tmp_path / "g.uff").nodes] == ["z", "y", "x", "MarkOutput_0"]


class TestCommands:
    """surgeon compat run, convert-to-uff."""

    def test_options_behind_the_script_are_its_own(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = script(tmp_path, "import sys\nprint(sys.argv[1:])\n")
        assert (
            main(
                [
                    "compat",
                    "run",
                    "--target",
                    "uff@tensorrt-7.1",
                    str(path),
                    "--strict",
                    "-o",
                    "x",
                    "--",
                    "run",
                ]
            )
            == 0
        )
        assert capsys.readouterr().out == "['--strict', '-o', 'x', '--', 'run']\n"
        with pytest.raises(SystemExit):
            main(["compat", "walk", str(path)])
        with pytest.raises(SystemExit):
            main(["compat", "run", "--strikt", str(path)])
        assert main(["compat", "run", "--target", "uff@tensorrt-99", str(path)]) == 1
        capsys.readouterr()

    def test_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert (
            main(
                [
                    "compat",
                    "run",
                    "--json",
                    str(script(tmp_path, "print('talk')\nraise ValueError('no')\n")),
                    "a",
                ]
            )
            == 1
        )
        captured = capsys.readouterr()
        report = json.loads(captured.out)
        assert (report["arguments"], report["exit_code"]) == (["a"], 1)
        assert [d["code"] for d in report["diagnostics"]] == ["P126"] and "talk" in captured.err

    def test_convert_to_uff(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        config = script(
            tmp_path,
            GRAPH
            + "if __name__ == '__main__': graph.write(__import__('sys').argv[1])\ndef preprocess(graph): [].remove(2)\n",
        )
        model = str(tmp_path / "m.pb")
        assert main(["compat", "run", str(config), model]) == 0
        assert convert_to_uff.main([model, "-l"]) == 0
        assert capsys.readouterr().out.splitlines() == ['1 Placeholder: "x"', '2 Relu: "N/a"', '3 Tanh: "y"']
        assert (
            convert_to_uff.main(
                [model, "-O", "-1", "--write_preprocessed", "-I", "N/a,,float32,1,3", "-d", "-t"]
            )
            == 0
        )
        assert [node.id for node in read_uff(tmp_path / "m.uff").nodes] == ["y", "N/a", "MarkOutput_0"]
        assert (tmp_path / "m.pbtxt").exists() and (tmp_path / "m_preprocessed.pb").exists()
        assert "inputs: N/a; outputs: y" in capsys.readouterr().err
        assert convert_to_uff.main([model, "-q", "-o", str(tmp_path / "n.any"), "--output-node", "2"]) == 0
        assert capsys.readouterr() == ("", "") and (tmp_path / "n.uff").exists()
        assert convert_to_uff.main([model, "-p", str(config)]) == 1
        assert "P126]: the script failed: ValueError" in capsys.readouterr().err
        assert convert_to_uff.main([str(tmp_path / "nonesuch.pb")]) == 1
        assert "E101" in capsys.readouterr().err
        with pytest.raises(SystemExit):
            convert_to_uff.main([])


def test_warnings_stand_where_the_script_says_what_they_speak_of(tmp_path: Path) -> None:
    """A name that a script has elsewhere, too, is shown where it is the key, the node's name, or the field."""
    path = script(
        tmp_path,
        GRAPH
        + """
outputs, unwanted = ["NMS"], ["ToFloat", "scoreConverter"]
NMS = gs.create_plugin_node("NMS", "NMS_TRT", inputs=["y", "x"], scoreConverter="SIGMOID")
graph.append(NMS)
relu = gs.create_plugin_node("Relu6", "LReLU_TRT", negSlope=0.1)
graph.collapse_namespaces({"N": relu, "ToFloat": relu})
graph.collapse_namespaces({"Relus6": gs.create_node("Relus", "Relu")})
import uff
uff.from_tensorflow(graph.as_graph_def(), outputs, quiet=True)
""",
    )
    told = {d.code: d for d in run_script(path).diagnostics}
    lines = path.read_text().splitlines()
    places = {
        code: (lines[d.where.line - 1].split("(")[0], d.where.column, d.where.length)  # type: ignore[union-attr]
        for code, d in told.items()
        if code in ("P117", "P118")
    }
    make = lines.index(
        'NMS = gs.create_plugin_node("NMS", "NMS_TRT", inputs=["y", "x"], scoreConverter="SIGMOID")'
    )
    assert places == {
        "P117": ("NMS = gs.create_plugin_node", lines[make].index("scoreConverter") + 1, 14),
        "P118": ("NMS = gs.create_plugin_node", lines[make].index('"NMS"') + 2, 3),
    }
    missing = [d for d in run_script(path).diagnostics if d.code == "P101"]
    assert ['"ToFloat": relu' in d.where.text for d in missing] == [True, False]  # type: ignore[union-attr]
    assert not missing[1].notes or "Relus" not in missing[1].notes[0]


def test_a_failure_shows_the_script_s_own_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the script's own folder, too; an input that is not there is told, and a file that cannot be read."""
    monkeypatch.chdir(tmp_path)
    gone = run_script(script(tmp_path, GRAPH + 'graph[2].input.remove("x:0")\n')).diagnostics[-1]
    assert gone.code == "P126" and "if ... in node.input" in gone.help[0]
    assert gone.notes == (f"{tmp_path / 'script.py'}:6, in <module>",)
    unread = run_script(script(tmp_path, "import graphsurgeon as gs\ngs.DynamicGraph('nonesuch.pb')\n"))
    assert unread.diagnostics[-1].code == "E101"
    assert str(unread.diagnostics[-1].where).startswith(f"{tmp_path / 'script.py'}:2")


def test_modules_beside_other_scripts_are_a_script_s_own(tmp_path: Path) -> None:
    """Samples put the folder above theirs on the path, for a module that they share and that needs TensorRT."""
    (tmp_path / "shared_by_samples.py").write_text(
        "import ctypes, tensorrt as trt\nLOGGER = trt.Logger()\nctypes.CDLL('libnonesuch.so')\n"
    )
    (tmp_path / "sample").mkdir()
    run = run_script(
        script(
            tmp_path / "sample",
            "import os, sys\nsys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir))\n"
            "import shared_by_samples\n",
        )
    )
    sys.modules.pop("shared_by_samples", None)
    assert (run.code, codes(run)) == (0, ["P121", "P124"]), run.diagnostics


def test_a_field_that_a_plugin_does_not_have_is_told(tmp_path: Path) -> None:
    """A published script for MobileNet v3 spells the shapes of the maps in a way that the plugin does not know."""
    run = run_script(
        script(
            tmp_path,
            """
import graphsurgeon as gs, uff
graph = gs.DynamicGraph()
graph.append(gs.create_node("x", "Placeholder"))
graph.append(gs.create_plugin_node("anchors", "GridAnchor_TRT", inputs=["x"], numLayers=1, nmsFeatureMapShapes=[2]))
uff.from_tensorflow(graph, ["anchors"], quiet=True)
""",
        )
    )
    assert [d.code for d in run.diagnostics] == ["P128"]
    assert "'nmsFeatureMapShapes' of 'anchors' is none of 'GridAnchor_TRT'" in run.diagnostics[0].message
    assert "featureMapShapes" in run.diagnostics[0].notes[0]
    assert run.diagnostics[0].where.text.startswith("graph.append(gs.create_plugin_node")  # type: ignore[union-attr]


def test_a_plugin_goes_by_the_name_that_the_runtime_knows(tmp_path: Path) -> None:
    """Scripts for Faster R-CNN make the plugin CropAndResize; TensorFlow's operation of that name is no plugin."""
    run = run_script(
        script(
            tmp_path,
            """
import graphsurgeon as gs, tensorflow as tf, uff
graph = gs.DynamicGraph()
graph.append(gs.create_node("x", "Placeholder"))
graph.append(gs.create_plugin_node("crops", "CropAndResize", inputs=["x", "x"], crop_height=7, crop_width=7))
graph.append(gs.create_node("left", "CropAndResize", inputs=["x", "x", "x", "x"], T=tf.float32))
uff.from_tensorflow(graph, ["crops", "left"], quiet=True)
""",
        )
    )
    assert [d.code for d in run.diagnostics] == ["P115"] and "'left' stays" in run.diagnostics[0].message
