"""Which errors of ours a function raises, read off its source."""

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import attrs

from fpdm import errors


def is_ours(value: Any) -> bool:
    """Whether it was written here, rather than in a library or by attrs."""
    written = getattr(value, "__code__", None)
    return str(getattr(value, "__module__", "")).startswith("fpdm") and (
        written is None or written.co_filename.endswith(".py")
    )


def raised_by(function: Callable[..., Any], owner: type | None = None) -> set[type]:
    """What a call raises itself, or has a `check_…` or a private function of ours raise."""
    return set(_Reading(owner).of(function))


def raised_by_making(cls: type) -> set[type]:
    """What it raises to make an object, validators included."""
    made = [getattr(cls, name, None) for name in ("__new__", "__init__", "__attrs_post_init__")]
    found = [raised_by(inspect.unwrap(function), cls) for function in made if function is not None]
    if attrs.has(cls) and any(field.validator for field in attrs.fields(cls)):
        found.append({errors.InvalidValueError})
    return set().union(*found)


def named(name: str, namespace: dict[str, Any]) -> Any:
    """What a name stands for in a module, as far as can be seen."""
    for place in (namespace, vars(errors), vars(builtins)):
        if name in place:
            return place[name]
    return None


class _Reading:
    """One way through the functions that call each other."""

    def __init__(self, owner: type | None) -> None:
        self.owner = owner
        self.read: set[Any] = set()

    def of(self, function: Any) -> Iterator[type]:
        if function in self.read or not inspect.isfunction(function) or not is_ours(function):
            return
        self.read.add(function)
        written = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
        yield from self._in(written.body, function.__globals__)  # type: ignore[attr-defined]

    def _in(self, nodes: Iterable[ast.AST], namespace: dict[str, Any]) -> Iterator[type]:
        for node in nodes:
            if isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
                continue  # what is raised in there is raised by another call
            if isinstance(node, ast.Try):
                caught = self._caught(node, namespace)
                tried = self._in(node.body, namespace)
                yield from (error for error in tried if not issubclass(error, caught))
                rest = [*node.handlers, *node.orelse, *node.finalbody]
                yield from self._in(rest, namespace)
                continue
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                cls = self._value(node.exc.func, namespace)
                if inspect.isclass(cls) and issubclass(cls, errors.FPDMError):
                    yield cls
            if isinstance(node, ast.Call):
                yield from self._by_call(node.func, namespace)
            yield from self._in(ast.iter_child_nodes(node), namespace)

    def _by_call(self, called: ast.expr, namespace: dict[str, Any]) -> Iterator[type]:
        name = ast.unparse(called).rpartition(".")[2]
        if name.startswith(("_", "check_")) and not name.startswith("__"):
            value = self._value(called, namespace)
            yield from self.of(inspect.unwrap(getattr(value, "__func__", value)))

    def _caught(self, node: ast.Try, namespace: dict[str, Any]) -> tuple[type, ...]:
        kinds = [handler.type for handler in node.handlers if handler.type is not None]
        nodes = [
            k for kind in kinds for k in (kind.elts if isinstance(kind, ast.Tuple) else [kind])
        ]
        found = [self._value(kind, namespace) for kind in nodes]
        return tuple(kind for kind in found if inspect.isclass(kind))

    def _value(self, node: ast.AST, namespace: dict[str, Any]) -> Any:
        if isinstance(node, ast.Name):
            return named(node.id, namespace)
        if not isinstance(node, ast.Attribute):
            return None
        if isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"):
            return inspect.getattr_static(self.owner, node.attr, None)
        return getattr(self._value(node.value, namespace), node.attr, None)
