"""What it means that TensorRT refused, or that the process in which it worked is dead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from surgeon.catalog.plugin_uses import PluginUse
from surgeon.diagnostics import SurgeonError, error
from surgeon.engine.known_messages import LogReading, read_log

_DOING = {
    "import": "importing TensorRT",
    "libraries": "loading the plugin libraries",
    "device": "reaching the GPU",
    "start": "starting the builder",
    "parse": "parsing",
    "configure": "setting up the builder",
    "build": "building the engine",
    "serialize": "serializing the engine",
    "report": "reading the engine's layers",
    "load": "loading the engine",
    "run": "running the engine",
    "calibrate": "calibrating",
}

_SEVERITY = re.compile(r"^([FEWIV]): ")
_GRAVE = ("F", "E")

_PARSED = re.compile(r"(?:UFFParser: [Pp]arsing (?P<uff>[^\[\s]+)|Parsing node: (?P<onnx>\S*) \[)")
"""A parser takes up a node: 'UFFParser: Parsing NMS[Op: _NMS_TRT].

Inputs: a, b', 'Parsing node: NMS [NMS_TRT]'.
"""

_CHECK = re.compile(r"(?:^|\b)(?P<kind>Assertion|Validation) failed: (?P<text>[^\n]+)")
_PLACE = re.compile(r"(?:^|[\s(])(?P<file>[\w./\\-]+\.(?:cpp|cu|h|hpp|cc))[:,(](?P<line>\d+)")
_C_ASSERT = re.compile(
    r"(?P<file>[\w./\\-]+\.(?:cpp|cu|h|hpp|cc)):(?P<line>\d+): .{0,1000}?Assertion [`'](?P<text>.+)' failed"
)
_BARE = re.compile(r"#assertion\s*(?P<file>[\w./\\-]+\.(?:cpp|cu|h)),(?P<line>\d+)")
_OF_PARSERS = re.compile(
    r"\bparsers?/|onnx2trt|UffParser|ModelImporter|ONNX parser|^\s*\[\d+\] Assertion", re.IGNORECASE
)
_REFUSED = re.compile(r"^Refused: ")
"""What the worker says itself, where TensorRT gave no reason or gave it in its log."""


_MEMORY = re.compile(
    r"out of memory|OutOfMemory|bytes\) could not be allocated|ERROR_OUT_OF_MEMORY|ErrorMemoryAllocation",
    re.IGNORECASE,
)
_HOST_MEMORY = re.compile(r"std::bad_alloc|\bMemoryError\b")
_AMOUNT = re.compile(
    r"(?:Requested amount of (?:GPU )?memory \(|[Rr]equested size (?:of|was) |requires )(?P<bytes>\d+)"
)

_STANDS_FOR = {
    "numLocClasses": ("shareLocation", "numClasses"),
    "mConcatAxisID": ("axis",),
    "mIgnoreBatch": ("ignoreBatch",),
    "mNbClasses": ("num_classes",),
    "mAnchorsCnt": ("image_size",),
    "mAnchorBoxesHost": ("image_size",),
    "mImageSize": ("image_size",),
    "imageDims": ("image_size",),
    "numExpectedLayers": ("featureMapShapes",),
    "mNumLayers": ("numLayers",),
    "isFMapRect": ("featureMapShapes",),
    "mWeights": ("weights", "channelShared"),
    "mPreNMSTopK": ("prenms_topk",),
    "mKeepTopK": ("keep_topk",),
    "samplingRatio": ("sampling_ratio",),
    "pooledSize": ("pooled_size",),
    "fpnScale": ("fpn_scale",),
    "mScale": ("scale",),
    "numAspectRatios": ("aspectRatios",),
}
"""Variables of NVIDIA's plugins, and the fields that they are computed from."""

_WORD = re.compile(r"[A-Za-z_]\w*")
_RELATED = 40
"""Lines before a failure in which a node's name tells which it was."""

