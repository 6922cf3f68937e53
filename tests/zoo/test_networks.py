"""The generated networks that detect nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from surgeon import zoo

BUILDERS = (zoo.build_facenet, zoo.build_lstm_tagger, zoo.build_mobilenet, zoo.build_unet)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_seed_gives_the_same_weights(build: Callable[[int], bytes]) -> None:
    assert build(2) == build(2)
    assert build(2) != build(3)


@pytest.fixture(scope="module")
def computed() -> dict[str, np.ndarray]:
    """Give what each network computes of random numbers."""
    tf = pytest.importorskip("tensorflow", reason="the graphs run in TensorFlow").compat.v1
    random = np.random.default_rng(5)
    fed = {
        zoo.build_facenet: ("embeddings", {"input": random.random((2, 40, 40, 3)), "phase_train": False}),
        zoo.build_lstm_tagger: ("tags", {"word_ids": random.integers(0, 20, (1, 8))}),
        zoo.build_mobilenet: (
            "MobilenetV1/Predictions/Reshape_1",
            {"input": random.random((2, 32, 32, 3))},
        ),
        zoo.build_unet: ("probabilities", {"input_1": random.random((2, 32, 32, 3))}),
    }
    found: dict[str, np.ndarray] = {}
    for build, (output, inputs) in fed.items():
        graph_def = tf.GraphDef()
        graph_def.ParseFromString(build())
        with tf.Graph().as_default() as graph:
            tf.import_graph_def(graph_def, name="")
            with tf.Session(graph=graph) as session:
                feeds = {f"{name}:0": value for name, value in inputs.items()}
                found[output] = session.run(f"{output}:0", feeds)
    return found


def test_embeddings_have_length_one(computed: dict[str, np.ndarray]) -> None:
    embeddings = computed["embeddings"]
    assert embeddings.shape == (2, 16)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize(
    ("output", "shape"),
    [
        ("tags", (1, 8, 4)),
        ("MobilenetV1/Predictions/Reshape_1", (2, 5)),
        ("probabilities", (2, 32, 32, 3)),
    ],
)
def test_probabilities_depend_on_the_input(
    computed: dict[str, np.ndarray], output: str, shape: tuple[int, ...]
) -> None:
    assert computed[output].shape == shape
    np.testing.assert_allclose(computed[output].sum(-1), 1, rtol=1e-5)
    assert len(np.unique(computed[output])) > 8
