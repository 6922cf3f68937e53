"""Single operations through the genuine UFF parser: does TensorRT compute what TensorFlow does?

python bench/operations.py make DIR                    with TensorFlow: UFF files, inputs and results in DIR
python bench/operations.py run DIR OUT.json [NAME...]  with TensorRT 8.5 and a GPU: build, execute, compare
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

SIZE = 6
CHANNELS = 3
WORKERS = 8


def cases(tf: Any) -> dict[str, Callable[[Any], Any]]:
    """Return what is computed from ``x``, float32[1, 6, 6, 3], by name."""
    random = np.random.RandomState(0)

    def constant(*shape: int) -> Any:
        return tf.constant(random.randn(*shape).astype(np.float32))

    def conv(x: Any, k: int = 1, o: int = 4, strides: int = 1, padding: Any = "SAME", **more: Any) -> Any:
        return tf.nn.conv2d(x, constant(k, k, x.shape[-1], o), strides=strides, padding=padding, **more)

    def normalized(x: Any) -> Any:
        return tf.raw_ops.FusedBatchNormV3(
            x=conv(x),
            scale=constant(4),
            offset=constant(4),
            mean=constant(4),
            variance=tf.abs(constant(4)),
            is_training=False,
            epsilon=1e-3,
        )[0]

    def reshaped(x: Any) -> Any:
        return tf.reshape(sequence(x), [1, SIZE, SIZE, 4])

    def sequence(x: Any) -> Any:
        return tf.reshape(conv(x), [1, SIZE * SIZE, 4])

    def heads(x: Any) -> Any:
        return tf.transpose(tf.reshape(conv(x), [1, SIZE * SIZE, 2, 2]), [0, 2, 1, 3])

    def less_mean(y: Any, axis: int) -> Any:
        return y - tf.reduce_mean(y, axis, keepdims=True)

    def less_largest(y: Any) -> Any:
        return y - tf.reduce_max(y, 3, keepdims=True)

    def excited(x: Any) -> Any:
        y = conv(x)
        return conv(y * tf.sigmoid(conv(tf.reduce_mean(y, [1, 2], keepdims=True))))

    def gated(y: Any) -> Any:
        return y * tf.sigmoid(tf.matmul(tf.reduce_mean(y, [1, 2]), constant(4, 4)))

    def with_softmax(y: Any) -> Any:
        return y * tf.nn.softmax(y)

    return {
        "conv": lambda x: tf.nn.relu(conv(x)),
        "conv_explicit_padding": lambda x: conv(x, 3, padding=[[0, 0], [1, 1], [1, 1], [0, 0]], strides=2),
        "conv_explicit_padding_oblong": lambda x: conv(x, 3, padding=[[0, 0], [2, 2], [1, 1], [0, 0]]),
        "conv_dilated": lambda x: conv(x, 3, dilations=[1, 2, 2, 1]),
        "conv_dilated_oblong": lambda x: conv(x, 3, dilations=[1, 2, 1, 1]),
        "conv_depthwise": lambda x: tf.nn.depthwise_conv2d(x, constant(3, 3, 3, 1), [1, 1, 1, 1], "SAME"),
        "conv_depthwise_multiplier_2": lambda x: tf.nn.depthwise_conv2d(
            x, constant(3, 3, 3, 2), [1, 1, 1, 1], "SAME"
        ),
        "conv_transposed": lambda x: tf.nn.conv2d_transpose(
            conv(x), constant(3, 3, 5, 4), [1, 12, 12, 5], 2, "SAME"
        ),
        "pad_folded": lambda x: conv(tf.pad(x, [[0, 0], [2, 2], [1, 1], [0, 0]]), 3, padding="VALID"),
        "pad_asymmetric": lambda x: conv(
            tf.pad(tf.nn.relu(x), [[0, 0], [0, 1], [0, 1], [0, 0]]), 3, padding="VALID"
        ),
        "batch_norm": normalized,
        "softmax_nhwc": lambda x: tf.nn.softmax(conv(x)),
        "softmax_matrix": lambda x: tf.nn.softmax(
            tf.matmul(tf.reshape(tf.nn.relu(conv(x)), [1, -1]), constant(SIZE * SIZE * 4, 5))
        ),
        "leaky_relu": lambda x: tf.nn.leaky_relu(conv(x), 0.1),
        "elu": lambda x: tf.nn.elu(conv(x)),
        "pow": lambda x: tf.pow(tf.nn.relu(conv(x)) + 1.0, 2.0),
        "scalar_minus_tensor": lambda x: 1.0 - conv(x),
        "tensor_times_vector": lambda x: conv(x) * tf.constant([1.0, 2.0, 3.0, 4.0]),
        "lrn": lambda x: tf.nn.local_response_normalization(conv(x, o=8), 2, 1.0, 0.1, 0.75),
        "mean_keepdims": lambda x: tf.reduce_mean(conv(x), [1, 2], keepdims=True),
        "mean": lambda x: tf.reduce_mean(conv(x), [1, 2]),
        "average_pool_same": lambda x: tf.nn.avg_pool2d(conv(x), 3, 2, "SAME"),
        "max_pool_same": lambda x: tf.nn.max_pool2d(conv(x), 3, 2, "SAME"),
        "concat_channels": lambda x: tf.concat([conv(x), conv(x)], 3),
        "transpose": lambda x: tf.transpose(conv(x), [0, 3, 1, 2]),
        "reshape": lambda x: tf.reshape(conv(x), [1, SIZE * SIZE, 4]),
        "squared_difference": lambda x: tf.math.squared_difference(conv(x), conv(x)),
        "sum_of_three": lambda x: tf.add_n([conv(x), conv(x), conv(x)]),
        "maximum": lambda x: tf.maximum(conv(x), 0.3),
        "l2_normalized": lambda x: tf.nn.l2_normalize(conv(x), -1),
        "instance_norm": lambda x: tf.nn.l2_normalize(
            conv(x) - tf.reduce_mean(conv(x), [1, 2], True), [1, 2]
        ),
        "quotient": lambda x: 2.0 / (tf.abs(conv(x)) + 1.0),
        "erf": lambda x: tf.math.erf(conv(x)),
        "log_softmax": lambda x: tf.nn.log_softmax(conv(x)),
        "softmax_rows": lambda x: tf.nn.softmax(conv(x), 1),
        "split": lambda x: tf.concat(tf.split(conv(x), 2, 3)[::-1], 3),
        "unstacked": lambda x: tf.unstack(conv(x), axis=3)[1],
        "stacked": lambda x: tf.stack([conv(x), conv(x)], 2),
        "one_row": lambda x: conv(x)[:, 2],
        "rows": lambda x: conv(x)[:, 1:4],
        "tiled": lambda x: tf.tile(tf.reduce_mean(conv(x), [1, 2], True), [1, 6, 6, 1]),
        "mirrored": lambda x: conv(tf.pad(conv(x), [[0, 0], [2, 1], [1, 2], [0, 0]], "REFLECT")),
        "depth_to_space": lambda x: conv(tf.nn.depth_to_space(conv(x, o=8), 2)),
        "space_to_depth": lambda x: conv(tf.nn.space_to_depth(conv(x), 2)),
        "nearest": lambda x: conv(tf.raw_ops.ResizeNearestNeighbor(images=conv(x), size=[12, 12])),
        "nearest_oblong": lambda x: conv(tf.raw_ops.ResizeNearestNeighbor(images=conv(x), size=[12, 18])),
        "attention": lambda x: tf.matmul(
            tf.reshape(conv(x), [1, 36, 4]), tf.reshape(conv(x), [1, 36, 4]), transpose_b=True
        ),
        "dense_rows": lambda x: tf.tensordot(tf.reshape(conv(x), [1, 36, 4]), constant(4, 5), 1),
        "dilated_chain": lambda x: tf.nn.atrous_conv2d(conv(x), constant(3, 3, 4, 5), 2, "SAME"),
        "columns": lambda x: conv(x)[:, :, 1:4],
        "channels": lambda x: conv(x)[..., 1:3],
        "every_other_row": lambda x: conv(conv(x)[:, ::2]),
        "one_channel": lambda x: conv(x)[..., 2],
        "rows_of_the_input": lambda x: conv(x[:, 1:4]) + conv(x)[:, 2:5],
        "rows_added": lambda x: conv(conv(x)[:, 1:4] + conv(x)[:, 2:5]),
        "focus": lambda x: conv(tf.concat([x[:, ::2, ::2], x[:, 1::2, ::2], x[:, 1::2, 1::2]], 3)),
        "part_of_a_sequence": lambda x: sequence(x)[:, 2:10],
        "columns_of_a_sequence": lambda x: sequence(x)[:, :, 1:3],
        "one_of_a_sequence": lambda x: sequence(x)[:, 3],
        "part_of_an_embedding": lambda x: tf.reshape(conv(x), [1, 144])[:, 5:20],
        "squeeze_and_excite": excited,
        "less_mean_of_channels": lambda x: conv(less_mean(conv(x), 3)),
        "less_mean_of_rows": lambda x: conv(less_mean(conv(x), 1)),
        "less_largest_channel": lambda x: less_largest(conv(x)),
        "less_mean_of_a_sequence": lambda x: less_mean(sequence(x), 2),
        "sum_of_channels": lambda x: conv(tf.reduce_sum(conv(x), 3, keepdims=True)),
        "gated_by_a_dense_layer": lambda x: conv(gated(conv(x))),
        "plus_a_picture": lambda x: conv(conv(x) + constant(1, SIZE, SIZE, 4)),
        "plus_columns": lambda x: conv(x) + constant(SIZE, 1, 4),
        "times_a_plane": lambda x: conv(x) * constant(SIZE, SIZE, 1),
        "plus_a_reshaped_one": lambda x: conv(conv(x) + reshaped(x)),
        "reshaped_times_channels": lambda x: reshaped(x) * constant(4),
        "reshaped_and_padded": lambda x: conv(tf.pad(reshaped(x), [[0, 0], [0, 1], [2, 0], [0, 0]]), 3),
        "times_its_softmax": lambda x: conv(with_softmax(conv(x))),
        "softmax_of_a_sequence": lambda x: tf.nn.softmax(sequence(x)),
        "softmax_reshaped": lambda x: tf.reshape(tf.nn.softmax(conv(x)), [1, SIZE * SIZE, 4]),
        "bias_of_a_sequence": lambda x: tf.nn.bias_add(sequence(x), constant(4)),
        "plus_a_sequence": lambda x: sequence(x) + constant(SIZE * SIZE, 4),
        "sequence_transposed": lambda x: tf.transpose(sequence(x), [0, 2, 1]),
        "rows_and_columns_swapped": lambda x: conv(tf.transpose(conv(x), [0, 2, 1, 3])),
        "reshaped_and_swapped": lambda x: tf.transpose(reshaped(x), [0, 2, 1, 3]),
        "product": lambda x: tf.matmul(sequence(x), tf.reshape(conv(x), [1, 4, SIZE * SIZE])),
        "product_turned": lambda x: tf.matmul(sequence(x), sequence(x), transpose_a=True),
        "heads": lambda x: tf.matmul(heads(x), heads(x), transpose_b=True),
        "joined_with_a_reshaped_one": lambda x: conv(tf.concat([conv(x), reshaped(x)], 3)),
        "convolved_and_padded": lambda x: conv(tf.pad(conv(x), [[0, 0], [0, 1], [2, 0], [0, 0]]), 3),
        "padded_as_same": lambda x: conv(
            tf.pad(conv(x), [[0, 0], [0, 1], [0, 1], [0, 0]]), 3, strides=2, padding="VALID"
        ),
        "joined_rows": lambda x: tf.concat([conv(x), conv(x)], 1),
        "new_axis": lambda x: tf.expand_dims(conv(x), 3),
    }


def make(folder: Path) -> int:
    """Write each case's UFF file, and inputs and results as ``expected.npz``."""
    import tensorflow as tf

    from surgeon.catalog import load_catalog
    from surgeon.diagnostics import SurgeonError
    from surgeon.formats import FileFacts
    from surgeon.formats.graphdef import from_bytes
    from surgeon.formats.uff import FORMAT
    from surgeon.graph import Ref
    from surgeon.targets import load_target

    folder.mkdir(parents=True, exist_ok=True)
    target = load_target("uff@tensorrt-8.5")
    picture = np.random.RandomState(1).randn(1, SIZE, SIZE, CHANNELS).astype(np.float32)
    results = {"x": picture}
    for name, case in cases(tf).items():
        graph = tf.Graph()
        with graph.as_default():
            x = tf.compat.v1.placeholder(tf.float32, picture.shape, "Input")
            out = tf.identity(case(x), "out")
            with tf.compat.v1.Session() as session:
                result = session.run(out, {x: picture})
        found = from_bytes(graph.as_graph_def().SerializeToString()).replace(outputs=[Ref("out")])
        try:
            FORMAT.write(found, folder / f"{name}.uff", target, load_catalog(), FileFacts())
            results[name] = result
        except SurgeonError as exc:
            print(name, exc)
    np.savez(folder / "expected.npz", **results)
    return 0


