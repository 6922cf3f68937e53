"""Where arrays and pictures are put into the original."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from surgeon.diagnostics import error
from surgeon.graph import Ref, TensorSpec
from surgeon.graph.op_sets import CONSTANTS, PLACEHOLDERS, WITHOUT_OUTPUT, is_input
from surgeon.verification.detecting_pair import DetectingPair


def _takes_picture(spec: TensorSpec) -> bool:
    """Return whether a tensor has the form of a picture: numbers, of 1 or 3 channels, or of any number."""
    dims = spec.shape.dims
    numeric = spec.dtype is not None and spec.dtype.itemsize is not None
    return numeric and dims is not None and len(dims) in (3, 4) and dims[-1] in (None, 1, 3)


def _takes_prepared_picture(spec: TensorSpec) -> bool:
    """Return whether a tensor has the form of a picture, its channels last, or first where only those are."""
    dims = spec.shape.dims
    if dims is None or len(dims) != 4 or dims[3] in (None, 1, 3):
        return _takes_picture(spec)
    return spec.dtype is not None and spec.dtype.itemsize is not None and dims[1] in (1, 3)


def is_feedable(spec: TensorSpec) -> bool:
    """Return whether numbers can be made for a tensor: its type is one of numbers, its shape is known."""
    return spec.dtype is not None and spec.dtype.itemsize is not None and spec.shape.is_static


class FedPair(DetectingPair):
    """Two graphs, with the tensors of the original that are fed."""

    @cached_property
    def fed(self) -> tuple[Ref, ...]:
        """The original's tensors that are fed: the cuts, and the placeholders that what is compared needs.

        In graph order; placeholders whose default is a switch only where the recipe fixes them.
        """
        needed: set[str] = set()
        waiting = self.compared()
        while waiting:
            ref = waiting.pop()
            if ref not in self.cuts and ref.node not in needed:
                needed.add(ref.node)
                node = self.graph[ref.node]
                waiting += [*node.inputs, *map(Ref, node.control)]
        placeholders = tuple(
            Ref(node.name)
            for node in self.graph
            if node.name in needed
            and (is_input(node) or (node.op in PLACEHOLDERS and Ref(node.name) in self.fixed))
        )
        return (*self.cuts, *placeholders)

    def compared(self) -> list[Ref]:
        """Return what the original must compute so that something can be compared at all."""
        return [
            *self.inputs.values(),
            *(ref for ref in self.outputs.values() if ref is not None),
            *self.detections.values(),
            *(self.added.fed.values() if self.added is not None else ()),
        ]

    @cached_property
    def cuts(self) -> tuple[Ref, ...]:
        """The original's tensors that are fed in place of the input pipeline behind them.

        The recipe cuts there, and what computes the tensor cannot be fed: an iterator, a queue, a decoder of
        strings, a placeholder of unknown shape that takes no picture. A family's picture is fed where the
        family says.
        """
        if self.family is not None:
            return ()
        return tuple(
            dict.fromkeys(
                origin
                for origin in self.inputs.values()
                if self.graph[origin.node].op not in PLACEHOLDERS and not self._computable(origin)
            )
        )

    def _computable(self, ref: Ref) -> bool:
        """Return whether a tensor can be computed from placeholders that numbers or a picture can be put
        into.
        """
        for name in self.graph.ancestors([ref.node]):
            node = self.graph[name]
            if self.is_open_input(node):
                fits = Ref(name) == self._picture_source or is_feedable(self.spec(Ref(name)))
                if not fits and not self.has_default(Ref(name)):
                    return False
            elif not node.inputs and node.op not in CONSTANTS | PLACEHOLDERS | WITHOUT_OUTPUT:
                return False
        return True

    @cached_property
    def picture_ref(self) -> Ref | None:
        """The original's tensor that a picture is put into; None where it reads none."""
        if self.shared_input is not None:
            return None
        if self.family is not None:
            return self.family.picture.value
        fed = self.without_default([ref for ref in self.fed if ref not in self.fixed])
        if self.image is None:
            return None
        if len(fed) == 1 and not self.cuts:
            return fed[0]
        return self._picture_source if self._picture_source in fed else None

    @cached_property
    def picture_cut(self) -> Ref | None:
        """The tensor at the cut that a prepared picture is put into, where the original cannot read one, or
        reads it as it is prepared.
        """
        if self.picture_ref is not None:
            return None
        if self.shared_input is not None:
            return self.shared_input
        cuts = [ref for ref in self.cuts if self.spec(ref).shape.rank == 4]
        return cuts[0] if self.image is not None and len(cuts) == 1 else None

    @cached_property
    def shared_input(self) -> Ref | None:
        """The placeholder that both graphs read and that the recipe's ``image`` prepares a picture for, where
        the recipe adds what detects, or the family leaves it to whoever runs the graph.
        """
        if self.image is None:
            return None
        if self.family is not None and self.family.takes_prepared_pictures:
            picture = self.family.picture.value
            return picture if picture in self.inputs.values() else None
        if self.added is None:
            return None
        origins = [ref for ref in self.inputs.values() if self.is_open_input(self.graph[ref.node])]
        pictures = [ref for ref in origins if _takes_prepared_picture(self.spec(ref))]
        return pictures[0] if len(pictures) == 1 and not self.prepared_inputs else None

    @cached_property
    def _picture_source(self) -> Ref | None:
        """The one placeholder, in the form of a picture, behind all tensors that ``image`` could prepare a
        picture for; None where there is none or are several.
        """
        if self.image is None:
            return None
        origins = [
            origin.node
            for origin in self.inputs.values()
            if self.graph[origin.node].op not in PLACEHOLDERS
            and self.inference.spec(origin).shape.rank in (4, None)
        ]
        behind = self.graph.ancestors(origins)
        sources = self.without_default(
            [Ref(node.name) for node in self.graph if node.name in behind and self.is_open_input(node)]
        )
        return sources[0] if len(sources) == 1 and _takes_picture(self.inference.spec(sources[0])) else None

    @cached_property
    def prepared_inputs(self) -> tuple[Ref, ...]:
        """The rewritten graph's inputs that a picture becomes by the recipe's ``image``.

        None where it keeps its own input.
        """
        return tuple(
            ref
            for ref, origin in self.inputs.items()
            if self.graph[origin.node].op not in PLACEHOLDERS
            and origin not in self.cuts
            and self.inference.spec(origin).shape.rank in (4, None)
        )

    @cached_property
    def computed_origins(self) -> tuple[Ref, ...]:
        """The tensors, and no placeholders, of the original that inputs stand for which no picture is
        prepared for.
        """
        return tuple(
            origin
            for ref, origin in self.inputs.items()
            if self.graph[origin.node].op not in PLACEHOLDERS and ref not in self.prepared_inputs
        )

    @property
    def reads_picture(self) -> bool:
        """True where a picture is put into the original."""
        return self.picture_ref is not None or self.picture_cut is not None

    @property
    def prepares(self) -> bool:
        """True where the recipe's ``image`` makes an input of a picture."""
        return self.image is not None and bool(self.prepared_inputs)

    def gives_picture(self, given: Mapping[str, object]) -> bool:
        """Return whether arrays by the names of inputs hold that which a picture is put into."""
        return self.reads_picture and str(self.picture_ref or self.picture_cut) in given

    @property
    def lone_input(self) -> str:
        """The name of the one input that is an array and must be fed, empty for none or several."""
        open_refs = self.without_default([ref for ref in self.fed if ref not in self.fixed])
        arrays = [ref for ref in open_refs if self.declared(ref).shape.rank != 0]
        return str(arrays[0]) if len(arrays) == 1 else ""

    def check_takes_pictures(self) -> None:
        """Raise SurgeonError V128 where no picture is put into the original."""
        if self.reads_picture:
            return
        names = ", ".join(f"'{ref}' {self.declared(ref)}" for ref in self.fed) or "none"
        raise error(
            "V128",
            "no picture is put into this model, so --images has no effect; expected arrays",
            self.graph.source or None,
            [f"inputs: {names}"],
            [
                "give arrays by --inputs, as a .npz file or a folder; the recipe's 'image' prepares the "
                "pictures of a folder"
            ],
        )

    def check_one_picture(self, given: Mapping[str, object]) -> None:
        """Raise SurgeonError V127 where arrays hold the picture that ``--images`` gives, too."""
        if self.gives_picture(given):
            ref = self.picture_ref or self.picture_cut
            raise error(
                "V127",
                f"'{ref}' is given as an array and by pictures; expected one of the two",
                str(ref),
                help=["leave out --images, or the array in --inputs"],
            )
