"""Records with typed fields, read from JSON and written as it: what models of pydantic are here."""

import json
from typing import Any, Callable, Dict, Iterator, Mapping, Sequence, Tuple

Place = Tuple[Any, ...]


class ValidationError(ValueError):
    """A value does not fit its model: the place in it, and why."""

    def __init__(self, loc: Place, msg: str) -> None:
        ValueError.__init__(self, msg)
        self.loc, self.msg = loc, msg

    def errors(self, **options: bool) -> Sequence[Mapping[str, Any]]:
        """Return place and reason."""
        return [{"loc": self.loc, "msg": self.msg}]


class BaseModel:
    """A record that nothing changes; ``FIELDS`` has the kind of each field, whether it must be given, and its
    default, ``MODELS`` the models that kinds name.
    """

    FIELDS: Mapping[str, Tuple[Any, bool, Any]] = {}
    MODELS: Mapping[str, Any] = {}

    def __init__(self, **values: Any) -> None:
        for name, value in _values(type(self), values, ()).items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"'{name}' cannot be changed")

    def __iter__(self) -> Iterator[Tuple[str, Any]]:
        return iter([(name, getattr(self, name)) for name in self.FIELDS])

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return "{}({})".format(type(self).__name__, ", ".join("{}={!r}".format(*pair) for pair in self))

    @classmethod
    def model_validate(cls, values: Any) -> Any:
        """Return the record of plain values; raise ValidationError."""
        return _model(cls, values, ())

    @classmethod
    def model_validate_json(cls, text: bytes) -> Any:
        """Return the record of a text; raise ValidationError."""
        return cls.model_validate(_parsed(text))

    def model_copy(self, update: Mapping[str, Any]) -> Any:
        """Return a record with other values."""
        return type(self)(**dict(list(self), **update))

    def model_dump(self, mode: str = "python") -> Dict[str, Any]:
        """Return plain values."""
        return {name: _plain(value) for name, value in self}


def from_json(text: Any) -> Any:
    """Return the value of a JSON text; raise ValueError."""
    return _parsed(text, ValueError)


def _parsed(text: Any, failure: Callable[..., Exception] = lambda why: ValidationError((), why)) -> Any:
    try:
        return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as exc:
        raise failure(f"Invalid JSON: {exc}") from None


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if hasattr(type(value), "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value


def _model(model: Any, values: Any, place: Place) -> Any:
    if isinstance(values, model):
        return values
    if not isinstance(values, dict):
        raise ValidationError(place, f"it is {type(values).__name__}; expected a mapping")
    checked = object.__new__(model)
    for name, value in _values(model, values, place).items():
        object.__setattr__(checked, name, value)
    return checked


def _values(model: Any, values: Mapping[str, Any], place: Place) -> Dict[str, Any]:
    for name in values:
        if name not in model.FIELDS:
            raise ValidationError((*place, name), "Extra inputs are not permitted")
    found = {}
    for name, (kind, required, default) in model.FIELDS.items():
        if name not in values and required:
            raise ValidationError((*place, name), "Field required")
        value = values.get(name, default)
        found[name] = _checked(kind, value, model.MODELS, (*place, name)) if name in values else value
    return found


_SCALARS: Mapping[str, Any] = {"int": int, "str": str, "bool": bool, "none": type(None)}


def _checked(kind: Sequence[Any], value: Any, models: Mapping[str, Any], place: Place) -> Any:
    """Return a value as its kind has it; raise ValidationError where it is of another kind."""
    name = kind[0]
    if name == "any":
        return value
    if name == "model":
        return _model(models[kind[1]], value, place)
    if name == "values":
        return _dataclass(models[kind[1]], kind[2], value, models, place)
    if name == "union":
        return _first(kind[1:], value, models, place)
    if name == "literal":
        fits = any(value == each and type(value) is type(each) for each in kind[1:])
    elif name in ("tuple", "tuple of"):
        fits = isinstance(value, (list, tuple)) and (name != "tuple" or len(value) == len(kind) - 1)
    elif name == "mapping":
        fits = isinstance(value, dict)
    elif name == "float":
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        fits = isinstance(value, _SCALARS[name]) and (name == "bool" or not isinstance(value, bool))
    if not fits:
        raise ValidationError(place, f"it is {repr(value)[:60]}; expected {' or '.join(map(str, kind))}")
    if name in ("tuple", "tuple of"):
        kinds = kind[1:] if name == "tuple" else [kind[1]] * len(value)
        return tuple(_checked(*each, models, (*place, i)) for i, each in enumerate(zip(kinds, value)))
    if name == "mapping":
        return {
            _key(kind[1], key, (*place, key)): _checked(kind[2], item, models, (*place, key))
            for key, item in value.items()
        }
    return float(value) if name == "float" else value


def _dataclass(
    cls: Any, kinds: Mapping[str, Any], values: Any, models: Mapping[str, Any], place: Place
) -> Any:
    if isinstance(values, cls):
        return values
    if not isinstance(values, dict) or not set(values) <= set(kinds):
        raise ValidationError(place, f"it is {repr(values)[:60]}; expected {', '.join(kinds)}")
    checked = {name: _checked(kinds[name], value, models, (*place, name)) for name, value in values.items()}
    try:
        return cls(**checked)
    except TypeError as exc:
        raise ValidationError(place, str(exc)) from None


def _first(kinds: Sequence[Any], value: Any, models: Mapping[str, Any], place: Place) -> Any:
    problems = []
    for kind in kinds:
        try:
            return _checked(kind, value, models, place)
        except ValidationError as exc:
            problems.append(exc)
    raise max(problems, key=lambda each: len(each.loc))


def _key(kind: Sequence[Any], key: Any, place: Place) -> Any:
    if kind[0] != "int":
        return key
    try:
        return int(key)
    except (TypeError, ValueError):
        raise ValidationError(place, "it is no number") from None