def run(folder: Path, out: Path, *names: Path) -> int:
    """Execute all cases, or those named, and write what was seen.

    Several processes share the work, since building takes seconds; one that TensorRT ends is started again
    behind the case that did it.
    """
    files = [folder / f"{name}.uff" for name in names] or sorted(folder.glob("*.uff"))
    seen: dict[str, Any] = {}

    def work(mine: list[Path]) -> None:
        while mine:
            child = subprocess.Popen(
                [sys.executable, __file__, "some", *map(str, mine)], stdout=subprocess.PIPE, text=True
            )
            assert child.stdout is not None
            done = 0
            for line in child.stdout:
                if line.startswith("{"):
                    seen[mine[done].stem] = json.loads(line)
                    print(mine[done].stem, line[:400].rstrip(), flush=True)
                    out.write_text(json.dumps(dict(sorted(seen.items())), indent=1) + "\n")
                    done += 1
            if child.wait() and done < len(mine):
                seen[mine[done].stem] = {"died": child.returncode}
                print(mine[done].stem, "died", child.returncode, flush=True)
                done += 1
            mine = mine[done:]

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(work, (files[i::WORKERS] for i in range(WORKERS))))
    return 0


def some(*files: Path) -> int:
    """Execute cases one after the other."""
    for file in files:
        one(file)
    return 0


