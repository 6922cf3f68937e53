"""Ops that declare what they give: iterators, queues, parsers, calls of functions."""

from __future__ import annotations

from collections.abc import Sequence

from surgeon.graph import DType, Node, Shape, TensorSpec
from surgeon.infer.rule import Context, Rule, attr_dtype, attr_dtypes, attr_int, attr_shape

_QUEUES = """
    FIFOQueue FIFOQueueV2 PaddingFIFOQueue PaddingFIFOQueueV2 PriorityQueue PriorityQueueV2 RandomShuffleQueue
    RandomShuffleQueueV2
""".split()

_DECLARED = {
    **dict.fromkeys(
        (
            "IteratorGetNext",
            "IteratorGetNextSync",
            "OptionalGetValue",
            "DatasetToSingleElement",
            "ReduceDataset",
        ),
        ("output_types", "output_shapes"),
    ),
    **dict.fromkeys(("If", "StatelessIf", "Case", "StatelessCase"), ("Tout", "output_shapes")),
    **dict.fromkeys(("While", "StatelessWhile"), ("T", "output_shapes")),
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), ("Tout", "")),
    **dict.fromkeys(("PyFunc", "PyFuncStateless", "EagerPyFunc"), ("Tout", "")),
    "InfeedDequeueTuple": ("dtypes", "shapes"),
    "RestoreV2": ("dtypes", ""),
    "Unstage": ("dtypes", ""),
}
"""For each operation the attributes that list the types and the shapes of its outputs."""


def attr_shapes(node: Node, key: str) -> tuple[Shape, ...]:
    """Return an attribute that lists shapes, empty where it is missing or of another kind."""
    value = node.attrs.get(key)
    return tuple(each for each in value if isinstance(each, Shape)) if isinstance(value, tuple) else ()


def declared(ctx: Context) -> Sequence[TensorSpec]:
    types_key, shapes_key = _DECLARED[ctx.node.op]
    return _specs(attr_dtypes(ctx.node, types_key) or (), attr_shapes(ctx.node, shapes_key))


def _count(node: Node) -> int:
    return len(attr_dtypes(node, _DECLARED[node.op][0]) or ())


def _specs(types: Sequence[DType], shapes: Sequence[Shape]) -> list[TensorSpec]:
    """Return a spec for each type, of unknown shape where the shapes are not one each."""
    one_each = len(shapes) == len(types)
    return [TensorSpec(dtype, shapes[i] if one_each else Shape()) for i, dtype in enumerate(types)]


def resource(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.RESOURCE, Shape(()))]


def queue_of_texts(ctx: Context) -> Sequence[TensorSpec]:
    """Return the handle that the first version of a queue gives: its two names."""
    return [TensorSpec(DType.STRING, Shape((2,)))]


def dequeue(ctx: Context) -> Sequence[TensorSpec]:
    """Return one element of a queue."""
    return _elements(ctx)


def dequeue_many(ctx: Context) -> Sequence[TensorSpec]:
    """Return as many elements of a queue as the second input says, or up to as many."""
    count = None if "UpTo" in ctx.node.op else ctx.scalar(1)
    return [
        TensorSpec(each.dtype, Shape(None if each.shape.dims is None else (count, *each.shape.dims)))
        for each in _elements(ctx)
    ]


def _elements(ctx: Context) -> list[TensorSpec]:
    """Return what an element of a queue is made of, in the shapes that the queue declares."""
    types = attr_dtypes(ctx.node, "component_types") or ()
    queue = ctx.source(0)
    return _specs(types, attr_shapes(queue, "shapes") if queue is not None and queue.op in _QUEUES else ())


def _component_count(node: Node) -> int:
    return len(attr_dtypes(node, "component_types") or ())


def decode_raw(ctx: Context) -> Sequence[TensorSpec]:
    """Return the numbers of each text, whose count is known where every text is cut to one length."""
    dims, dtype = ctx.dims(0), attr_dtype(ctx.node, "out_type")
    length = ctx.scalar(1) if ctx.node.op == "DecodePaddedRaw" else None
    size = dtype.itemsize if dtype is not None else None
    count = length // size if length is not None and size is not None else None
    return [TensorSpec(dtype, Shape() if dims is None else Shape((*dims, count)))]


def decode_csv(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(dtype, ctx.spec(0).shape) for dtype in attr_dtypes(ctx.node, "OUT_TYPE") or ()]