_SHOWN = 6
_LONGEST = 300
_READ = 2000
"""Characters of a line that are looked at."""


@dataclass(frozen=True)
class _FailedCheck:
    """A failed check of a plugin.

    ``text`` is empty where the log has none; ``file`` and ``line`` are the check's place in the source.
    """

    text: str
    file: str = ""
    line: str = ""
    aborts: bool = True


def diagnose(
    phase: str,
    lines: Sequence[str],
    stderr: str,
    ended: str | None,
    uses: Sequence[PluginUse] = (),
    source: str = "",
) -> SurgeonError:
    """Return the error that a TensorRT process's refusal or death amounts to.

    ``phase`` is what it was doing (import, libraries, device, parse, configure, build, serialize, report,
    load, run, calibrate); ``lines`` are TensorRT's log in order, each with the letter of its severity: ``E:
    text``; ``stderr`` is what it wrote besides. ``ended`` is None where it lives, else how it died: a
    signal's name, ``exit code 1`` or ``timeout after 600 s``. ``uses`` are the plugin nodes of what it worked
    on, and ``source`` the name of that.

    The codes: B144 out of time, B145 killed from outside, B141 a plugin's check failed (with node and
    fields), B143 out of GPU memory, B140 a message that is known, B142 anything else.
    """
    log = _split(lines)
    grave = [text for letter, text in log if letter in _GRAVE]
    grave += [line.rstrip()[:_READ] for line in stderr.splitlines() if line.strip()]
    failure = _Failure(_DOING.get(phase, phase), phase, source, ended, tuple(uses), log, grave)
    late = ended is not None and ended.startswith("timeout")
    reading = read_log(failure.grave)
    failed = _failed_check(failure.grave)
    if failed is not None and (failed.aborts or not late):  # ending itself may hang, too
        return _check_failed(failure, failed, reading)
    if late:
        return _out_of_time(failure)
    memory = [text for text in failure.grave if _MEMORY.search(text)]
    if memory:
        return _out_of_memory(failure, memory)
    if ended == "SIGKILL" or any(map(_HOST_MEMORY.search, failure.grave)):
        return _killed(failure)
    return _known(failure, reading) or _unknown(failure)


@dataclass(frozen=True)
class _Failure:
    """All that is known of a failure.

    ``log`` holds pairs of severity letter and line, ``grave`` its errors and the terminal's lines.
    """

    doing: str
    phase: str
    source: str
    ended: str | None
    uses: tuple[PluginUse, ...]
    log: list[tuple[str, str]]
    grave: list[str]

    @property
    def what(self) -> str:
        """What was done to what, such as ``parsing 'ssd.uff'``."""
        return f"{self.doing} '{self.source}'" if self.phase == "parse" and self.source else self.doing

    @property
    def place(self) -> str | None:
        return self.source or None

    def parsed_last(self) -> str | None:
        """Return the node that a parser took up last."""
        for _, text in reversed(self.log):
            match = _PARSED.search(text)
            if match:
                return match["uff"] or match["onnx"] or None
        return None

    def last_words(self) -> tuple[str, ...]:
        """Return the last errors, and the node that was being parsed."""
        said = dict.fromkeys(text.strip()[:_LONGEST] for text in self.grave if not _REFUSED.match(text))
        return (*list(said)[-_SHOWN:], *self.in_hand())

    def in_hand(self) -> tuple[str, ...]:
        """Return a note on the node that was being parsed, nothing in another phase."""
        node = self.parsed_last() if self.phase == "parse" else None
        return (f"the parser was at the node '{node}'",) if node else ()


def _split(lines: Iterable[str]) -> list[tuple[str, str]]:
    """Return (severity letter, line) of each line of a log; a message of several lines keeps its letter."""
    found = []
    for line in lines:
        match = _SEVERITY.match(line)
        letter, text = (match[1], line[match.end() :]) if match else ("E", line)
        found += [(letter, part.rstrip()[:_READ]) for part in text.splitlines() if part.strip()]
    return found


