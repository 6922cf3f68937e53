"""A stand-in for Triton: it reads a model repository as Triton does, checks it by Triton's rules, and answers over
HTTP. ONNX files run in ONNX Runtime, models of the Python backend in a Python of their own.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest

FAKES = Path(__file__).parents[1] / "fakes" / "triton"
HEADER = "Inference-Header-Content-Length"
TYPES = {"UINT8": np.uint8, "INT32": np.int32, "INT64": np.int64, "FP16": np.float16, "FP32": np.float32}

PREPARE = """
import json, runpy, sys
import numpy as np
import triton_python_backend_utils as utils
model = runpy.run_path(sys.argv[1])["TritonPythonModel"]()
model.initialize({"model_config": sys.argv[2]})
inputs = [utils.Tensor("picture", np.load(sys.argv[3]))]
(response,) = model.execute([utils.InferenceRequest(inputs)])
if response.has_error():
    sys.exit(response.error().message())
(output,) = response.output_tensors()
assert output.name() == "prepared"
np.save(sys.argv[4], output.as_numpy())
"""


def messages() -> Any:
    """Return Triton's own messages, of which tritonclient has the Python module; skip the test without it."""
    spec = importlib.util.find_spec("tritonclient")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("tritonclient is not installed")
    path = Path(spec.submodule_search_locations[0]) / "grpc" / "model_config_pb2.py"
    versions = pytest.importorskip("google.protobuf.runtime_version")
    found = sys.modules.get("model_config_pb2")
    if found is None:
        # The package's own __init__ needs gRPC, which its messages do not.
        own = importlib.util.spec_from_file_location("model_config_pb2", path)
        assert own is not None and own.loader is not None
        found = importlib.util.module_from_spec(own)
        try:
            own.loader.exec_module(found)
        except versions.VersionError as exc:  # older releases of TensorFlow hold protobuf back
            pytest.skip(f"tritonclient does not fit this protobuf: {exc}")
        sys.modules["model_config_pb2"] = found
    return found


def parsed(text: str) -> Any:
    """Return a configuration as Triton reads it."""
    from google.protobuf import text_format

    return text_format.Parse(text, messages().ModelConfig())


def repository(folder: Path) -> dict[str, Any]:
    """Return the configurations of a model repository, checked: each model has its files, ensembles fit together."""
    configs = {}
    for place in sorted(folder.iterdir()):
        config = parsed((place / "config.pbtxt").read_text(encoding="utf-8"))
        assert config.name == place.name
        assert (place / "1").is_dir()
        for tensor in (*config.input, *config.output):
            assert tensor.name and tensor.data_type and tensor.dims
            if tensor.label_filename if hasattr(tensor, "label_filename") else "":
                assert (place / tensor.label_filename).exists()
        configs[config.name] = config
    for config in configs.values():
        check_ensemble(config, configs)
    return configs


def full_shape(config: Any, tensor: Any) -> list[int]:
    return [-1] * bool(config.max_batch_size) + list(tensor.dims)


def agree(one: Sequence[int], other: Sequence[int]) -> bool:
    return len(one) == len(other) and all(-1 in (a, b) or a == b for a, b in zip(one, other, strict=True))


def check_ensemble(config: Any, configs: Mapping[str, Any]) -> None:
    """Hold an ensemble against what Triton's ensemble scheduler requires of types, shapes and batches."""
    known = {each.name: (each.data_type, full_shape(config, each)) for each in config.input}
    for step in config.ensemble_scheduling.step:
        model = configs[step.model_name]
        assert not model.max_batch_size or model.max_batch_size >= config.max_batch_size
        assert set(step.input_map) == {each.name for each in model.input}
        for each in model.input:
            kind, shape = known[step.input_map[each.name]]
            assert kind == each.data_type and agree(shape, full_shape(model, each)), each.name
        for each in model.output:
            if each.name in step.output_map:
                assert step.output_map[each.name] not in known
                known[step.output_map[each.name]] = (each.data_type, full_shape(model, each))
    if config.platform == "ensemble":
        for each in config.output:
            kind, shape = known[each.name]
            assert kind == each.data_type and agree(shape, full_shape(config, each)), each.name


class Refused(Exception):
    """The server refuses a request."""


