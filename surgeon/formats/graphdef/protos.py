"""The protobuf messages of a GraphDef, by the field numbers that TensorFlow publishes for them.

They are those of ``tensorflow/core/framework`` at release 2.21; a field of a later release stays in a message
as it came. The text form reads a name that stands here only.
"""

from __future__ import annotations

from typing import Any

from surgeon.formats.protos import Row, message_classes

_TYPES = """
    FLOAT DOUBLE INT32 UINT8 INT16 INT8 STRING COMPLEX64 INT64 BOOL QINT8 QUINT8 QINT32 BFLOAT16 QINT16
    QUINT16 UINT16 COMPLEX128 HALF RESOURCE VARIANT UINT32 UINT64 FLOAT8_E5M2 FLOAT8_E4M3FN FLOAT8_E4M3FNUZ
    FLOAT8_E4M3B11FNUZ FLOAT8_E5M2FNUZ INT4 UINT4 INT2 UINT2 FLOAT4_E2M1FN
""".split()
"""The element types from number 1 on; each has a reference type, 100 above it."""

_FULL_TYPES = """
    UNSET=0 VAR=1 ANY=2 PRODUCT=3 NAMED=4 FOR_EACH=20 CALLABLE=100 BOOL=200 UINT8=201 UINT16=202 UINT32=203
    UINT64=204 INT8=205 INT16=206 INT32=207 INT64=208 HALF=209 FLOAT=210 DOUBLE=211 COMPLEX64=212
    COMPLEX128=213 STRING=214 BFLOAT16=215 TENSOR=1000 ARRAY=1001 OPTIONAL=1002 LITERAL=1003 ENCODED=1004
    SHAPE_TENSOR=1005 DATASET=10102 RAGGED=10103 ITERATOR=10104 MUTEX_LOCK=10202 LEGACY_VARIANT=10203
""".split()

