"""The open inference protocol, version 2, over HTTP: KServe's, with Triton's extension for binary tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlsplit

import numpy as np

from surgeon.diagnostics import SurgeonError, error

DATA_TYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""The protocol's names of element types, by NumPy's."""

_BINARY = "binary_tensor_data"
_HEADER = "Inference-Header-Content-Length"
_SHOWN = 500


class InferenceServer:
    """A server that speaks the protocol, by its address, such as ``http://localhost:8000``.

    Tensors travel as JSON where ``binary`` is False or the server lacks the extension. Requests take
    ``timeout`` seconds at most. Close it after use. Every method raises SurgeonError B156 where the server
    does not answer, or answers something else.
    """

    def __init__(self, url: str, timeout: float = 60.0, binary: bool = True) -> None:
        self.url = url
        self._timeout, self._binary = timeout, binary
        self._connection, self._path = _connection(url, timeout)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def check_ready(self, model: str) -> None:
        """Raise SurgeonError B156 where the server has not loaded a model."""
        metadata = self._json("GET", "/v2")
        if _BINARY not in metadata.get("extensions", ()):
            self._binary = False
        status, _, body = self._answer("GET", f"/v2/models/{quote(model, safe='')}/ready")
        if status != 200:
            raise self._unfit(
                f"has not loaded the model '{model}'{_reason(body)}",
                "the server's log says why; tritonserver must be started with the folder 'models'",
            )

    def infer(
        self, model: str, inputs: Mapping[str, np.ndarray], outputs: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Return the outputs that a model computes for inputs, both by name."""
        tensors, parts = [], []
        for name, value in inputs.items():
            tensor: dict[str, Any] = {
                "name": name,
                "shape": list(value.shape),
                "datatype": DATA_TYPES[value.dtype.name],
            }
            if self._binary:
                data = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
                tensor["parameters"] = {"binary_data_size": len(data)}
                parts.append(data)
            else:
                tensor["data"] = value.reshape(-1).tolist()
            tensors.append(tensor)
        wanted = [{"name": name, "parameters": {"binary_data": self._binary}} for name in outputs]
        text = json.dumps({"inputs": tensors, "outputs": wanted}).encode()
        headers = {"Content-Type": "application/json"}
        if self._binary:
            headers = {"Content-Type": "application/octet-stream", _HEADER: str(len(text))}
        path = f"/v2/models/{quote(model, safe='')}/infer"
        status, length, body = self._answer("POST", path, b"".join([text, *parts]), headers)
        if status != 200:
            raise self._unfit(
                f"refuses the request for '{model}' ({status}){_reason(body)}", "the server's log says more"
            )
        return self._outputs(body, length, outputs)

    def _outputs(self, body: bytes, length: int | None, names: Sequence[str]) -> dict[str, np.ndarray]:
        text, rest = (body, b"") if length is None else (body[:length], body[length:])
        answer = self._parsed(text)
        found, place = {}, 0
        try:
            for tensor in answer["outputs"]:
                size = tensor.get("parameters", {}).get("binary_data_size")
                data = tensor["data"] if size is None else rest[place : place + size]
                place += size or 0
                found[tensor["name"]] = _array(tensor, data)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise self._strange(f"outputs that cannot be read: {exc}") from None
        lacking = [name for name in names if name not in found]
        if lacking or place != len(rest):
            what = f"no output '{lacking[0]}'" if lacking else f"{len(rest) - place} bytes too many"
            raise self._strange(what)
        return found

    def _json(self, method: str, path: str) -> Mapping[str, Any]:
        status, _, body = self._answer(method, path)
        if status != 200:
            raise self._strange(f"status {status} for {path}{_reason(body)}")
        return self._parsed(body)

    def _parsed(self, text: bytes) -> Mapping[str, Any]:
        try:
            value = json.loads(text.decode())
        except ValueError:
            raise self._strange("no JSON") from None
        if not isinstance(value, dict):
            raise self._strange("JSON that is no object")
        return value

    def _answer(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, int | None, bytes]:
        """Return status, the length of the JSON where tensors follow it, and the body of the answer."""
        try:
            self._connection.request(method, self._path + path, body or None, dict(headers or {}))
            response = self._connection.getresponse()
            length = response.getheader(_HEADER)
            return response.status, None if length is None else int(length), response.read()
        except (OSError, HTTPException, ValueError) as exc:
            self._connection.close()
            reason = str(exc) or type(exc).__name__
            raise self._unfit(
                f"does not answer: {reason}",
                "start it with serve.sh, and give its address with --url",
            ) from None

    def _strange(self, what: str) -> SurgeonError:
        return self._unfit(
            f"answers {what}; expected the open inference protocol, version 2",
            "give the address of Triton's HTTP service, port 8000 unless it was told otherwise, with --url",
        )

    def _unfit(self, problem: str, help: str) -> SurgeonError:
        return error("B156", f"the server at {self.url} {problem}", self.url, help=[help])


def _connection(url: str, timeout: float) -> tuple[HTTPConnection, str]:
    """Return a connection to an address, and the path in front of all others; raise SurgeonError B156."""
    whole = url if "://" in url else f"http://{url}"
    kinds: Mapping[str, type[HTTPConnection]] = {
        "http": HTTPConnection,
        "https": HTTPSConnection,
    }
    try:
        parts = urlsplit(whole)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in kinds:
        raise error(
            "B156",
            f"'{url}' is not the address of a server; expected one such as http://localhost:8000",
            url,
            help=["give another one with --url"],
        )
    return kinds[parts.scheme](host, port, timeout=timeout), parts.path.rstrip("/")


def _array(tensor: Mapping[str, Any], data: Any) -> np.ndarray:
    """Return an output's array; raise ValueError for data that do not fill its shape."""
    names = {value: key for key, value in DATA_TYPES.items()}
    kind, shape = tensor["datatype"], tuple(int(size) for size in tensor["shape"])
    if kind not in names:
        raise ValueError(f"'{tensor['name']}' has the type {kind}")
    dtype = np.dtype(names[kind])
    if isinstance(data, bytes):
        flat = np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype)
    else:
        flat = np.array(data, dtype).reshape(-1)
    if any(size < 0 for size in shape) or flat.size != int(np.prod(shape, dtype=np.int64)):
        raise ValueError(f"'{tensor['name']}' has {flat.size} elements for the shape {list(shape)}")
    array: np.ndarray = flat.reshape(shape)
    return array


def _reason(body: bytes) -> str:
    """Return what an answer says is wrong, to put behind a message."""
    text = body.decode(errors="replace").strip()
    try:
        value = json.loads(text)
        text = str(value["error"]) if isinstance(value, dict) and "error" in value else text
    except ValueError:
        pass
    return f": {' '.join(text.split())[:_SHOWN]}" if text else ""