def decode_wav(ctx: Context) -> Sequence[TensorSpec]:
    wanted = (attr_int(ctx.node, key, -1) for key in ("desired_samples", "desired_channels"))
    samples = Shape(tuple(None if size < 0 else size for size in wanted))
    return [TensorSpec(DType.FLOAT32, samples), TensorSpec.of(DType.INT32)]


def read_file(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.STRING, ctx.spec(0).shape)]


def string_to_number(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "out_type", DType.FLOAT32), ctx.spec(0).shape)]


def hash_bucket(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(DType.INT64, ctx.spec(0).shape)]


def table_find(ctx: Context) -> Sequence[TensorSpec]:
    """Return a value for each key, of the keys' shape where a value is one number."""
    table = ctx.source(0)
    one_each = table is not None and table.op in ("HashTable", "HashTableV2")
    return [TensorSpec(attr_dtype(ctx.node, "Tout"), ctx.spec(1).shape if one_each else Shape())]


def infeed(ctx: Context) -> Sequence[TensorSpec]:
    return [TensorSpec(attr_dtype(ctx.node, "dtype"), attr_shape(ctx.node, "shape"))]


def parse_example(ctx: Context) -> Sequence[TensorSpec]:
    """Return sparse features (indices, values, shapes), dense ones, and ragged ones (values, row splits)."""
    node, batch = ctx.node, () if ctx.node.op == "ParseSingleExample" else ctx.dims(0)
    sparse = attr_dtypes(node, "sparse_types") or ()
    rank = None if batch is None else len(batch) + 1
    specs = [TensorSpec(DType.INT64, Shape((None, rank)))] * len(sparse)
    specs += [TensorSpec(dtype, Shape((None,))) for dtype in sparse]
    specs += [TensorSpec(DType.INT64, Shape((rank,)))] * len(sparse)
    for each in _specs(attr_dtypes(node, "Tdense") or (), attr_shapes(node, "dense_shapes")):
        dims = each.shape.dims
        whole = Shape() if batch is None or dims is None else Shape((*batch, *dims))
        specs.append(TensorSpec(each.dtype, whole))
    ragged = zip(
        attr_dtypes(node, "ragged_value_types") or (),
        attr_dtypes(node, "ragged_split_types") or (),
        strict=False,
    )
    values, splits = [], []
    for value_type, split_type in ragged:
        values.append(TensorSpec(value_type, Shape((None,))))
        length = batch[0] if batch else None
        splits.append(TensorSpec(split_type, Shape((None if length is None else length + 1,))))
    return [*specs, *values, *splits]


def _feature_count(node: Node) -> int:
    lists = {"sparse_types": 3, "Tdense": 1, "ragged_value_types": 2}
    return sum(number * len(attr_dtypes(node, key) or ()) for key, number in lists.items())


RULES = (
    *(Rule(op, declared, outputs=_count) for op in _DECLARED),
    *(Rule(op, resource if op.endswith("V2") else queue_of_texts) for op in _QUEUES),
    *(Rule(op, resource) for op in ("Iterator", "IteratorV2", "OneShotIterator")),
    *(Rule(op, dequeue, outputs=_component_count) for op in ("QueueDequeue", "QueueDequeueV2")),
    *(
        Rule(op, dequeue_many, outputs=_component_count)
        for op in ("QueueDequeueMany", "QueueDequeueManyV2", "QueueDequeueUpTo", "QueueDequeueUpToV2")
    ),
    Rule("DecodeRaw", decode_raw),
    Rule("DecodePaddedRaw", decode_raw),
    Rule("DecodeCSV", decode_csv, outputs=lambda node: len(attr_dtypes(node, "OUT_TYPE") or ())),
    Rule("DecodeWav", decode_wav, outputs=2),
    Rule("ReadFile", read_file),
    Rule("StringToNumber", string_to_number),
    *(Rule(f"StringToHashBucket{kind}", hash_bucket) for kind in ("", "Fast", "Strong")),
    Rule("LookupTableFind", table_find),
    Rule("LookupTableFindV2", table_find),
    Rule("InfeedDequeue", infeed),
    *(
        Rule(op, parse_example, outputs=_feature_count)
        for op in ("ParseExample", "ParseExampleV2", "ParseSingleExample")
    ),
)
