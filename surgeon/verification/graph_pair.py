"""The two graphs of a verification side by side: what goes in, what comes out, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property, partial

import numpy as np

from surgeon.catalog import Catalog
from surgeon.catalog.reference import Counterfactual
from surgeon.diagnostics import Diagnostic, SurgeonError, error
from surgeon.graph import Graph, Node, Ref, Shape, TensorSpec
from surgeon.graph.op_sets import PLACEHOLDERS
from surgeon.language import Recipe
from surgeon.rewrite import Plan
from surgeon.runners.detections import WHOLE, Detections, Window
from surgeon.runners.image import Picture, Prepared, gray, prepare
from surgeon.runners.tensorflow import Arrays
from surgeon.stages import tell_stage
from surgeon.verification.added_part import detections_of_added
from surgeon.verification.compare_tensors import shown
from surgeon.verification.faint_ranges import faint_constants, faint_note
from surgeon.verification.fed_pair import FedPair, is_feedable
from surgeon.verification.given_inputs import InputSet, by_tensor, fitting_inputs
from surgeon.verification.hidden import measure_exercise
from surgeon.verification.made_inputs import DRAWS, MadeInput, made_input
from surgeon.verification.original_runner import original_runner
from surgeon.verification.pair_rules import rules_of
from surgeon.verification.picture_input import as_fed, batch_of, channels_of, in_order_of, pictures_of, sized
from surgeon.verification.read_detections import boxes_in_input, detections_of, original_detections
from surgeon.verification.records import RunInfo, RunRecord
from surgeon.verification.results import Exercise, Outcome, TensorComparison
from surgeon.verification.taken_as_given import describe_added, given_inputs
from surgeon.verification.training import training_inputs


class GraphPair(FedPair):
    """A plan's source and its result, both ready to run.

    Raise SurgeonError: what the runners raise, V109 for graphs that have nothing in common to compare, and
    what the derivations raise where a plugin gives detections and the original's cannot be found.
    """

    def __init__(self, plan: Plan, recipe: Recipe, catalog: Catalog) -> None:
        super().__init__(plan, recipe, catalog)
        self.original = original_runner(self._reshaped(), self._fetches())

    def _reshaped(self) -> Graph:
        """Return the original with the shapes that the recipe gives its placeholders, and with constants that
        TensorFlow cannot compute.
        """
        changed: dict[str, Node] = dict(self._faint_constants)
        for origin in self.inputs.values():
            node, dims = self.graph[origin.node], self.spec(origin).shape.dims
            shape = node.attrs.get("shape")
            if node.op not in PLACEHOLDERS or not isinstance(shape, Shape) or not shape.dims or dims is None:
                continue
            same_rank = len(dims) == len(shape.dims)
            if not same_rank or any(
                own not in (None, dim) for own, dim in zip(shape.dims, dims, strict=True)
            ):
                changed[node.name] = node.with_attr("shape", Shape(dims)).with_attr("_output_shapes", None)
        if not changed:
            return self.graph
        return self.graph.replace((changed.get(node.name, node) for node in self.graph), ())

    @cached_property
    def _faint_constants(self) -> Mapping[str, Node]:
        return faint_constants(self.graph)

    @property
    def notes(self) -> tuple[Diagnostic, ...]:
        """What a reader should know of how the original is run."""
        constants = self._faint_constants
        return (faint_note(self.graph, constants),) if constants else ()

    def _fetches(self) -> list[Ref]:
        wanted = [*self.compared(), *filter(self.has_default, self.fed)]
        for region in self.replaced:
            wanted += [*region.fed.values(), *region.outputs.values()]
        if self.family is not None:
            wanted += self.family.plugin_sources
        return wanted

    @cached_property
    def counterfactuals(self) -> tuple[Counterfactual, ...]:
        """The rules that the references of the rewritten graph's plugins can change and that matter there."""
        return rules_of(self, self.runner.references)

    def info(self, *, made: bool, graph: str = "", given: Mapping[str, np.ndarray] | None = None) -> RunInfo:
        """Return what all records have in common; ``made`` says that the pictures were made up, ``given`` are
        arrays for inputs.
        """
        if given is None:
            made = made or not self.reads_picture
        else:
            made = made and self.reads_picture and not self.gives_picture(given)
        return RunInfo(
            graph=graph,
            recipe=self.recipe.name,
            target=self.target,
            made=made,
            labels=dict(self.recipe.labels),
            image=self.image,
            prepared=tuple(str(ref) for ref in self.prepared_inputs),
            computed=tuple(str(ref) for ref in self.computed_origins),
            added=describe_added(self),
            given=given_inputs(self),
            boxes_in_input=boxes_in_input(self),
        )

    def records(
        self,
        pictures: Iterable[Picture],
        seed: int,
        given: Mapping[str, np.ndarray] | None = None,
        name: str = "",
        *,
        first: bool = True,
    ) -> Iterator[RunRecord]:
        """Yield what the original computes of each picture, or of numbers made up from ``seed`` where it
        reads no picture.

        Arrays that are ``given`` by the names of inputs, from the file ``name``, are put in instead. Where
        these are the ``first`` records, faults of what the recipe fixes are looked for. Raise SurgeonError
        V127 where they do not fit.
        """
        arrays = None
        if given is not None:
            specs = {ref: self.declared(ref) for ref in self.fed}
            optional = {
                **self.fixed,
                **dict.fromkeys(filter(self.has_default, self.fed)),
                **dict.fromkeys(ref for ref in (self.picture_ref, self.picture_cut) if ref),
            }
            arrays = fitting_inputs(given, specs, optional)
            pictures = self._given_pictures(arrays, name) or pictures
        reads = any(
            ref is not None and (arrays is None or ref not in arrays)
            for ref in (self.picture_ref, self.picture_cut)
        )
        fed: list[Picture | None] = [*pictures] if reads else [None]
        for i, picture in enumerate(fed):
            tell_stage("comparing", "" if picture is None else picture.name, i, len(fed))
            record = self.record(picture, seed, arrays, name)
            yield replace(record, faults=self._faults(record)) if first and not i else record
        if arrays is None and not reads and any(ref not in self.fixed for ref in self.fed):
            yield from self._further_draws(seed)

    def _given_pictures(self, arrays: dict[Ref, np.ndarray], name: str) -> list[Picture]:
        """Take the pictures out of arrays that are given, and return them; none where the array that is given
        for them is put in as it is.

        Several are put in one after the other where no other array is given. Raise SurgeonError V127 where
        ``image`` should prepare what is no picture.
        """
        ref = self.picture_ref
        if ref is None or ref not in arrays:
            return []
        pictures = pictures_of(arrays[ref], name)
        others = any(array.ndim for other, array in arrays.items() if other != ref)
        alone = len(pictures) == 1
        if (alone and self.plugin is not None) or (self.prepares and pictures and (alone or not others)):
            del arrays[ref]
            return pictures
        if not self.prepares:
            return []
        expected = "one picture beside other arrays" if pictures and others else "a picture"
        raise error(
            "V127",
            f"the array for '{ref}' is {shown(arrays[ref])}; expected {expected}, "
            f"[1, H, W, {channels_of(self) or 3}] of whole numbers from 0 to 255",
            str(ref),
            help=["give pictures by --images, and other inputs by --inputs"],
        )

    def records_of_sets(
        self, sets: Iterable[InputSet], images: Callable[[], Iterable[Picture]], seed: int, several: bool
    ) -> Iterator[RunRecord]:
        """Yield what the original computes of each set of inputs.

        ``images`` gives the pictures for a set without one; ``several`` says that they were given. Raise
        SurgeonError V127 where a set does not fit.
        """
        first = True
        for each in sets:
            arrays = by_tensor(each.arrays)
            if several:
                self.check_one_picture(arrays)
            pictures: Iterable[Picture] = images()
            prepared_later = self.plugin is not None or self.picture_cut is not None or self.prepares
            if each.picture is not None and prepared_later and self.reads_picture and not several:
                pictures = (each.picture,)
            elif each.picture is not None:
                arrays = {**arrays, self.lone_input: self._prepared_array(each.picture, several)}
            name = each.name
            given = arrays if arrays or each.picture is None else None
            yield from self.records(pictures, seed, given, name, first=first)
            first = False

    def _prepared_array(self, picture: Picture, several: bool) -> np.ndarray:
        """Return what the recipe's ``image`` makes of a picture for the one input that is an array.

        Raise SurgeonError V127 where there is no such input or no ``image``.
        """
        lone, reason = self.lone_input, ""
        if several:
            reason = "--images gives the pictures"
        elif not lone:
            reason = "it is not known for which input"
        elif self.image is None:
            reason = f"the recipe has no 'image', which says how a picture becomes '{lone}'"
        if reason or self.image is None:
            raise error(
                "V127",
                f"the picture '{picture.name}' cannot be put in: {reason}; expected arrays",
                picture.name,
                help=["give arrays by their names in a .npz file, or the recipe an 'image'"],
            )
        tensor = prepare(self.image, picture.pixels, self.recipe.span("image", "steps")).tensor
        dims = self.spec(Ref.parse(lone)).shape.dims or (1,)
        return np.repeat(tensor, dims[0] or 1, axis=0)

    def _further_draws(self, seed: int) -> Iterator[RunRecord]:
        """Yield records of further numbers that are made.

        Left out are numbers that the original refuses, of which it gives none (as the logarithm of what is
        negative), or others each time (as a dropout that is switched on).
        """
        for draw in range(1, DRAWS):
            tell_stage("comparing", f"made numbers, draw {draw + 1}", draw, DRAWS)
            with suppress(SurgeonError):
                record = self.record(None, seed, draw=draw)
                if self._is_settled(record):
                    yield record

    def _is_settled(self, record: RunRecord) -> bool:
        """Return whether a record's tensors are finite, and the same when they are computed again."""
        wanted = self.wanted()
        again = self.original.fetch(wanted, {ref: record.values[ref] for ref in self.fed})
        for ref in wanted:
            value = record.values[ref]
            if value.dtype.kind == "f" and not np.isfinite(value).all():
                return False
            if value.shape != again[ref].shape or not np.array_equal(value, again[ref]):
                return False
        return True

    def exercise(self, draws: Sequence[Arrays], tolerance: float) -> Exercise:
        """Return which of the original's tensors reach an output when they change a little."""
        return measure_exercise(self.graph, self.original, self.wanted(), draws, tolerance)

    def _faults(self, record: RunRecord) -> tuple[TensorComparison, ...]:
        """Return what is wrong with the values that the recipe fixes inputs to, and which outputs of the
        original are compared with nothing.
        """
        reason = "the recipe adds detections in the place of this output of the original; nothing is compared"
        left = [
            TensorComparison(str(ref), record.name, Outcome.INCONCLUSIVE, reason) for ref in self.given_up
        ]
        fed = {ref: record.values[ref] for ref in self.fed}
        wanted = list(dict.fromkeys((*self.wanted(), *self.detections.values())))
        return (*left, *training_inputs(self.original, wanted, fed, self.fixed, record.name))

    def record(
        self,
        picture: Picture | None,
        seed: int,
        given: Arrays | None = None,
        name: str = "",
        draw: int = 0,
    ) -> RunRecord:
        """Run the original; the rewritten graph is run when the record's reruns are asked for.

        Raise SurgeonError V104 for the recipe's ``image``, V106 where TensorFlow cannot compute a graph, and
        V110 for an input that nothing can be put into.
        """
        random = np.random.default_rng(seed if not draw else [seed, draw])
        known = {**self.fixed, **(given or {})}
        fed: dict[str, np.ndarray] = {}
        for ref in self.fed:
            if ref in known:
                fed[str(ref)] = known[ref]
            elif picture is not None and ref == self.shared_input:
                continue
            elif ref != self.picture_ref and not (self.has_default(ref) and self._keeps_default(ref, given)):
                fed[str(ref)] = self._numbers(ref, draw, random)
        pixels, prepared = None, None
        if picture is not None and self.picture_cut is not None and self.image is not None:
            at_cut = prepare(self.image, picture.pixels, self.recipe.span("image", "steps"))
            batch = self.spec(self.picture_cut).shape.dims or (1,)
            tensor = in_order_of(at_cut.tensor, self.spec(self.picture_cut))
            fed[str(self.picture_cut)] = np.repeat(tensor, batch[0] or 1, axis=0)
            if self.shared_input is not None:
                pixels, prepared = picture.pixels, at_cut
        if picture is not None and self.picture_ref is not None:
            pixels = sized(self, picture.pixels)
            if channels_of(self) == 1:
                pixels = gray(pixels)
            fed[str(self.picture_ref)] = as_fed(self, pixels)
            if self.image is not None and self.prepared_inputs:
                prepared = prepare(self.image, pixels, self.recipe.span("image", "steps"))
                prepared = replace(prepared, tensor=np.repeat(prepared.tensor, batch_of(self), axis=0))
        computed = self.original.run(fed) | fed
        values = {Ref.parse(name): value for name, value in computed.items()}
        inputs = {str(ref): self._as_read(ref, values[origin]) for ref, origin in self.inputs.items()}
        window = prepared.window if prepared is not None else WHOLE
        made = f"made numbers, seed {seed}" + (f", draw {draw + 1}" if draw else "")
        detects = self.detects
        rerun = partial(self._rerun, window=window)
        from_pixels = None if prepared is None else self._from_pixels(inputs, prepared)
        record = RunRecord(
            picture.name if picture is not None else name or made,
            pixels,
            window,
            inputs,
            original_detections(self, values, self.detections, window)
            if detects and self.added is None
            else None,
            {str(ref): None if origin is None else values[origin] for ref, origin in self.outputs.items()},
            self.counterfactuals,
            partial(rerun, inputs) if detects else None,
            partial(rerun, from_pixels) if detects and from_pixels is not None else None,
            picture,
            prepared,
            values,
        )
        return record if self.added is None else replace(record, detections=detections_of_added(self, record))

    def _from_pixels(
        self, inputs: Mapping[str, np.ndarray], prepared: Prepared
    ) -> dict[str, np.ndarray] | None:
        """Return the inputs with the prepared picture; None where it has another shape."""
        feeds = {**inputs, **{str(ref): prepared.tensor for ref in self.prepared_inputs}}
        return feeds if all(feeds[name].shape == inputs[name].shape for name in inputs) else None

    def _rerun(self, feeds: Mapping[str, np.ndarray], change: str, window: Window) -> Detections:
        execution = self.execute(feeds)
        return detections_of(self, partial(self.outputs_of, execution), window, change)

    def _as_read(self, ref: Ref, value: np.ndarray) -> np.ndarray:
        """Return a value of the original in the type that the rewritten graph's input has."""
        dtype = self.runner.inputs[ref.node].dtype
        if dtype is None or dtype.itemsize is None:
            return value
        return value.astype(dtype.numpy(), copy=False)

    def _numbers(self, ref: Ref, draw: int, random: np.random.Generator) -> np.ndarray:
        """Return numbers that are made for a tensor that is fed; raise SurgeonError V110 if none can be."""
        spec = self.spec(ref)
        if not is_feedable(spec) or spec.dtype is None:
            raise error(
                "V110",
                f"nothing can be put into '{ref}', which is {spec}; expected a known type and shape",
                self.graph.source or None,
                help=[
                    "give its shape by the step 'set-shape' or arrays by --inputs, give the recipe an "
                    "'image' so that a picture is put in, or cut this input off"
                ],
            )
        return self._made_input(ref, spec).draw(draw, random)

    def _keeps_default(self, ref: Ref, given: Arrays | None) -> bool:
        """Return whether an input keeps its default: beside a picture or arrays that are given, and where no
        numbers can be made.
        """
        return given is not None or self.reads_picture or not is_feedable(self.spec(ref))

    def _made_input(self, ref: Ref, spec: TensorSpec) -> MadeInput:
        """Return what numbers are made for a tensor that is fed."""
        if ref not in self._made_inputs:
            shapes = [self.spec(other).shape.dims or () for other in self.fed if other != ref]
            lengths = [dims[1] for dims in shapes if len(dims) > 1 and dims[1] is not None]
            length = min(lengths, default=None)
            self._made_inputs[ref] = made_input(self.graph, self.inference, ref, spec, length)
        return self._made_inputs[ref]

    @cached_property
    def _made_inputs(self) -> dict[Ref, MadeInput]:
        return {}