# Checks of plugins


def _failed_check(grave: Sequence[str]) -> _FailedCheck | None:
    """Return the first check of a plugin that failed, None where none did."""
    for i, text in enumerate(grave):
        match = _C_ASSERT.search(text) or _BARE.search(text)
        if match:
            if not _OF_PARSERS.search(match["file"]):
                return _FailedCheck(match.groupdict().get("text") or "", match["file"], match["line"])
            continue
        match = _CHECK.search(text)
        if match and not _OF_PARSERS.search(text):
            # The file stands in the line after it, or, in some formats, in the same one.
            place = next((found for found in map(_PLACE.search, grave[i : i + 2]) if found), None)
            if place is None or not _OF_PARSERS.search(place["file"]):
                where = (place["file"], place["line"]) if place else ("", "")
                return _FailedCheck(match["text"].strip(), *where, aborts=match["kind"] == "Assertion")
    return None


def _check_failed(failure: _Failure, failed: _FailedCheck, reading: LogReading) -> SurgeonError:
    candidates = _candidates(failure.uses, failed)
    use = _at_fault(failure, candidates)
    known = next((one for one in reading.explained if one.message.kind == "error"), None)
    asked = _asked(failed.text)
    effect = "ends the process" if failed.aborts else "refuses its fields"
    check = (
        f"the check `{failed.text}`"
        if failed.text
        else f"a check in {_base(failed.file)}, line {failed.line},"
    )
    notes = [f"{_base(failed.file)}, line {failed.line}"] if failed.text and failed.file else []
    if known is not None:
        notes.append(known.means)
    if use is None:
        subject = "a plugin"
        notes += [f"it may be '{one.node}' ({one.op}){_shown(one, asked)}" for one in candidates[:_SHOWN]]
    else:
        subject = f"the plugin '{use.node}' ({use.op})"
        fields = [name for name in asked if name in use.fields]
        notes += [f"{name}: {_value(use.fields[name])}" for name in fields]
        if not fields and known is None:
            notes += [f"{name}: {_value(value)}" for name, value in use.fields.items()]
    named = " and ".join(f"'{name}'" for name in asked if use is not None and name in use.fields)
    expected = (
        f"expected {named} to fit what the node reads"
        if named
        else "expected fields that fit what the node reads"
    )
    help = (
        known.do
        if known is not None
        else (f"correct {named or 'the fields'}; 'auto' derives what can be derived from the graph",)
    )
    return error(
        "B141",
        f"{subject} {effect} while {failure.what}: {check} failed; {expected}",
        use.place if use else failure.place,
        notes,
        help,
    )


def _candidates(uses: Sequence[PluginUse], failed: _FailedCheck) -> list[PluginUse]:
    """Return the plugin nodes that a check may be of.

    The check's source file tells which; failing that, the fields that its text names do. If neither tells,
    every node is a candidate.
    """
    stem = _stem(re.sub(r"\.\w+$", "", _base(failed.file)))
    if stem:
        exact = [use for use in uses if _stem(use.op) == stem]
        alike = [use for use in uses if _stem(use.op).startswith(stem)]
        if exact or alike:
            return alike
    asked = _asked(failed.text)
    return [use for use in uses if any(name in use.fields for name in asked)] or list(uses)


def _stem(name: str) -> str:
    """Return what NVIDIA's names of a plugin, of its creator and of its source file have in common."""
    return re.sub(r"_?trt$|plugin|dynamic|_", "", name.lower())