@dataclass
class FakeTriton:
    """A server of a model repository; ``answers`` replaces what it answers to a path, ``seen`` are the requests."""

    folder: Path
    extensions: tuple[str, ...] = ("binary_tensor_data",)
    url: str = ""
    answers: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.configs = repository(self.folder)

    def infer(self, name: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Return a model's outputs; raise Refused for inputs that Triton refuses, too."""
        if name not in self.configs:
            raise Refused(f"Request for unknown model: '{name}' is not found")
        config = self.configs[name]
        if set(inputs) != {each.name for each in config.input}:
            raise Refused(f"expected inputs {[each.name for each in config.input]}")
        for each in config.input:
            self._check(config, each, inputs[each.name])
        batch = next(iter(inputs.values())).shape[0]
        if config.max_batch_size and batch > config.max_batch_size:
            raise Refused(f"inference request batch-size must be <= {config.max_batch_size} for '{name}'")
        outputs = self._computed(config, inputs)
        for each in config.output:
            self._check(config, each, outputs[each.name])
        return outputs

    def _check(self, config: Any, tensor: Any, value: np.ndarray) -> None:
        kind = messages().DataType.Name(tensor.data_type).removeprefix("TYPE_")
        shape = full_shape(config, tensor)
        if value.dtype != TYPES[kind] or not agree(value.shape, shape):
            raise Refused(
                f"unexpected {value.dtype}{list(value.shape)} for '{tensor.name}', expecting {kind}{shape}"
            )

    def _computed(self, config: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if config.platform == "ensemble":
            known = dict(inputs)
            for step in config.ensemble_scheduling.step:
                given = {name: known[value] for name, value in step.input_map.items()}
                found = self.infer(step.model_name, given)
                known |= {step.output_map[name]: value for name, value in found.items()}
            return {each.name: known[each.name] for each in config.output}
        place = self.folder / config.name / "1"
        if config.backend == "python":
            return {
                "prepared": prepared_by_model(
                    place / "model.py", config, inputs["picture"], self.folder.parent
                )
            }
        assert config.platform == "onnxruntime_onnx"
        import onnxruntime

        session = onnxruntime.InferenceSession(place / "model.onnx", providers=["CPUExecutionProvider"])
        names = [each.name for each in session.get_outputs()]
        return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def prepared_by_model(
    model: Path, config: Any, pictures: np.ndarray, folder: Path, python: str = sys.executable
) -> np.ndarray:
    """Return what a model of the Python backend makes of pictures; raise Refused with its error."""
    from google.protobuf import json_format

    text = json_format.MessageToJson(config, preserving_proto_field_name=True)
    given, made = folder / "picture.npy", folder / "prepared.npy"
    np.save(given, pictures)
    done = subprocess.run(
        [python, "-c", PREPARE, model, text, given, made],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(FAKES), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    if done.returncode:
        raise Refused(done.stderr.strip())
    assert done.stderr == ""
    array: np.ndarray = np.load(made)
    return array


@contextmanager
def serving(triton: FakeTriton) -> Iterator[FakeTriton]:
    """Answer requests over HTTP, at the address ``triton.url``, while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(triton))
    triton.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield triton
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(triton: FakeTriton) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            if self.path == "/v2":
                self._json(
                    200, {"name": "triton", "version": "2.60.0", "extensions": list(triton.extensions)}
                )
                return
            _, _, _, name, *rest = (unquote(part) for part in self.path.split("/"))
            known = name in triton.configs
            self._answer(200 if known and rest == ["ready"] else 400, {}, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            name = unquote(self.path.split("/")[3])
            assert self.path.endswith("/infer")
            length = self.headers.get(HEADER)
            text, rest = (body, b"") if length is None else (body[: int(length)], body[int(length) :])
            request = json.loads(text)
            triton.seen.append((name, request))
            try:
                outputs = triton.infer(name, _tensors(request["inputs"], rest))
            except Refused as exc:
                self._json(400, {"error": str(exc)})
                return
            asked = {
                each["name"]: each.get("parameters", {}).get("binary_data", False)
                for each in request["outputs"]
            }
            told, parts = [], []
            for key, binary in asked.items():
                value = outputs[key]
                kind = next(kind for kind, dtype in TYPES.items() if value.dtype == dtype)
                tensor: dict[str, Any] = {"name": key, "datatype": kind, "shape": list(value.shape)}
                if binary:
                    parts.append(value.tobytes())
                    tensor["parameters"] = {"binary_data_size": len(parts[-1])}
                else:
                    tensor["data"] = value.reshape(-1).tolist()
                told.append(tensor)
            text = json.dumps({"model_name": name, "model_version": "1", "outputs": told}).encode()
            self._answer(200, {HEADER: str(len(text))} if parts else {}, b"".join([text, *parts]))

        def _json(self, status: int, value: Any) -> None:
            self._answer(status, {"Content-Type": "application/json"}, json.dumps(value).encode())

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            status, headers, body = triton.answers.get(self.path, (status, headers, body))
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler


def _tensors(inputs: Sequence[Mapping[str, Any]], rest: bytes) -> dict[str, np.ndarray]:
    found, place = {}, 0
    for each in inputs:
        size = each.get("parameters", {}).get("binary_data_size")
        dtype = np.dtype(TYPES[each["datatype"]])
        data = (
            np.array(each["data"], dtype)
            if size is None
            else np.frombuffer(rest[place : place + size], dtype)
        )
        place += size or 0
        found[each["name"]] = data.reshape(each["shape"])
    assert place == len(rest)
    return found
