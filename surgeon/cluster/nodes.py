"""The nodes that a fleet runs on, and what they have: a cluster of one, or one that the user joins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from surgeon.cluster.tasks import Demands, Platform
from surgeon.diagnostics import SurgeonError, error, nearest_note
from surgeon.display import size
from surgeon.engine.registry import Registry

GPU_KIND = "accelerator_type:"
TENSORRT = "tensorrt-"


@dataclass(frozen=True)
class Node:
    """A node: its name, and how much it has of each of Ray's resources in all."""

    name: str
    resources: Mapping[str, float]

    def platforms(self) -> tuple[Platform, ...]:
        """Return what engines can be built for here."""
        if not self.resources.get("GPU"):
            return ()
        kinds = [name.removeprefix(GPU_KIND) for name in self.resources if name.startswith(GPU_KIND)]
        versions = [name.removeprefix(TENSORRT) for name in self.resources if name.startswith(TENSORRT)]
        return tuple(Platform(kind, version) for kind in kinds for version in versions)

    def lacks(self, demands: Demands) -> str:
        """Return what a job asks for and this node has too little of; '' where it can do the job."""
        if demands.platform is not None and demands.platform not in self.platforms():
            return str(demands.platform)
        if self.resources.get("CPU", 0) < 1:
            return "a CPU"
        if self.resources.get("memory", 0) < demands.memory:
            return f"{size(demands.memory)} of memory"
        return ""


@dataclass(frozen=True)
class Nodes:
    """The nodes of a cluster."""

    nodes: tuple[Node, ...]

    def platform(self, gpu: str | None, tensorrt: str | None) -> Platform:
        """Return the platform that a cell means: the only one of this kind of GPU and version of TensorRT.

        ``tensorrt`` may be the beginning of a version. Raise SurgeonError F103 where no node has such a one,
        and F104 where several do.
        """
        known = dict.fromkeys(each for node in self.nodes for each in node.platforms())
        fit = [
            each
            for each in known
            if gpu in (None, each.gpu) and (tensorrt is None or _begins(each.tensorrt, tensorrt))
        ]
        if len(fit) == 1:
            return fit[0]
        if not fit:
            raise self._none(gpu, tensorrt, list(known))
        raise error(
            "F104",
            f"an engine could be built for {', '.join(map(str, fit))}; expected one of them",
            help=["say which by 'gpu' and 'tensorrt' in the matrix; one engine does not fit them all"],
        )

    def check(self, demands: Demands) -> None:
        """Raise SurgeonError F103 where no node can ever do a job."""
        missing = [node.lacks(demands) for node in self.nodes]
        if all(missing):
            raise error(
                "F103",
                f"no node has {missing[0] if missing else 'anything'}; the cell cannot be done here",
                None,
                [f"'{node.name}' has {node_text(node)}" for node in self.nodes[:8]],
                ["add such a node, or ask for less with the job's 'memory'"],
            )

    def _none(self, gpu: str | None, tensorrt: str | None, known: Sequence[Platform]) -> SurgeonError:
        wanted = f"a GPU of the kind '{gpu}'" if gpu else "a GPU"
        wanted += f" with TensorRT {tensorrt}" if tensorrt else " with TensorRT"
        notes = list(nearest_note(gpu, [each.gpu for each in known])) if gpu else []
        help = ["an engine is built on the GPU that it is for: join a cluster that has one with --address"]
        if known:
            notes.append("nodes have: " + ", ".join(map(str, known)))
        for node in self.nodes:
            if node.resources.get("GPU") and not node.platforms():
                notes.append(f"'{node.name}' has a GPU, and does not state its kind and its TensorRT")
                help.append(
                    'start the node with ray start --resources=\'{"accelerator_type:H200": 1, '
                    '"tensorrt-8.5.3.1": 1}\', with its own kind and version'
                )
                break
        return error("F103", f"no node has {wanted}; the cell cannot be done here", None, notes, help)


def _begins(version: str, start: str) -> bool:
    return version == start or version.startswith(f"{start}.")


def node_text(node: Node) -> str:
    """Return what a node has, in words."""
    parts = [f"{node.resources.get('CPU', 0):g} CPUs", size(int(node.resources.get("memory", 0)))]
    return ", ".join([*parts, *map(str, node.platforms())])


def this_machine(registry: Registry | None, cpus: int | None) -> tuple[Node, str]:
    """Return this machine as a node, and why it cannot build engines: '' where it can.

    ``registry`` is what TensorRT tells here. Jobs share ``cpus``; None takes all.
    """
    count = cpus or len(os.sched_getaffinity(0))
    memory = int(0.9 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    resources: dict[str, float] = {"CPU": count, "memory": memory}
    if registry is None or registry.problem or not registry.devices:
        return Node("this machine", resources), _no_engines(registry)
    kinds = dict.fromkeys(gpu_kind(device.name) for device in registry.devices)
    if len(kinds) > 1:
        return Node("this machine", resources), (
            f"this machine has GPUs of {len(kinds)} kinds ({', '.join(kinds)}); hide all but one kind with "
            "CUDA_VISIBLE_DEVICES"
        )
    resources |= {
        "GPU": len(registry.devices),
        f"{GPU_KIND}{next(iter(kinds))}": 1,
        f"{TENSORRT}{registry.version}": 1,
    }
    return Node("this machine", resources), ""


def _no_engines(registry: Registry | None) -> str:
    if registry is None:
        return "TensorRT is not installed"
    return f"TensorRT cannot be used: {registry.problem}" if registry.problem else "no GPU answers"


def gpu_kind(name: str) -> str:
    """Return the kind of a GPU as people name it: 'NVIDIA H200' is 'H200'."""
    words = [word for word in name.replace("/", "-").split() if word not in ("NVIDIA", "Tesla", "GeForce")]
    return "-".join(words) or "GPU"
