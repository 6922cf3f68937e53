"""What is detected in pictures, by a stand-in for an engine, and what becomes of it: files, drawings, refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import surgeon
from surgeon import Ref, SurgeonError
from surgeon.language import Image, ImageStep
from surgeon.runners.detect import check_what, detect_all, image_of
from surgeon.runners.detection_runner import DetectionRunner
from surgeon.runners.detections import Detections
from surgeon.runners.drawing import PALETTE, corners, draw_detections
from surgeon.runners.engine import EngineRunner
from surgeon.runners.image import Picture, listed, made_picture
from surgeon.runners.image_result import ImageResult
from surgeon.runners.onnxruntime import OnnxRuntimeRunner
from surgeon.runners.result_folder import ResultFolder
from surgeon.runners.tensorflow import TensorFlowRunner
from surgeon.zoo import build_lenet, demo

STRETCHED = Image(size=(8, 8), steps=(ImageStep(divide=255.0),))


def code_of(exc: pytest.ExceptionInfo[SurgeonError]) -> str:
    return exc.value.diagnostics[0].code


def flat(value: int, height: int = 40, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


class Brightness:
    """A stand-in for an engine: one fixed box in each picture, whose score is the picture's mean, and a faint one."""

    box = (0.25, 0.5, 0.5, 1.0)

    def __init__(
        self,
        image: Image | None = STRETCHED,
        *,
        most: int = 4,
        lists: bool = False,
        shape: Sequence[int | None] = (None, 8, 8, 3),
        inputs: int = 1,
        dtype: str = "float32",
        outputs: str = "detections",
    ) -> None:
        self.path = Path("bright.engine")
        self.fed: list[np.ndarray] = []
        ports = ("num_detections", "boxes", "scores", "classes") if lists else ("detections", "keep_count")
        names = {port: f"NMS:{slot}" if slot else "NMS" for slot, port in enumerate(ports)}
        self.manifest = SimpleNamespace(
            image=image,
            labels={1: "lamp"},
            detections=names if outputs == "detections" else {},
            max_batch=most,
            graph="",
            tf32=False,
            precision="fp32",
            tensorrt="8.5.3.1",
            gpu="none",
            inputs=tuple(
                SimpleNamespace(name=f"Input{n or ''}", dtype=dtype, shape=tuple(shape))
                for n in range(inputs)
            ),
            outputs=tuple(
                SimpleNamespace(name=name)
                for name in (names.values() if outputs == "detections" else [outputs])
            ),
        )

    def run_each(self, batches: Iterable[Mapping[str, np.ndarray]]) -> Iterator[dict[str, np.ndarray]]:
        return map(self.run, batches)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        (values,) = feeds.values()
        assert len(values) <= self.manifest.max_batch
        self.fed.append(values)
        means = values.reshape(len(values), -1).astype(np.float32).mean(axis=1)
        if not self.manifest.detections:
            return {
                self.manifest.outputs[0].name: np.stack(
                    [means, 1 - means, np.full_like(means, np.nan)], axis=1
                )
            }
        if "boxes" in self.manifest.detections:
            boxes = np.tile(np.float32(self.box), (len(values), 3, 1))
            scores, classes = (
                np.stack([means, means / 10, means], axis=1),
                np.ones((len(values), 3), np.float32),
            )
            found: list[Any] = [np.full((len(values), 1), 2, np.int32), boxes, scores, classes]
        else:
            top, left, bottom, right = self.box
            rows = np.array(
                [
                    [
                        [
                            [n, 1, mean / 10, left, top, right, bottom],
                            [n, 1, mean, left, top, right, bottom],
                            [n, -1, 1, 0, 0, 1, 1],
                        ]
                    ]
                    for n, mean in enumerate(means)
                ],
                np.float32,
            )
            found = [rows, np.full((len(values), 1, 1, 1), 2, np.float32)]
        return dict(zip(self.manifest.detections.values(), found, strict=True))


