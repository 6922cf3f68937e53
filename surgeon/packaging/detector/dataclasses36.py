"""As much of ``dataclasses`` as the carried code uses, for Python 3.6, which has none."""

from typing import Any, Callable, Dict, List, Mapping, Sequence

MISSING = object()
_FIELDS = "__dataclass_fields__"


class Field:
    """A field: its default or what makes it, and whether ``__init__`` takes it and ``repr`` shows it."""

    def __init__(self, default: Any, default_factory: Any, init: bool, repr: bool) -> None:
        self.name = ""
        self.default, self.default_factory, self.init, self.repr = default, default_factory, init, repr


def field(
    default: Any = MISSING, default_factory: Any = MISSING, init: bool = True, repr: bool = True
) -> Any:
    """Return the description of a field."""
    return Field(default, default_factory, init, repr)


def dataclass(kind: Any = None, frozen: bool = False, eq: bool = True) -> Any:
    """Give a class ``__init__``, ``__repr__`` and ``__eq__`` from its annotations."""

    def decorate(cls: Any) -> Any:
        fields: Dict[str, Field] = {}
        for base in reversed(cls.__mro__[1:]):
            fields.update(base.__dict__.get(_FIELDS, {}))
        for name, annotation in vars(cls).get("__annotations__", {}).items():
            if "ClassVar" in str(annotation):
                continue
            found = cls.__dict__.get(name, MISSING)
            if not isinstance(found, Field):
                found = Field(found, MISSING, True, True)
            elif found.default is MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, found.default)
            found.name = name
            fields[name] = found
        setattr(cls, _FIELDS, fields)
        cls.__init__ = _initialiser(list(fields.values()))
        if "__repr__" not in cls.__dict__:
            cls.__repr__ = _shown
        if eq and "__eq__" not in cls.__dict__:
            cls.__eq__ = _equal
            cls.__hash__ = _hashed if frozen else None
        if frozen:
            cls.__setattr__ = _refuse
        return cls

    return decorate if kind is None else decorate(kind)


def _initialiser(fields: Sequence[Field]) -> Callable[..., None]:
    names = [each.name for each in fields if each.init]

    def initialise(self: Any, *positional: Any, **named: Any) -> None:
        if len(positional) > len(names):
            raise TypeError(f"{type(self).__name__} takes {len(names)} values")
        given = dict(zip(names, positional))
        for name in named:
            if name in given or name not in names:
                raise TypeError(f"{type(self).__name__} does not take '{name}' here")
        given.update(named)
        for each in fields:
            if each.name in given:
                value = given[each.name]
            elif each.default_factory is not MISSING:
                value = each.default_factory()
            elif each.default is not MISSING:
                value = each.default
            elif not each.init:
                continue
            else:
                raise TypeError(f"{type(self).__name__} needs '{each.name}'")
            object.__setattr__(self, each.name, value)
        if hasattr(self, "__post_init__"):
            self.__post_init__()

    return initialise


def _shown(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
    return "{}({})".format(type(self).__name__, ", ".join(shown))


def _values(value: Any) -> List[Any]:
    return [getattr(value, each.name) for each in fields(value)]


def _equal(self: Any, other: Any) -> Any:
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hashed(self: Any) -> int:
    return hash(tuple(_values(self)))


def _refuse(self: Any, name: str, value: Any) -> None:
    raise AttributeError(f"cannot assign to field '{name}'")


def fields(value: Any) -> Sequence[Field]:
    """Return the fields of a value."""
    found: Mapping[str, Field] = getattr(type(value), _FIELDS)
    return list(found.values())


def replace(value: Any, **changes: Any) -> Any:
    """Return a value like another with other fields."""
    kept = {each.name: getattr(value, each.name) for each in fields(value) if each.init}
    return type(value)(**dict(kept, **changes))


def asdict(value: Any) -> Any:
    """Return the fields of a value by name, those of values inside it, too."""
    if hasattr(type(value), _FIELDS):
        return {each.name: asdict(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, (list, tuple)):
        return type(value)(map(asdict, value))
    return {key: asdict(item) for key, item in value.items()} if isinstance(value, dict) else value
