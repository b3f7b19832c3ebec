"""What a function or an expression computes, as a text that is the same in every process and on every machine.

The text of a function holds its own code and that of every function, and the value of every constant, that it uses
from the platform or from its own file. Comments, docstrings, annotations and layout do not count. It does not depend on
the version of Python, as bytecode would; the text of an expression is that of the installed Polars.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cache
from textwrap import dedent
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
import polars as pl

from trading_platform.domain.errors import InvalidRequest

_PACKAGE = "trading_platform"
_NOT_CODE = frozenset({"ctx", "annotation", "returns", "type_comment", "type_params", "kind"})
_PLAIN = (str, bytes, int, float, complex, bool, type(None), Decimal, Fraction, date, time, timedelta)


def computation_text(compute: pl.Expr | Callable[..., Any]) -> str:
    """The text of what a definition computes.

    Raises:
        InvalidRequest: if it uses something whose content cannot be known, such as an object of a library.
    """
    return _expression(compute) if isinstance(compute, pl.Expr) else _function(compute)


def _expression(expression: pl.Expr) -> str:
    try:
        return json.dumps(json.loads(expression.meta.serialize(format="json")), sort_keys=True)
    except (pl.exceptions.PolarsError, ValueError):
        raise InvalidRequest(
            "An expression of a definition cannot be stored.",
            expected="an expression of Polars without Python code in it",
            received=str(expression),
            remedy="write it as a function with a name",
        ) from None


@cache
def _function(function: Callable[..., Any]) -> str:
    if not isinstance(function, FunctionType):
        raise _unknown("the definition", function)
    found: dict[Any, tuple[str, str]] = {}
    _collect(function, found)
    return json.dumps(sorted(found.values()))


def _collect(function: FunctionType, found: dict[Any, tuple[str, str]]) -> None:
    """Adds the code of a function and of what it uses; without modules, so that moving code changes nothing."""
    if function in found:
        return
    tree = _tree(function)
    found[function] = (function.__qualname__, _canonical(tree))
    for name, value in _used(function, tree):
        _add(name, value, function, found)


def _add(name: str, value: Any, user: FunctionType, found: dict[Any, tuple[str, str]]) -> None:
    own = str(getattr(value, "__module__", "")) == user.__module__
    if isinstance(value, FunctionType) and (own or value.__module__.split(".")[0] == _PACKAGE):
        _collect(value, found)
    elif isinstance(value, type) and own and user.__module__.split(".")[0] != _PACKAGE:
        found[value] = (value.__qualname__, _canonical(_tree(value)))
    elif isinstance(value, ModuleType | FunctionType | BuiltinFunctionType | type) or _is_of_library(value):
        found[user, name] = (f"{user.__qualname__} {name}", str(getattr(value, "__name__", "")))
    elif not inspect.isroutine(value):
        found[user, name] = (f"{user.__qualname__} {name}", _value(name, value))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """A node and all within it, without annotations."""
    yield node
    for name, value in ast.iter_fields(node):
        for each in () if name in _NOT_CODE else value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from _walk(each)


def _used(function: FunctionType, tree: ast.AST) -> Iterator[tuple[str, Any]]:
    """What a function uses from outside of it: globals, attributes of the platform's modules, and its closure."""
    closure = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    outside = {**function.__globals__, **{name: cell.cell_contents for name, cell in closure.items()}}
    local = set(function.__code__.co_varnames)
    for node in _walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = outside.get(node.value.id)
            if isinstance(module, ModuleType) and module.__name__.split(".")[0] == _PACKAGE:
                yield f"{node.value.id}.{node.attr}", getattr(module, node.attr, None)
        elif isinstance(node, ast.Name) and node.id in outside and node.id not in local:
            yield node.id, outside[node.id]


def _is_of_library(value: Any) -> bool:
    """Whether a value is a function of a library that is no Python function, such as a ufunc of NumPy."""
    return callable(value) and bool(getattr(value, "__name__", None)) and not isinstance(value, _PLAIN)


def _tree(code: FunctionType | type) -> ast.AST:
    try:
        return ast.parse(dedent(inspect.getsource(code))).body[0]
    except (OSError, TypeError, SyntaxError):
        raise _unknown("the definition", code) from None


def _canonical(node: Any) -> str:
    """The structure of code, without what does not change it; equal in all versions of Python."""
    if isinstance(node, list):
        return f"[{','.join(map(_canonical, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
        fields["body"] = node.body[1:]
    if isinstance(node, ast.JoinedStr):  # Python 3.12 has empty texts in it
        fields["values"] = [each for each in node.values if getattr(each, "value", None) != ""]
    parts = (
        f"{name}={_canonical(value)}"
        for name, value in sorted(fields.items())
        if name not in _NOT_CODE and value is not None and value != []
    )
    is_constant = isinstance(node, ast.Constant)
    return f"{type(node).__name__}({repr(node.value) if is_constant else ','.join(parts)})"


def _value(name: str, value: Any) -> str:
    """The content of a constant."""
    if isinstance(value, _PLAIN):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, tuple | list):
        return f"[{','.join(_value(name, each) for each in value)}]"
    if isinstance(value, set | frozenset | dict):
        items = value.items() if isinstance(value, dict) else value
        return f"{{{','.join(sorted(_value(name, each) for each in items))}}}"
    if isinstance(value, pl.Expr):
        return _expression(value)
    if isinstance(value, pl.Series | np.ndarray):
        return f"{value.dtype} {value.tolist() if isinstance(value, np.ndarray) else value.to_list()!r}"
    raise _unknown(name, value)


def _unknown(name: str, value: object) -> InvalidRequest:
    return InvalidRequest(
        f"A definition uses {name}, whose content cannot be known, so that a change of it would not be seen.",
        expected="functions defined with def, numbers, texts, and lists or dictionaries of them",
        received=f"a {type(value).__name__}",
        remedy="make it a constant, or what a function with a name returns",
    )