def detector(engine: Brightness, image: Image | None = None) -> DetectionRunner:
    return DetectionRunner(EngineRunner(engine), image)  # type: ignore[arg-type]


def found_by(
    engine: Brightness, pictures: Sequence[np.ndarray], batch: int | None = None, **options: Any
) -> list[ImageResult]:
    given = (Picture(f"picture {n}", pixels) for n, pixels in enumerate(pictures))
    return [found for _, found in detector(engine).detect(given, batch, **options)]


@pytest.fixture(scope="module")
def recipe(demo_recipe: Path) -> Path:
    """Give the recipe that is written for the demo model."""
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    pytest.importorskip("PIL", reason="Pillow reads and writes pictures")
    return demo_recipe


def test_the_output_is_drawn_and_written(recipe: Path, tmp_path: Path) -> None:
    import json

    done: list[tuple[int, int]] = []
    found = surgeon.detect(
        recipe,
        demo.picture_paths()[:2],
        model=demo.model_path(),
        output=tmp_path / "found",
        tensors=True,
        labels={5: "x"},
        watch=lambda phase, what, count, total: done.append((count, total)),
    )
    stored = json.loads((tmp_path / "found" / "detections.json").read_text())
    assert stored["pictures"] == [one.to_json() for one in found] and stored["diagnostics"] == []
    assert done == [(1, 2), (2, 2)]
    names = [path.name for path in demo.picture_paths()[:2]]
    assert sorted(p.name for p in (tmp_path / "found").iterdir()) == sorted(
        ["detections.json", *(f"{name}.{kind}" for name in names for kind in ("png", "npz"))]
    )
    assert found[0].tensors is not None and "x" in {row["label"] for one in found for row in one.rows()}
    with np.load(found[0].tensors) as arrays:
        assert "NMS" in arrays.files and arrays["NMS"].shape[-1] == 7


# --- engines ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lists", [False, True])
def test_an_engine_is_fed_in_batches_and_each_picture_gets_its_own(lists: bool) -> None:
    engine = Brightness(lists=lists)
    values = [250, 100, 200, 150, 225]
    found = found_by(engine, [flat(value) for value in values], 2)
    assert [len(fed) for fed in engine.fed] == [2, 2, 1] and engine.fed[0].dtype == np.float32
    scores = [one.detections.scores.tolist() for one in found if one.detections is not None]
    np.testing.assert_allclose(scores, [[value / 255] for value in values], atol=1e-6)
    assert found[0].rows()[0]["label"] == "lamp" and found[0].outputs == {}
    # The largest batch is the engine's; and a picture in another's place is seen.
    engine = Brightness(lists=lists)
    other = found_by(engine, [flat(value) for value in values[::-1]])
    assert [len(fed) for fed in engine.fed] == [4, 1]
    assert [one.rows()[0]["score"] for one in other] != [one.rows()[0]["score"] for one in found]


def test_detections_are_the_best_first_above_the_threshold() -> None:
    (found,) = found_by(Brightness(), [flat(255)], threshold=0.05)
    assert found.detections is not None
    np.testing.assert_allclose(found.detections.scores, [1, 0.1], atol=1e-6)
    assert len(found_by(Brightness(), [flat(255)], threshold=0.5)[0].rows()) == 1


def test_boxes_of_a_stretched_picture_are_its_own() -> None:
    row = found_by(Brightness(), [flat(255, 40, 60)])[0].rows()[0]
    assert row["box"] == [0.25, 0.5, 0.5, 1.0] and row["pixels"] == [30, 10, 60, 20]