_MESSAGES = {
    "GraphDef": """
        1 node NodeDef*
        2 library FunctionDefLibrary
        3 version int32
        4 versions VersionDef
        5 debug_info GraphDebugInfo
    """,
    "NodeDef": """
        1 name string
        2 op string
        3 input string*
        4 device string
        5 attr map string AttrValue
        6 experimental_debug_info NodeDef.ExperimentalDebugInfo
        7 experimental_type FullTypeDef
    """,
    "NodeDef.ExperimentalDebugInfo": """
        1 original_node_names string*
        2 original_func_names string*
    """,
    "AttrValue": """
        1 list AttrValue.ListValue|value
        2 s bytes|value
        3 i int64|value
        4 f float|value
        5 b bool|value
        6 type DataType|value
        7 shape TensorShapeProto|value
        8 tensor TensorProto|value
        9 placeholder string|value
        10 func NameAttrList|value
    """,
    "AttrValue.ListValue": """
        2 s bytes*
        3 i int64*
        4 f float*
        5 b bool*
        6 type DataType*
        7 shape TensorShapeProto*
        8 tensor TensorProto*
        9 func NameAttrList*
    """,
    "NameAttrList": """
        1 name string
        2 attr map string AttrValue
    """,
    "TensorProto": """
        1 dtype DataType
        2 tensor_shape TensorShapeProto
        3 version_number int32
        4 tensor_content bytes
        5 float_val float*
        6 double_val double*
        7 int_val int32*
        8 string_val bytes*
        9 scomplex_val float*
        10 int64_val int64*
        11 bool_val bool*
        12 dcomplex_val double*
        13 half_val int32*
        14 resource_handle_val ResourceHandleProto*
        15 variant_val VariantTensorDataProto*
        16 uint32_val uint32*
        17 uint64_val uint64*
        18 float8_val bytes
    """,
    "TensorShapeProto": """
        2 dim TensorShapeProto.Dim*
        3 unknown_rank bool
    """,
    "TensorShapeProto.Dim": """
        1 size int64
        2 name string
    """,
    "ResourceHandleProto": """
        1 device string
        2 container string
        3 name string
        4 hash_code uint64
        5 maybe_type_name string
        6 dtypes_and_shapes ResourceHandleProto.DtypeAndShape*
    """,
    "ResourceHandleProto.DtypeAndShape": """
        1 dtype DataType
        2 shape TensorShapeProto
    """,
    "VariantTensorDataProto": """
        1 type_name string
        2 metadata bytes
        3 tensors TensorProto*
    """,
    "VersionDef": """
        1 producer int32
        2 min_consumer int32
        3 bad_consumers int32*
    """,
    "FunctionDefLibrary": """
        1 function FunctionDef*
        2 gradient GradientDef*
        3 registered_gradients RegisteredGradient*
    """,
    "FunctionDef": """
        1 signature OpDef
        3 node_def NodeDef*
        4 ret map string string
        5 attr map string AttrValue
        6 control_ret map string string
        7 arg_attr map uint32 FunctionDef.ArgAttrs
        8 resource_arg_unique_id map uint32 uint32
    """,
    "FunctionDef.ArgAttrs": """
        1 attr map string AttrValue
    """,
    "GradientDef": """
        1 function_name string
        2 gradient_func string
    """,
    "RegisteredGradient": """
        1 gradient_func string
        2 registered_op_type string
    """,
    "OpDef": """
        1 name string
        2 input_arg OpDef.ArgDef*
        3 output_arg OpDef.ArgDef*
        4 attr OpDef.AttrDef*
        5 summary string
        6 description string
        8 deprecation OpDeprecation
        16 is_aggregate bool
        17 is_stateful bool
        18 is_commutative bool
        19 allows_uninitialized_input bool
        20 control_output string*
        21 is_distributed_communication bool
    """,
    "OpDef.ArgDef": """
        1 name string
        2 description string
        3 type DataType
        4 type_attr string
        5 number_attr string
        6 type_list_attr string
        7 handle_data ResourceHandleProto.DtypeAndShape*
        16 is_ref bool
        17 experimental_full_type FullTypeDef
    """,
    "OpDef.AttrDef": """
        1 name string
        2 type string
        3 default_value AttrValue
        4 description string
        5 has_minimum bool
        6 minimum int64
        7 allowed_values AttrValue
    """,
    "OpDeprecation": """
        1 version int32
        2 explanation string
    """,
    "FullTypeDef": """
        1 type_id FullTypeId
        2 args FullTypeDef*
        3 s string|attr
        4 i int64|attr
    """,
    "GraphDebugInfo": """
        1 files string*
        2 traces map string GraphDebugInfo.StackTrace
        4 frames_by_id map fixed64 GraphDebugInfo.FileLineCol
        5 name_to_trace_id map string fixed64
        6 traces_by_id map fixed64 GraphDebugInfo.StackTrace
    """,
    "GraphDebugInfo.FileLineCol": """
        1 file_index int32
        2 line int32
        3 col int32
        4 func string
        5 code string
    """,
    "GraphDebugInfo.StackTrace": """
        1 file_line_cols GraphDebugInfo.FileLineCol*
        2 frame_id fixed64*
    """,
}
"""The fields of each message: number, name, kind as in :data:`surgeon.formats.protos.Row`."""


def _row(line: str) -> Row:
    number, name, kind = line.split(maxsplit=2)
    return name, int(number), kind


def _data_types() -> dict[str, int]:
    numbers = {f"DT_{name}": number for number, name in enumerate(_TYPES, 1)}
    references = {f"{name}_REF": 100 + number for name, number in numbers.items()}
    return {"DT_INVALID": 0, **numbers, **references}


def _full_types() -> dict[str, int]:
    pairs = (text.split("=") for text in _FULL_TYPES)
    return {f"TFT_{name}": int(number) for name, number in pairs}


_CLASSES = message_classes(
    "tensorflow",
    {name: [_row(line) for line in text.strip().splitlines()] for name, text in _MESSAGES.items()},
    {"DataType": _data_types(), "FullTypeId": _full_types()},
)

GraphDef: Any = _CLASSES["GraphDef"]
NodeDef: Any = _CLASSES["NodeDef"]
AttrValue: Any = _CLASSES["AttrValue"]
TensorProto: Any = _CLASSES["TensorProto"]
TensorShapeProto: Any = _CLASSES["TensorShapeProto"]
VersionDef: Any = _CLASSES["VersionDef"]
FunctionDefLibrary: Any = _CLASSES["FunctionDefLibrary"]