def _base(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def _at_fault(failure: _Failure, candidates: Sequence[PluginUse]) -> PluginUse | None:
    """Return the candidate whose check failed, None where nothing tells.

    It is the only candidate, the node that the parser took up last, or the one that the log names last.
    """
    if len(candidates) == 1:
        return candidates[0]
    by_name = {use.node: use for use in candidates}
    last = failure.parsed_last() if failure.phase == "parse" else None
    if last in by_name:
        return by_name[last]
    for _, text in reversed(failure.log[-_RELATED:]):
        for name in sorted(by_name, key=len, reverse=True):
            if re.search(rf"(?<![\w/]){re.escape(name)}(?![\w/])", text):
                return by_name[name]
    return None


def _asked(check: str) -> list[str]:
    """Return the names in a check that may be fields, in their order."""
    names: list[str] = []
    for word in _WORD.findall(check):
        names += _STANDS_FOR.get(word, (word,))
    return list(dict.fromkeys(names))


def _shown(use: PluginUse, asked: Iterable[str]) -> str:
    fields = [f"{name} {_value(use.fields[name])}" for name in asked if name in use.fields]
    return f" with {', '.join(fields)}" if fields else ""


def _value(value: object) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_value, value[:20])) + (", ..." if len(value) > 20 else "") + "]"
    return f"{value:.7g}" if isinstance(value, float) else str(value)


# Other ends


def _out_of_time(failure: _Failure) -> SurgeonError:
    limit = (failure.ended or "").partition("timeout after ")[2]
    return error(
        "B144",
        f"{failure.what} took more than {limit}; expected it to end",
        failure.place,
        failure.last_words(),
        [
            "allow more time with --timeout; building an engine in FP16 or INT8 takes minutes",
            "see with nvidia-smi whether something else holds the GPU",
        ],
    )


def _out_of_memory(failure: _Failure, lines: Sequence[str]) -> SurgeonError:
    sizes = [int(match["bytes"]) for match in map(_AMOUNT.search, failure.grave) if match]
    asked = f"; {max(sizes) / (1 << 20):,.0f} MiB were asked for" if sizes else ""
    return error(
        "B143",
        f"memory ran out while {failure.what}{asked}; expected enough on the GPU",
        failure.place,
        [lines[0].strip()[:_LONGEST]],
        [
            "end what else is on the GPU (TensorFlow takes all of it unless told otherwise); nvidia-smi "
            "lists it",
            "lower the workspace, or the largest batch",
        ],
    )


def _killed(failure: _Failure) -> SurgeonError:
    why = (
        "the process was killed from outside (SIGKILL)"
        if failure.ended == "SIGKILL"
        else "the host's memory ran out"
    )
    return error(
        "B145",
        f"{why} while {failure.what}; expected it to end by itself",
        failure.place,
        ["the system kills the largest process where the host's memory runs out", *failure.last_words()],
        [
            "look with 'dmesg' or at the container's limits whether it did",
            "free memory of the host, or allow more",
        ],
    )


def _known(failure: _Failure, reading: LogReading) -> SurgeonError | None:
    grave = [one for one in reading.explained if one.message.kind == "error"]
    if not grave:
        return None
    first = grave[0]
    notes = [first.means, *(f"then: {one.text[:_LONGEST]}" for one in grave[1:_SHOWN])]
    notes += failure.in_hand() if "node" not in first.groups else ()
    see = [f"see 'surgeon explain {code}'" for code in first.message.see[:1]]
    return error(
        "B140", f"{_headline(failure)}: {first.text[:_LONGEST]}", failure.place, notes, [*first.do, *see]
    )


def _unknown(failure: _Failure) -> SurgeonError:
    refused = next(
        (_REFUSED.sub("", text) for text in reversed(failure.grave) if _REFUSED.match(text)),
        "expected it to be done",
    )
    return error(
        "B142",
        f"{_headline(failure)}; {refused}",
        failure.place,
        failure.last_words() or ("nothing was logged",),
        [
            "search the issues of NVIDIA/TensorRT for the last message",
            "look with 'surgeon doctor' for libraries that do not fit",
        ],
    )


def _headline(failure: _Failure) -> str:
    return f"{failure.what} failed" if failure.ended is None else f"{failure.what} ended with {failure.ended}"