def test_boxes_of_a_fitted_picture_are_mapped_back() -> None:
    """A picture of 40 x 80 fills the upper half of 8 x 8: 0.25 and 0.5 of the input's height are 0.5 and 1 of its own."""
    fitted = Image(size=(8, 8), resize="keep-aspect-ratio", steps=(ImageStep(divide=255.0),))
    (found,) = found_by(Brightness(fitted), [flat(255, 40, 80)])
    assert found.rows()[0]["box"] == [0.5, 0.5, 1.0, 1.0] and found.rows()[0]["pixels"] == [40, 20, 80, 40]
    (stretched,) = found_by(Brightness(), [flat(255, 40, 80)])
    assert stretched.rows()[0]["box"] != found.rows()[0]["box"]


def test_an_input_with_its_channels_first() -> None:
    engine = Brightness(Image(size=(8, 6)), shape=(None, 3, 8, 6), outputs="sum")
    pixels = np.zeros((8, 6, 3), np.uint8)
    pixels[..., 1] = 7
    found_by(engine, [pixels])
    assert (
        engine.fed[0].shape == (1, 3, 8, 6)
        and (engine.fed[0][0, 1] == 7).all()
        and not engine.fed[0][0, ::2].any()
    )


def test_an_input_of_integers_is_rounded() -> None:
    engine = Brightness(Image(size=(8, 8), steps=(ImageStep(scale=1.996),)), dtype="uint8", outputs="sum")
    found_by(engine, [flat(3), flat(200)])
    assert engine.fed[0].dtype == np.uint8 and engine.fed[0][:, 0, 0, 0].tolist() == [6, 255]


def test_a_network_without_detections_gives_its_outputs() -> None:
    engine = Brightness(outputs="prob")
    found = found_by(engine, [flat(255), flat(51)], labels={0: "bright", 1: "dark"})
    assert [one.detections for one in found] == [None, None]
    shown = [one.to_json()["outputs"]["prob"] for one in found]
    assert shown[0]["shape"] == [3] and [entry["label"] for entry in shown[0]["largest"]] == [
        "bright",
        "dark",
        None,
    ]
    assert [entry["label"] for entry in shown[1]["largest"]][:2] == ["dark", "bright"]
    assert shown[0]["largest"][-1]["value"] is None
    np.testing.assert_allclose(shown[1]["largest"][0]["value"], 0.8, atol=1e-6)


def test_a_classifier_on_the_cpu() -> None:
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    from surgeon.formats.graphdef import from_bytes
    from surgeon.language import parse_recipe

    text = "recipe: 1\nname: digits\nextends: [lenet5_clip]\nimage: {size: [28, 28], color: GRAY, steps: [{divide: 255.0}]}\n"
    graph = from_bytes(build_lenet())
    pixels = [made_picture(n, 28, 28).pixels for n in range(2)]
    found = surgeon.detect(parse_recipe(text, "digits.yaml"), pixels, model=graph, batch=2)
    gray = np.stack([one.astype(np.float32) @ np.float32([0.299, 0.587, 0.114]) / 255 for one in pixels])
    name = Ref.parse("OutputLayer/Softmax")
    expected = TensorFlowRunner(graph, [name]).run({"InputLayer": gray[:, None]})[str(name)]
    (output,) = found[0].outputs
    np.testing.assert_allclose([one.outputs[output] for one in found], expected, atol=1e-5)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3


# --- pictures and files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with three pictures, the second damaged, and ``deeper`` with another ``a.png``."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow reads and writes pictures")
    (tmp_path / "in" / "deeper").mkdir(parents=True)
    for name, value in {"a.png": 250, "c.png": 150, "deeper/a.png": 200}.items():
        pillow.fromarray(flat(value)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "b.png").write_bytes(b"\x89PNG cut")
    return tmp_path / "in"


def run_folder(
    pictures: list[Any], output: Path | None = None, refused: Any = None
) -> tuple[ImageResult, ...]:
    return detect_all(
        detector(Brightness()),
        pictures,
        None,
        threshold=0.3,
        labels=None,
        folder=None if output is None else ResultFolder(output, pictures),
        tensors=False,
        refused=refused,
        watch=None,
    )