def one(file: Path) -> int:
    """Execute one case and print, as JSON, its worst error for a result laid out as TensorFlow's or channels
    first.

    A file named ``case~variant`` is compared with the result of ``case``.
    """
    import tensorrt as trt
    from hardware import Log, build, execute, parse

    log = Log()
    trt.init_libnvinfer_plugins(log, "")
    expected = np.load(file.parent / "expected.npz")
    picture = expected["x"][0].transpose(2, 0, 1)
    wanted = expected[file.stem.partition("~")[0]]
    entry: dict[str, Any] = {}
    builder, network, entry["parse"] = parse(str(file), log, picture.shape)
    if entry["parse"]["accepted"]:
        data, entry["build"] = build(builder, network)
        if data is not None:
            got, _ = execute(data, log, picture, rounds=1)
            layouts = {
                "as TensorFlow": wanted,
                "channels first": wanted.transpose(0, 3, 1, 2) if wanted.ndim == 4 else wanted,
            }
            entry["error"] = {
                k: float(np.abs(got.ravel() - v.ravel()).max())
                for k, v in layouts.items()
                if got.size == v.size
            }
    entry["log"] = [line for line in log.lines if "implicit batch" not in line][:6]
    print(json.dumps(entry), flush=True)
    return 0


if __name__ == "__main__":
    verb, *paths = sys.argv[1:]
    sys.exit({"make": make, "run": run, "some": some}[verb](*map(Path, paths)))
