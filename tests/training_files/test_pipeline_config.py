"""Text format of protocol buffers, and what is read out of a pipeline.config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from surgeon.diagnostics import Span, SurgeonError
from surgeon.formats.graphdef import load_graph
from surgeon.graph import Ref
from surgeon.infer import Inference
from surgeon.training_files.pipeline_config import (
    MultiscaleAnchors,
    OtherAnchors,
    SsdAnchors,
    parse_pipeline_config,
    read_pipeline_config,
)
from surgeon.training_files.text_format import Message, Name, nested, parse_text

CONFIG = """\
# Trained on our own pictures.
model {
  ssd {
    num_classes: 3
    image_resizer { fixed_shape_resizer { height: 320 width: 256 resize_method: AREA } }
    feature_extractor { type: 'ssd_mobilenet_v2' conv_hyperparams { activation: RELU_6 } }
    box_coder < faster_rcnn_box_coder { y_scale: 10.0 x_scale: 8 height_scale: 5. width_scale: 4e0 } >
    anchor_generator {
      ssd_anchor_generator {
        min_scale: 0.15
        aspect_ratios: [1.0, 2.0]
        aspect_ratios: 0.5
        reduce_boxes_in_lowest_layer: false
      }
    }
    post_processing {
      batch_non_max_suppression { score_threshold: 1e-8 iou_threshold: 0.5f; max_total_detections: 50, }
      score_converter: SIGMOID
      logit_scale: 2
    }
  }
}
train_config { batch_size: 24 fine_tune_checkpoint: "a" 'b' }
eval_input_reader { label_map_path: "/data/labels.pbtxt" }
"""


def refused(text: str) -> tuple[str, Span]:
    """Return the code and the place of the one error that the text earns."""
    with pytest.raises(SurgeonError) as exc:
        parse_pipeline_config(text, "pipeline.config")
    diagnostic = exc.value.diagnostics[0]
    assert isinstance(diagnostic.where, Span), diagnostic
    return diagnostic.code, diagnostic.where


def ssd(body: str) -> str:
    return "model { ssd { " + body + " } }"


# --- the format ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -0x1F", -31),
        ("a: 017", 15),
        ("a: - 2.5", -2.5),
        ("a: 1.", 1.0),
        ("a: .5f", 0.5),
        ("a: 3e-2;", 0.03),
        ("a: SIGMOID,", Name("SIGMOID")),
        ("a: -inf", Name("-inf")),
        ('a: "x"', "x"),
        ("a: 'it' \"'s\"", "it's"),
        (r'a: "\n\t\\\x41\101\u00e9\U0001F600\303\251"', "\n\t\\AAé😀é"),
        (r'a: "\xff"', "\\xff"),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found = parse_text(text, "f").entries[0].value
    assert found == value and type(found) is type(value)


def test_nesting_lists_and_comments() -> None:
    root = parse_text(
        "a { b <> # {\n c: { d: 1 } } a: {} e: [{f: 1}, <f: 2>] g: [1, 2] h: [] [x.y/z.w-v]: 1\n", "f"
    )
    assert [entry.name for entry in root.entries] == ["a", "a", "e", "e", "g", "g", "[x.y/z.w-v]"]
    assert nested(root.entries[0]).message("c").whole("d", 0).value == 1
    assert [nested(entry).whole("f", 0).value for entry in root.all("e")] == [1, 2]
    assert root.entries[0].span.line == 1 and nested(root.entries[0]).all("c")[0].span == Span(
        "f", 2, 5, 1, " c: { d: 1 } } a: {} e: [{f: 1}, <f: 2>] g: [1, 2] h: [] [x.y/z.w-v]: 1"
    )


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a {", 1, 3),
        ("a: }", 1, 4),
        ("a 1", 1, 3),
        ('a: "x', 1, 4),
        ("a: 'x\n'", 1, 4),
        ("a: 09", 1, 4),
        (r'a: "\q"', 1, 4),
        ("}", 1, 1),
        ("a: [1 2]", 1, 7),
        ("\n\na: 1.2.3", 3, 4),
        ("a: [{} 1]", 1, 8),
        ("[x a {}", 1, 4),
        ("a: \x01", 1, 4),
        ("a: \x1c", 1, 4),
        ("a: [{},1]", 1, 8),
        (": 1", 1, 1),
        ("a: [", 1, 5),
        ("a: 123456789012345678901234", 1, 4),
        (r'a: "\777"', 1, 4),
        (r'a: "\ud800"', 1, 4),
        ("a < }", 1, 5),
        ("a{" * 102, 1, 202),
        ("a: 10x", 1, 4),
        ("a: -'x'", 1, 5),
        ("a: [[1]]", 1, 5),
    ],
)
def test_what_is_no_text_format_has_a_place(text: str, line: int, column: int) -> None:
    code, where = refused(text)
    assert (code, where.line, where.column) == ("D140", line, column)


def test_deep_and_long_files_are_read_in_linear_time() -> None:
    deep = parse_text("a{" * 100 + "}" * 100, "f")
    for _ in range(100):
        deep = deep.message("a")
    assert deep == Message()
    assert len(parse_text("a: 1\n" * 50_000, "f").entries) == 50_000


@given(st.text(st.sampled_from("ab:{}<>[],;'\"#\\ \n0.1-x"), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_pipeline_config(text)
    except SurgeonError as exc:
        assert exc.diagnostics[0].code in ("D140", "D141", "D142")


@given(st.text(max_size=20))
def test_a_quoted_text_comes_back(text: str) -> None:
    octal = "".join(f"\\{byte:03o}" for byte in text.encode("utf-8", "replace"))
    assert parse_text(f'a: "{octal}"', "f").entries[0].value == text.encode("utf-8", "replace").decode()


# --- the config ---------------------------------------------------------------------------------------------------


def test_a_config_says_these_values_at_these_places() -> None:
    config = parse_pipeline_config(CONFIG, "p.config")
    assert (config.architecture.value, config.num_classes.value, config.extractor.value) == (
        "ssd",
        3,
        "ssd_mobilenet_v2",
    )
    assert (config.resize.value, config.size.value, config.resize_method.value) == (
        "stretch",
        (320, 256),
        "AREA",
    )
    assert config.coder is not None and config.coder.value == (10.0, 8.0, 5.0, 4.0)
    assert (
        config.score_threshold.value,
        config.iou_threshold.value,
        config.max_per_class.value,
        config.max_total.value,
    ) == (1e-8, 0.5, 100, 50)
    assert (config.score_converter.value, config.logit_scale.value, config.label_map) == (
        "sigmoid",
        2.0,
        "/data/labels.pbtxt",
    )
    anchors = config.anchors
    assert isinstance(anchors, SsdAnchors)
    assert (
        anchors.aspect_ratios.value == (1.0, 2.0, 0.5) and anchors.reduce_boxes_in_lowest_layer.value is False
    )
    assert str(config.num_classes.where) == "p.config:4:18" and config.max_per_class.where is None
    assert (
        str(anchors.min_scale.where) == "p.config:10:20"
        and anchors.max_scale
        == parse_pipeline_config(ssd("anchor_generator { ssd_anchor_generator {} }")).anchors.max_scale
    )  # type: ignore[union-attr]


def test_what_is_not_written_has_the_default() -> None:
    config = parse_pipeline_config(ssd("anchor_generator { ssd_anchor_generator {} }"))
    assert (
        config.num_classes.value,
        config.size.value,
        config.score_threshold.value,
        config.iou_threshold.value,
    ) == (0, (300, 300), 0.0, 0.6)
    assert (config.score_converter.value, config.logit_scale.value, config.label_map) == ("identity", 1.0, "")
    assert config.coder is not None and config.coder.value == (10.0, 10.0, 5.0, 5.0)
    anchors = config.anchors
    assert isinstance(anchors, SsdAnchors)
    assert (
        anchors.num_layers.value,
        anchors.min_scale.value,
        anchors.max_scale.value,
        anchors.aspect_ratios.value,
    ) == (6, 0.2, 0.95, ())
    assert (anchors.interpolated_scale_aspect_ratio.value, anchors.reduce_boxes_in_lowest_layer.value) == (
        1.0,
        True,
    )
    pyramid = parse_pipeline_config(ssd("anchor_generator { multiscale_anchor_generator {} }")).anchors
    assert isinstance(pyramid, MultiscaleAnchors)
    assert (
        pyramid.min_level.value,
        pyramid.max_level.value,
        pyramid.anchor_scale.value,
        pyramid.scales_per_octave.value,
    ) == (3, 7, 4.0, 2)
    assert parse_pipeline_config(
        ssd("anchor_generator { flexible_grid_anchor_generator {} }")
    ).anchors == OtherAnchors("flexible_grid_anchor_generator")
    assert parse_pipeline_config(ssd("")).anchors is None
    kept = parse_pipeline_config(ssd("image_resizer { keep_aspect_ratio_resizer { max_dimension: 640 } }"))
    assert (kept.resize.value, kept.size.value) == ("keep-aspect-ratio", (640, 640))
    assert parse_pipeline_config(ssd("box_coder { mean_stddev_box_coder {} }")).coder is None


@pytest.mark.parametrize(
    ("body", "code", "column"),
    [
        ("num_classes: 1.5", "D141", 28),
        ("num_classes: 'two'", "D141", 28),
        ("num_classes {}", "D141", 27),
        ("num_classes: 1 num_classes: 2", "D141", 43),
        ("image_resizer: 3", "D141", 30),
        ("image_resizer { fixed_shape_resizer { height: 0 } }", "D141", 61),
        ("post_processing { score_converter: SIGMOD }", "D141", 50),
        ("post_processing { score_converter: 7 }", "D141", 50),
        ("post_processing { logit_scale: true }", "D141", 46),
        ("feature_extractor { type: v2 }", "D141", 41),
        ("box_coder { faster_rcnn_box_coder { y_scale: 0 } }", "D141", 60),
        ("anchor_generator { ssd_anchor_generator { aspect_ratios: -1 } }", "D141", 72),
        ("anchor_generator { ssd_anchor_generator { min_scale: nan } }", "D141", 68),
        ("anchor_generator { ssd_anchor_generator { num_layers: 1000000 } }", "D141", 69),
        ("anchor_generator { ssd_anchor_generator { reduce_boxes_in_lowest_layer: 2 } }", "D141", 87),
        ("anchor_generator { ssd_anchor_generator { height_stride: 8 } }", "D141", 72),
        ("anchor_generator { multiscale_anchor_generator { min_level: 9 } }", "D141", 75),
        ("anchor_generator { multiscale_anchor_generator { scales_per_octave: 0 } }", "D141", 83),
    ],
)
def test_a_wrong_value_is_refused_at_its_place(body: str, code: str, column: int) -> None:
    found, where = refused(ssd(body))
    assert (found, where.line, where.column) == (code, 1, column)


def test_a_misspelt_enum_has_its_nearest() -> None:
    with pytest.raises(SurgeonError, match="nearest: 'SIGMOID'"):
        parse_pipeline_config(ssd("post_processing { score_converter: SIGMOD }"))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SurgeonError, match="D142") as exc:
        parse_pipeline_config("item { id: 1 name: 'person' }")
    assert "'item'" in str(exc.value)
    with pytest.raises(SurgeonError, match="D142"):
        parse_pipeline_config("")
    assert refused("model { ssd {} faster_rcnn {} }")[0] == "D142"
    assert (
        parse_pipeline_config("model { faster_rcnn { num_classes: 3 } }").architecture.value == "faster_rcnn"
    )
    for data, code in (
        (b"\x08\x01\0\0", "D140"),
        (b"a: '\xff'", "D140"),
        (b"version https://git-lfs.github.com/spec/v1\n", "E104"),
    ):
        path = tmp_path / "binary.config"
        path.write_bytes(data)
        with pytest.raises(SurgeonError, match=code):
            read_pipeline_config(path)
    with pytest.raises(SurgeonError, match="E101"):
        read_pipeline_config(tmp_path / "absent.config")
    with pytest.raises(SurgeonError, match="E101"):
        read_pipeline_config(tmp_path)
    path.write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    with pytest.raises(SurgeonError, match="D140"):
        read_pipeline_config(path)


# --- its anchors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"height": 160, "width": 224},
        {"min_scale": 0.1, "max_scale": 0.8, "aspect_ratios": (1.0, 3.0)},
    ],
)
def test_the_anchors_of_a_config_are_those_of_its_graph(
    zoo_ssd: Callable[..., Path], options: dict[str, object]
) -> None:
    from surgeon.zoo import SsdOptions

    wanted = SsdOptions(**options)  # type: ignore[arg-type]
    anchors = Inference(load_graph(zoo_ssd("2018", **options))).value(Ref("Concatenate/concat"))
    ratios = ", ".join(map(repr, wanted.aspect_ratios))
    body = f"min_scale: {wanted.min_scale} max_scale: {wanted.max_scale} aspect_ratios: [{ratios}]"
    config = parse_pipeline_config(ssd(f"anchor_generator {{ ssd_anchor_generator {{ {body} }} }}"))
    assert config.anchors is not None and anchors is not None
    found = config.anchors.anchors(wanted.feature_maps(), (wanted.height, wanted.width))
    assert found is not None and found.dtype == np.float32
    # Both sides round float32 sums of numbers up to 1 once or twice.
    np.testing.assert_allclose(found, anchors, atol=3e-7, rtol=0)
    other = parse_pipeline_config(
        ssd(
            f"anchor_generator {{ ssd_anchor_generator {{ {body.replace('min_scale: 0.', 'min_scale: 0.3')} }} }}"
        )
    ).anchors
    assert other is not None
    wrong = other.anchors(wanted.feature_maps(), (wanted.height, wanted.width))
    assert wrong is not None and np.abs(wrong - anchors).max() > 0.01
    assert config.anchors.anchors(wanted.feature_maps()[:5], (300, 300)) is None


def test_scales_strides_and_offsets_of_ones_own() -> None:
    body = (
        "scales: [0.5, 0.6] aspect_ratios: 4 interpolated_scale_aspect_ratio: 0 reduce_boxes_in_lowest_layer: false base_anchor_height: 2 "
        "height_stride: [50, 100] width_stride: [25, 50] height_offset: [10, 20] width_offset: [5, 6]"
    )
    anchors = parse_pipeline_config(ssd(f"anchor_generator {{ ssd_anchor_generator {{ {body} }} }}")).anchors
    assert anchors is not None
    found = anchors.anchors([(2, 1), (1, 1)], (100, 50))
    # Layer 0: scale .5, ratio 4: height .5/2 * (50/100) * 2, width .5*2 * (50/50); centres y .1, .6 and x .1.
    expected = [
        [0.1 - 0.125, 0.1 - 0.5, 0.1 + 0.125, 0.1 + 0.5],
        [0.6 - 0.125, 0.1 - 0.5, 0.6 + 0.125, 0.1 + 0.5],
        [0.2 - 0.15, 0.12 - 0.6, 0.2 + 0.15, 0.12 + 0.6],
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert anchors.anchors([(2, 1), (1, 1), (1, 1)], (100, 50)) is None


def test_anchors_of_a_pyramid() -> None:
    body = "min_level: 3 max_level: 4 anchor_scale: 4 aspect_ratios: [1, 4] scales_per_octave: 2"
    anchors = parse_pipeline_config(
        ssd(f"anchor_generator {{ multiscale_anchor_generator {{ {body} }} }}")
    ).anchors
    assert anchors is not None
    found = anchors.anchors([(2, 3), (1, 2)], (16, 24))
    assert found is not None and found.shape == (2 * 3 * 4 + 1 * 2 * 4, 4)
    # The first location of level 3: centre (4, 4) of 16 x 24 pixels; scales 1 and sqrt 2 of 32 pixels, then ratio 4.
    sides = [(32, 32), (32 * 2**0.5, 32 * 2**0.5), (16, 64), (16 * 2**0.5, 64 * 2**0.5)]
    expected = [[(4 - h / 2) / 16, (4 - w / 2) / 24, (4 + h / 2) / 16, (4 + w / 2) / 24] for h, w in sides]
    np.testing.assert_allclose(found[:4], expected, atol=1e-6)
    # Level 4 has the stride 16, which does not divide 24: no offset in x.
    assert found[24].mean() == pytest.approx((8 / 16 + 0 / 24) / 2, abs=1e-6)
    assert anchors.anchors([(2, 3)], (16, 24)) is None
    pixels = parse_pipeline_config(
        ssd(f"anchor_generator {{ multiscale_anchor_generator {{ {body} normalize_coordinates: false }} }}")
    ).anchors
    assert pixels is not None
    in_pixels = pixels.anchors([(2, 3), (1, 2)], (16, 24))
    assert in_pixels is not None
    np.testing.assert_allclose(in_pixels / [16, 24, 16, 24], found, atol=1e-6)