def test_a_broken_picture_takes_no_other_along(folder: Path, tmp_path: Path) -> None:
    unread: list[SurgeonError] = []
    found = run_folder(listed(folder), tmp_path / "out", unread.append)
    assert [Path(one.picture).name for one in found] == ["a.png", "c.png"]
    assert [exc.diagnostics[0].code for exc in unread] == ["V101"] and "b.png" in str(unread[0])
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.png.png",
        "c.png.png",
        "detections.json",
    ]
    with pytest.raises(SurgeonError) as exc:
        run_folder(listed(folder))
    assert code_of(exc) == "V101"


def test_pictures_of_one_name_do_not_overwrite_each_other(folder: Path, tmp_path: Path) -> None:
    pictures = listed([folder / "a.png", folder / "deeper", folder / "a.png"])
    assert pictures == [folder / "a.png", folder / "deeper" / "a.png"]
    found = run_folder(pictures, tmp_path / "out")
    assert [one.drawn.name for one in found if one.drawn] == ["a.png.png", "a.png-2.png"]
    again = ResultFolder(tmp_path / "out", pictures)
    assert [again.free(name) for name in ("x-2", "x", "X", "x")] == ["x-2", "x", "X-3", "x-4"]


def test_the_output_is_no_folder_of_pictures(folder: Path) -> None:
    with pytest.raises(SurgeonError) as exc:
        ResultFolder(folder, listed(folder))
    assert code_of(exc) == "V117"
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png", "c.png", "deeper"]


@pytest.mark.parametrize("images", ["nowhere", [], ["nowhere"]])
def test_no_pictures(images: Any) -> None:
    with pytest.raises(SurgeonError) as exc:
        listed(images)
    assert code_of(exc) == "V102"


def test_arrays_are_pictures() -> None:
    assert [one.picture for one in run_folder(listed([flat(255), flat(255)]))] == ["picture 0", "picture 1"]
    with pytest.raises(SurgeonError) as exc:
        run_folder(listed([flat(255), flat(1).astype(np.float32)]), refused=lambda exc: None)
    assert code_of(exc) == "V111" and "picture 1" in str(exc.value)


# --- drawing -----------------------------------------------------------------------------------------------------------------


def test_a_box_is_drawn_where_it_is_in_the_colour_of_its_class(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image", reason="Pillow reads and writes pictures")
    detections = Detections(
        np.array([[0.25, 0.5, 0.75, 1.0], [-1, -1, 2, np.nan]], np.float32),
        np.float32([0.9, 0.4]),
        np.array([3, 4]),
    )
    path = draw_detections(Picture("x", flat(0, 640, 640)), detections, tmp_path / "x.png", {3: "a \u6f22"})
    pixels = np.asarray(pillow.open(path))
    assert pixels.shape == (640, 640, 3)
    assert (pixels[480, 330:630] == PALETTE[3]).all() and (pixels[170:470, 320] == PALETTE[3]).all()
    assert not pixels[300, 400].any()
    assert len(set(PALETTE)) == len(PALETTE) >= 12


def test_names_are_drawn_in_letters_that_the_font_has(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="Pillow reads and writes pictures")
    detections = Detections(np.array([[0.2, 0.2, 0.8, 0.8]], np.float32), np.float32([0.5]), np.array([7]))

    def drawn(labels: dict[int, str]) -> bytes:
        return draw_detections(Picture("x", flat(0)), detections, tmp_path / "x.png", labels).read_bytes()

    assert drawn({7: "k\u00e4se"}) == drawn({7: "kase"}) != drawn({})
    assert drawn({7: "\u6f22"}) == drawn({7: "a\nb"}) == drawn({}) == drawn({7: "7"})


def test_corners_are_clipped_to_the_picture() -> None:
    boxes = np.array([[-0.5, 0.1, 0.5, 1.5], [np.nan, 0, np.inf, 1]], np.float32)
    assert corners(boxes, 100, 200).tolist() == [[10, 0, 100, 100], [0, 0, 100, 200]]


def test_numbers_that_are_not_finite_are_no_json() -> None:
    import json

    detections = Detections(np.array([[np.nan, 0, np.inf, 1]], np.float32), np.float32([0.5]), np.array([1]))
    shown = ImageResult("x", None, (10, 10), detections).to_json()
    assert shown["detections"][0]["box"] == [None, 0.0, None, 1.0] and shown["detections"][0]["label"] is None
    json.dumps(shown, allow_nan=False)


# --- what is refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "engine"),
    [
        ("V112", Brightness(None)),
        ("V114", Brightness(inputs=2)),
        ("V114", Brightness(inputs=0)),
        ("V114", Brightness(shape=(None, 9, 8, 3))),
        ("V114", Brightness(shape=(None, 8, 8, 1))),
        ("V114", Brightness(shape=(None, 192))),
    ],
)
def test_an_engine_that_no_picture_can_be_put_into(code: str, engine: Brightness) -> None:
    with pytest.raises(SurgeonError) as exc:
        detector(engine)
    assert code_of(exc) == code


