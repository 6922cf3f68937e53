"""Networks of TensorRT from UFF, ONNX and Caffe files.

The module runs in the child process, whose TensorRT may be of any version.
"""

from typing import Any, Dict, List, Mapping, Sequence, Tuple

from .failures import Refused


def new_network(trt: Any, builder: Any, explicit: bool) -> Any:
    """Return an empty network, with explicit batch where that is asked for.

    From TensorRT 10 on there is no other kind.
    """
    flag = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    # From 10 on the flag is without meaning, and 11 has none.
    if not explicit or flag is None:
        return builder.create_network(0)
    return builder.create_network(1 << int(flag))


def parse(trt: Any, builder: Any, log: Any, source: Mapping[str, Any]) -> Tuple[Any, List[Any]]:
    """Return the network of a file and what must live as long as it does.

    ``source`` has ``format`` (uff, onnx or caffe), ``path``, and as the format needs it ``weights``,
    ``inputs`` (name and shape without the batch) and ``outputs``, names to mark. Raise Refused where the
    parser refuses the file.
    """
    network = new_network(trt, builder, source["format"] == "onnx")
    if network is None:
        raise Refused("no network could be made")
    kept = _PARSERS[source["format"]](trt, network, log, source)
    if not network.num_outputs:
        raise Refused("the network has no outputs")
    return network, kept


def _uff(trt: Any, network: Any, log: Any, source: Mapping[str, Any]) -> List[Any]:
    if not hasattr(trt, "UffParser"):
        raise Refused(f"TensorRT {trt.__version__} has no UFF parser; 8.6 is the last with one")
    parser = trt.UffParser()
    for name, shape in source["inputs"]:
        if not parser.register_input(name, tuple(shape)):
            raise Refused(f"the input '{name}' of shape {list(shape)} cannot be registered")
    for name in source["outputs"]:
        if not parser.register_output(name):
            raise Refused(f"the output '{name}' cannot be registered")
    if not parser.parse(str(source["path"]), network):
        raise Refused("the UFF parser refuses the file")
    return [parser]


def _onnx(trt: Any, network: Any, log: Any, source: Mapping[str, Any]) -> List[Any]:
    parser = trt.OnnxParser(network, log)
    # By path, so that external data is found.
    if not parser.parse_from_file(str(source["path"])):
        for i in range(parser.num_errors):
            found = parser.get_error(i)
            log.log(trt.ILogger.ERROR, f"ONNX parser: node {found.node()}: {found.desc()}")
        raise Refused("the ONNX parser refuses the file")
    return [parser]


def _caffe(trt: Any, network: Any, log: Any, source: Mapping[str, Any]) -> List[Any]:
    if not hasattr(trt, "CaffeParser"):
        raise Refused(f"TensorRT {trt.__version__} has no Caffe parser; 8.6 is the last with one")
    parser = trt.CaffeParser()
    tensors = parser.parse(
        deploy=str(source["path"]), model=str(source["weights"]), network=network, dtype=trt.DataType.FLOAT
    )
    if tensors is None:
        raise Refused("the Caffe parser refuses the files")
    for name in source["outputs"] or _last_outputs(network):
        tensor = tensors.find(name)
        if tensor is None:
            raise Refused(f"the network has no tensor '{name}' to be an output")
        network.mark_output(tensor)
    return [parser, tensors]


def _last_outputs(network: Any) -> List[str]:
    if not network.num_layers:
        return []
    last = network.get_layer(network.num_layers - 1)
    return [last.get_output(i).name for i in range(last.num_outputs)]


_PARSERS = {"uff": _uff, "onnx": _onnx, "caffe": _caffe}


def tensors_of(network: Any) -> Tuple[List[Dict[str, Any]], List[Dict[str, Any]]]:
    """Return name, type and shape of a network's inputs and of its outputs; -1 is an open size."""

    def described(tensors: Sequence[Any]) -> List[Dict[str, Any]]:
        return [{"name": t.name, "dtype": t.dtype.name.lower(), "shape": list(t.shape)} for t in tensors]

    return (
        described([network.get_input(i) for i in range(network.num_inputs)]),
        described([network.get_output(i) for i in range(network.num_outputs)]),
    )
