"""What is public, and what its docstring says."""

import enum
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import attrs
from docstring_parser.common import Docstring
from docstring_parser.google import DEFAULT_SECTIONS, GoogleParser, Section, SectionType

from tests.docs.raising import is_ours, raised_by, raised_by_making

PACKAGES = ["fpdm", "fpdm_solvers", "fpdm_allocation", "fpdm_init", "fpdm_gradients"]
PARSER = GoogleParser([*DEFAULT_SECTIONS, Section("Warns", "warns", SectionType.MULTIPLE)])
WRAPPED = {
    property: "fget",
    cached_property: "func",
    staticmethod: "__func__",
    classmethod: "__func__",
}


def modules() -> list[str]:
    names = []
    for package in PACKAGES:
        found = importlib.import_module(package)
        names += [
            package,
            *(
                module.name
                for module in pkgutil.walk_packages(found.__path__, f"{package}.")
                if not module.name.endswith("__main__")
            ),
        ]
    return names


def public(module: str) -> Iterator["Documented"]:
    """The public classes and functions of a module, and the public members of its classes."""
    for name, value in vars(importlib.import_module(module)).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module:
            continue
        if inspect.isclass(value):
            yield Documented(f"{module}.{name}", module, value)
            for member, inside in vars(value).items():
                shown = not member.startswith("_") or member == "__call__"
                if shown and (inspect.isfunction(inside) or type(inside) in WRAPPED):
                    yield Documented(f"{module}.{name}.{member}", module, inside, owner=value)
        elif inspect.isfunction(inspect.unwrap(value)):
            yield Documented(f"{module}.{name}", module, value)


@attrs.frozen(slots=False)
class Documented:
    """A class, a function, or a method or property of its owner."""

    name: str
    module: str
    value: Any
    owner: type | None = None

    @property
    def is_class(self) -> bool:
        return inspect.isclass(self.value)

    @property
    def is_property(self) -> bool:
        return isinstance(self.value, (property, cached_property))

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The plain function; of a class, the one that takes its arguments."""
        value = self.value
        if self.is_class:
            value = value.__new__ if inspect.isfunction(value.__new__) else value.__init__
        return inspect.unwrap(getattr(value, WRAPPED.get(type(value), ""), value))

    @cached_property
    def docstrings(self) -> list[Docstring]:
        """Its own, and then those that it inherits from."""
        found = [self.value]
        if self.is_class:
            found = [cls for cls in self.value.__mro__ if is_ours(cls)]
        elif self.owner is not None:
            name = self.name.rpartition(".")[2]
            found = [vars(cls)[name] for cls in self.owner.__mro__ if name in vars(cls)]
        return [PARSER.parse(inspect.cleandoc(value.__doc__)) for value in found if value.__doc__]

    @property
    def summaries(self) -> list[str]:
        """First lines, its own first."""
        return [doc.short_description or "" for doc in self.docstrings]

    @property
    def descriptions(self) -> list[str]:
        """What stands before the sections, its own first."""
        return [doc.description or "" for doc in self.docstrings]

    @property
    def is_generator(self) -> bool:
        """Whether it yields something, also to make a context."""
        yields = not self.is_class and inspect.isgeneratorfunction(self.function)
        return yields and not self.returned.endswith("[None]")

    @property
    def own_entries(self) -> set[str]:
        """The names under Args and Attributes in its own docstring."""
        return {_name(param.arg_name) for doc in self.docstrings[:1] for param in doc.params}

    def section(self, *kinds: str) -> dict[str, str]:
        """The entries of sections by their names, inherited ones too."""
        found = {}
        for doc in reversed(self.docstrings):
            for entry in doc.meta:
                if entry.args[0] in kinds:
                    found[_name("".join(entry.args[1:2]))] = entry.description or ""
        return found

    @cached_property
    def parameters(self) -> dict[str, str]:
        """Annotations by name."""
        if self.is_property or not self._takes_arguments():
            return {}
        if self.is_class and attrs.has(self.value):
            fields = [field for field in attrs.fields(self.value) if field.init]
            return {field.alias: _written(field.type) for field in fields}
        found = inspect.signature(self.function).parameters
        bound = self.is_class or (self.owner and not isinstance(self.value, staticmethod))
        return {name: _written(found[name].annotation) for name in list(found)[bool(bound) :]}

    def _takes_arguments(self) -> bool:
        if not self.is_class:
            return True
        kept = issubclass(self.value, enum.Enum) or getattr(self.value, "_is_protocol", False)
        return not kept and str(getattr(self.function, "__module__", "")).startswith("fpdm")

    @property
    def attributes(self) -> set[str]:
        """What a class says that an object of it has; nothing of a function."""
        if not self.is_class:
            return set()
        said = getattr(self.value, "__annotations__", {})
        stored = {name for cls in self.value.__mro__ if is_ours(cls) for name in _stored(cls)}
        return {*dir(self.value), *said, *stored}

    @property
    def returned(self) -> str:
        """The annotation of what it returns."""
        if self.is_class:
            return "None"
        return _written(inspect.signature(self.function).return_annotation)

    @property
    def raised(self) -> set[type]:
        """Errors of ours."""
        if self.is_class:
            return raised_by_making(self.value)
        return raised_by(self.function, self.owner)

    @property
    def namespace(self) -> dict[str, Any]:
        """Of its module."""
        return vars(sys.modules[self.module])


def _name(entry: str) -> str:
    return entry.lstrip("*").split(" ")[0]


def _stored(cls: type) -> set[str]:
    """The names that its `__init__` gives to an object."""
    code = getattr(vars(cls).get("__init__"), "__code__", None)
    return set(code.co_names) if code else set()


def _written(annotation: Any) -> str:
    if annotation is inspect.Signature.empty:
        return ""
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