def test_the_image_given_goes_before_the_manifests() -> None:
    assert detector(Brightness(None), STRETCHED).image == STRETCHED
    with pytest.raises(SurgeonError) as exc:
        detector(Brightness(), Image(size=(9, 9)))
    assert code_of(exc) == "V114"


@pytest.mark.parametrize("batch", [0, 5])
def test_a_batch_that_the_engine_does_not_take(batch: int) -> None:
    with pytest.raises(SurgeonError) as exc:
        found_by(Brightness(), [flat(1)], batch)
    assert code_of(exc) == "V116"


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_that_is_none(threshold: float) -> None:
    with pytest.raises(SurgeonError) as exc:
        found_by(Brightness(), [flat(1)], threshold=threshold)
    assert code_of(exc) == "V119"


def test_what_goes_together(tmp_path: Path) -> None:
    for name in ("x.engine", "x.onnx", "x.UFF", "x.plan"):
        (tmp_path / name).touch()
    assert (
        check_what(tmp_path / "x.engine", None, None)
        == check_what(str(tmp_path / "x.plan"), "m.pb", "ssd")
        == EngineRunner
    )
    assert check_what(tmp_path / "x.onnx", None, None) is OnnxRuntimeRunner
    assert check_what("ssd", "m.pb", None) is None
    for code, arguments in (
        ("V113", ("ssd", None, None)),
        ("V113", ("ssd", "m.pb", "ssd")),
        ("V113", (tmp_path / "x.engine", "m.pb", None)),
        ("V115", (tmp_path / "x.UFF", None, None)),
        ("E101", ("nothing.trt", None, None)),
    ):
        with pytest.raises(SurgeonError) as exc:
            check_what(*arguments)
        assert code_of(exc) == code
    with pytest.raises(SurgeonError) as exc:
        check_what("ssd", "m.pb", None, tensors=True)
    assert code_of(exc) == "V113"


def test_a_recipe_that_leaves_the_image_to_a_model() -> None:
    for name in ("ssd", "lenet5_clip"):
        with pytest.raises(SurgeonError) as exc:
            image_of(surgeon.load_recipe(name), None)
        assert code_of(exc) == "V118"
    made = surgeon.plan("ssd", demo.model_path())
    assert image_of(surgeon.load_recipe("ssd"), made).size == (300, 300)


def test_a_recipe_without_an_image() -> None:
    pytest.importorskip("tensorflow", reason="ordinary operations run in TensorFlow")
    from surgeon.formats.graphdef import from_bytes

    with pytest.raises(SurgeonError) as exc:
        surgeon.detect("lenet5_clip", [flat(1)], model=from_bytes(build_lenet()))
    assert code_of(exc) == "V112"
