"""TensorRT as rewritten graphs meet it: whether it can be used, and what it says when something is wrong."""

from surgeon.engine.messages import Explained, Message, Reading, known_messages, read_log
from surgeon.engine.probe import Probe, probe_tensorrt

__all__ = ["Explained", "Message", "Probe", "Reading", "known_messages", "probe_tensorrt", "read_log"]
