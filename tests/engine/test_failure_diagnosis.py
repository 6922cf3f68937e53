"""What a refusal or death of the process with TensorRT is said to mean. The lines are those of TensorRT 8.5.3.1 and of NVIDIA's plugins."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from surgeon.diagnostics import Diagnostic, Span
from surgeon.engine import PluginUse
from surgeon.engine.failure_diagnosis import diagnose

PLACE = Span("r.yaml", 12, 3)
NMS = PluginUse(
    "NMS", "NMS_TRT", {"inputOrder": (0, 1, 2), "numClasses": 91, "shareLocation": 1, "topK": 100}, PLACE
)
SECOND = PluginUse(
    "head/NMS", "NMS_TRT", {"inputOrder": (0, 2, 1), "numClasses": 3, "shareLocation": 1, "topK": 10}
)
BOXES = PluginUse("concat_box_loc", "FlattenConcat_TRT", {"axis": 7, "ignoreBatch": 0})
SCORES = PluginUse("concat_box_conf", "FlattenConcat_TRT", {"axis": 1, "ignoreBatch": 0})
ANCHORS = PluginUse(
    "GridAnchor", "GridAnchor_TRT", {"numLayers": 5, "featureMapShapes": (19, 10, 5, 3, 2, 1), "minSize": 0.2}
)
SSD = (BOXES, ANCHORS, SCORES, NMS)

PARSING = [
    "V: UFFParser: Parsing BoxEncodings/concat[Op: Concat]. Inputs: a, b",
    "V: UFFParser: BoxEncodings/concat -> [4,1917,1]",
    "V: UFFParser: Parsing NMS[Op: _NMS_TRT]. Inputs: concat_box_loc, concat_priorbox, concat_box_conf",
]

WRONG_ORDER = (
    "F: Assertion failed: numPriors * numLocClasses * nbBoxCoordinates == inputDims[param.inputOrder[0]].d[0]\n"
    "/_src/plugin/nmsPlugin/nmsPlugin.cpp:524\nAborting...\n"
)


def said(
    phase: str,
    lines: Sequence[str] = (),
    stderr: str = "",
    ended: str | None = None,
    uses: Sequence[PluginUse] = SSD,
) -> Diagnostic:
    """Return the one diagnostic."""
    (found,) = diagnose(phase, lines, stderr, ended, uses, "ssd.uff").diagnostics
    return found


def everything(found: Diagnostic) -> str:
    return "\n".join([found.message, *found.notes, *found.help])


# Checks of plugins


def test_a_wrong_input_order_names_node_and_field() -> None:
    found = said("build", [*PARSING, "I: [MemUsageChange] Init cuDNN", WRONG_ORDER], ended="SIGABRT")
    assert (found.code, found.where) == ("B141", PLACE)
    assert "the plugin 'NMS' (NMS_TRT) ends the process while building the engine" in found.message
    assert "expected 'shareLocation' and 'numClasses' and 'inputOrder' to fit" in found.message
    assert {"inputOrder: [0, 1, 2]", "numClasses: 91", "nmsPlugin.cpp, line 524"} <= set(found.notes)
    assert not any(note.startswith("topK") for note in found.notes)
    assert "inputOrder: auto" in found.help[0]


def test_wrong_classes_name_their_field() -> None:
    text = "F: Assertion failed: numPriors * param.numClasses == inputDims[param.inputOrder[1]].d[0]\nplugin/nmsPlugin/nmsPlugin.cpp:527\nAborting..."
    found = said("build", [text], ended="SIGABRT")
    assert (
        found.code == "B141"
        and "'numClasses' and 'inputOrder'" in found.message
        and "numClasses: 91" in found.notes
    )


def test_the_c_library_s_form_of_an_assertion() -> None:
    # jkjung-avt/tensorrt_demos issue 149
    stderr = (
        "python3: nmsPlugin.cpp:139: virtual void nvinfer1::plugin::DetectionOutput::configureWithFormat(const nvinfer1::Dims*, int, "
        "const nvinfer1::Dims*, int, nvinfer1::DataType, nvinfer1::PluginFormat, int): Assertion `numPriors * numLocClasses * 4 == "
        "inputDims[param.inputOrder[0]].d[0]' failed.\nAborted (core dumped)\n"
    )
    found = said("build", [], stderr, "SIGABRT")
    assert found.code == "B141" and found.where == PLACE and "inputOrder: [0, 1, 2]" in found.notes


def test_an_assertion_without_a_text_is_known_by_its_file() -> None:
    found = said(
        "build", [], "#assertion/opt/tensorrt/TensorRT/plugin/nmsPlugin/nmsPlugin.cpp,246\n", "SIGABRT"
    )
    assert (
        found.code == "B141"
        and "'NMS' (NMS_TRT)" in found.message
        and "a check in nmsPlugin.cpp, line 246," in found.message
    )
    assert "inputOrder: auto" in everything(found)


def test_of_two_nodes_the_one_in_the_parser_s_hand_is_named() -> None:
    uses = (SECOND, NMS)
    text = "F: Assertion failed: nbInputDims == 3\nplugin/nmsPlugin/nmsPlugin.cpp:149\nAborting..."
    assert "'NMS' (NMS_TRT)" in said("parse", [*PARSING, text], ended="SIGABRT", uses=uses).message
    onnx = ["V: Parsing node: head/NMS [NMS_TRT]", text]
    assert "'head/NMS' (NMS_TRT)" in said("parse", onnx, ended="SIGABRT", uses=uses).message


def test_of_two_nodes_the_one_that_the_log_names_is_named() -> None:
    uses = (SECOND, NMS)
    lines = ["V: --------------- Timing Runner: head/NMS (PluginV2)", WRONG_ORDER]
    assert "'head/NMS' (NMS_TRT)" in said("build", lines, ended="SIGABRT", uses=uses).message


def test_of_two_nodes_both_are_listed_where_nothing_tells() -> None:
    found = said("build", [*PARSING, *["I: other"] * 50, WRONG_ORDER], ended="SIGABRT", uses=(SECOND, NMS))
    assert (
        found.code == "B141"
        and found.message.startswith("a plugin ends the process")
        and found.where == "ssd.uff"
    )
    assert (
        "it may be 'head/NMS' (NMS_TRT) with shareLocation 1, numClasses 3, inputOrder [0, 2, 1]"
        in found.notes
    )
    assert sum("it may be" in note for note in found.notes) == 2


def test_a_field_that_a_creator_refuses_is_named() -> None:
    lines = [
        "V: UFFParser: Parsing concat_box_loc[Op: _FlattenConcat_TRT]. Inputs: a, b",
        "F: Validation failed: mConcatAxisID == 1 || mConcatAxisID == 2 || mConcatAxisID == 3\nplugin/flattenConcat/flattenConcat.cpp:43\n",
        "E: UffParser: Parser error: concat_box_loc: Could not create plugin object from Plugin Registry. Only IPluginV2 type plugins are "
        "supported with Plugin Registry",
        "E: Refused: the UFF parser refuses the file",
    ]
    found = said("parse", lines)
    assert (
        found.code == "B141"
        and "the plugin 'concat_box_loc' (FlattenConcat_TRT) refuses its fields while parsing 'ssd.uff'"
        in found.message
    )
    assert "axis: 7" in found.notes and "'axis'" in found.message


def test_a_check_on_anchors_names_what_its_variables_stand_for() -> None:
    found = said(
        "parse",
        [
            "F: Validation failed: numExpectedLayers == numLayers\nplugin/gridAnchorPlugin/gridAnchorPlugin.cpp:472"
        ],
    )
    assert found.code == "B141" and found.where == "GridAnchor"
    assert {"featureMapShapes: [19, 10, 5, 3, 2, 1]", "numLayers: 5"} <= set(found.notes)


def test_a_plugin_of_one_s_own_is_named_by_its_file() -> None:
    own = PluginUse("clip", "MyClip", {"low": 3.0, "high": 1.0})
    stderr = "python3: /home/me/my_clip_plugin.cpp:17: void MyClip::configurePlugin(int): Assertion `low < high' failed.\n"
    found = said("build", [], stderr, "SIGABRT", (NMS, own))
    assert (
        found.code == "B141"
        and "'clip' (MyClip)" in found.message
        and {"low: 3", "high: 1"} <= set(found.notes)
    )
    assert "correct 'low' and 'high'" in found.help[0]


def test_a_check_that_names_no_field_shows_all() -> None:
    stderr = "python3: clip.cpp:17: void f(int): Assertion `status == 0' failed.\n"
    found = said("run", [], stderr, "SIGABRT", (PluginUse("clip", "MyClip", {"low": 3.0, "high": 1.0}),))
    assert found.code == "B141" and {"low: 3", "high: 1"} <= set(found.notes)


def test_a_check_without_plugin_nodes_is_told() -> None:
    found = said("load", [WRONG_ORDER], ended="SIGABRT", uses=())
    assert (found.code, found.where) == (
        "B141",
        "ssd.uff",
    ) and "a plugin ends the process while loading the engine" in found.message


@pytest.mark.parametrize(
    "line",
    [
        "python3.10: parsers/uff/UffParser.cpp:2271: std::shared_ptr<ParserLayer> UffParser::parsePad(const uff::Node&, const Fields&, NodesMap&): "
        "Assertion `nbDims == 4' failed.",
        '[8] Assertion failed: creator && "Plugin not found, are the plugin name, version, and namespace correct?"',
        'ONNX parser: node 3: Assertion failed: creator && "Plugin not found, are the plugin name, version, and namespace correct?"',
        "2: [pluginV2Runner.cpp::execute::270] Error Code 2: Internal Error (Assertion status == kSTATUS_SUCCESS failed. )",
    ],
)
def test_checks_of_others_are_none_of_plugins(line: str) -> None:
    found = said("parse", [f"E: {line}"], ended="SIGABRT")
    assert found.code == "B140" and line[:60] in found.message


# Known messages


def test_a_known_message_says_what_it_means_and_what_to_do() -> None:
    lines = [
        "W: The implicit batch dimension mode has been deprecated.",
        "E: 3: out:kernel weights has count 12 but 24 was expected",
        "E: UffParser: Parser error: add: The input to the Scale Layer is required to have a minimum of 3 dimensions.",
        "E: Refused: the UFF parser refuses the file",
    ]
    found = said("parse", lines)
    assert (found.code, found.where) == ("B140", "ssd.uff")
    assert found.message.startswith("parsing 'ssd.uff' failed: 3: out:kernel weights has count 12")
    assert "The convolution 'out' gets a tensor" in found.notes[0] and any(
        "then: UffParser" in note for note in found.notes
    )
    assert any("channels first" in help for help in found.help) and "see 'surgeon explain L101'" in found.help


def test_an_import_that_fails_is_explained() -> None:
    found = said(
        "import", ["E: ImportError: libcudnn.so.8: cannot open shared object file: No such file or directory"]
    )
    assert (
        found.code == "B140"
        and "importing TensorRT failed" in found.message
        and any("nvidia-cudnn-cu11<9" in help for help in found.help)
    )


def test_information_and_verbose_lines_are_no_errors() -> None:
    quiet = [
        "V: Unsupported operation _Cast of node Cast: Unsupported operation _Cast",
        "I: CUDA initialization failure with error: 35",
    ]
    assert said("build", quiet, ended="SIGSEGV").code == "B142"
    assert said("build", [line.replace("I: ", "E: ") for line in quiet], ended="SIGSEGV").code == "B140"


def test_consequences_and_warnings_alone_are_not_the_reason() -> None:
    assert said("build", ["E: Network must have at least one output"]).code == "B142"
    assert said("build", [], "Segmentation fault (core dumped)\n", "SIGSEGV").code == "B142"


# Other ends


def test_an_unknown_failure_shows_the_last_words() -> None:
    lines = [*PARSING[:1], *(f"E: odd {i}" for i in range(20)), "E: Refused: the UFF parser refuses the file"]
    found = said("parse", lines)
    assert (
        found.code == "B142" and found.message == "parsing 'ssd.uff' failed; the UFF parser refuses the file"
    )
    assert found.notes == (
        *(f"odd {i}" for i in range(14, 20)),
        "the parser was at the node 'BoxEncodings/concat'",
    )


def test_a_crash_without_a_word() -> None:
    found = said("run", [], "", "SIGSEGV")
    assert (
        found.code == "B142"
        and found.message.startswith("running the engine ended with SIGSEGV")
        and found.notes == ("nothing was logged",)
    )
    assert "surgeon doctor" in everything(found)


@pytest.mark.parametrize(
    ("line", "amount"),
    [
        (
            "E: Requested amount of GPU memory (17179869184 bytes) could not be allocated. There may not be enough free memory for allocation to "
            "succeed.",
            "16,384 MiB",
        ),
        (
            "E: [virtualMemoryBuffer.cpp::resizePhysical::154] Error Code 2: OutOfMemory (Requested size was 16581132288 bytes.)",
            "15,813 MiB",
        ),
        ("E: 1: [defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)", ""),
        ("E: CudaError: cudaMalloc failed: out of memory (CUDA error 2)", ""),
    ],
)
def test_a_gpu_without_memory(line: str, amount: str) -> None:
    found = said("build", [line])
    assert found.code == "B143" and amount in found.message and ("MiB" in found.message) == bool(amount)
    assert "lower the workspace" in everything(found)


def test_a_tactic_without_memory_is_no_failure() -> None:
    warning = "W: Tactic Device request: 4096MB Available: 2048MB. Device memory is insufficient to use tactic. out of memory"
    assert said("build", [warning], ended="SIGSEGV").code == "B142"


def test_a_time_out_shows_where_it_stood() -> None:
    found = said("parse", [*PARSING, "E: slow"], ended="timeout after 600 s")
    assert found.code == "B144" and found.message.startswith("parsing 'ssd.uff' took more than 600 s")
    assert found.notes == ("slow", "the parser was at the node 'NMS'")


def test_a_check_that_failed_before_the_time_was_up_is_the_reason() -> None:
    assert said("build", [WRONG_ORDER], ended="timeout after 600 s").code == "B141"
    refused = "F: Validation failed: numLayers > 0\nplugin/gridAnchorPlugin/gridAnchorPlugin.cpp:470"
    assert said("parse", [refused], ended="timeout after 600 s").code == "B144"
    assert said("parse", [refused]).code == "B141"


def test_a_known_message_without_a_node_says_where_the_parser_was() -> None:
    found = said(
        "parse", [*PARSING, "E: 1: [defs.cpp::f::1] Error Code 1: Cuda Runtime (initialization error)"]
    )
    assert found.code == "B140" and "the parser was at the node 'NMS'" in found.notes
    assert not any(
        "the parser was" in note
        for note in said("build", [*PARSING, "E: Cuda initialization failure with error 35"]).notes
    )


def test_a_kill_from_outside_is_the_host_s_memory() -> None:
    found = said("build", ["I: building"], ended="SIGKILL")
    assert found.code == "B145" and "killed from outside" in found.message
    refused = said("build", ["E: Error Code 2: Internal Error (std::bad_alloc)"])
    assert refused.code == "B145" and "the host's memory ran out" in refused.message


def test_an_unheard_of_phase_is_shown_as_it_is() -> None:
    assert "warming up failed" in said("warming up").message


def test_long_and_odd_lines_do_no_harm() -> None:
    lines = ["E: " + "x.cpp:1: " * 200_000, "E: \x00\x1b[31m", "no letter", "", "V: "]
    assert said("build", lines, "y" * 1_000_000, "exit code 1").code == "B142"
