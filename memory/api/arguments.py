"""What an endpoint is called with: made from the request by what its signature says.

FastAPI reads the same signature for the OpenAPI document. Its own way from a request to an
endpoint solves a graph of dependencies for every call, which costs a worker as much as all that
a short statement in a tenant's session does.
"""

import inspect
import json
from collections.abc import Callable
from json import JSONDecodeError
from typing import Any, get_args, get_origin

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.params import Depends, Form, Query
from pydantic import TypeAdapter, ValidationError

from core.errors import Unreadable

Source = Callable[[Request], Any]


class Arguments:
    """The arguments of one endpoint.

    A parameter is what its annotation says: `Depends(provider)`, a function of the request that
    waits for nothing; `Query()`, a model of the query; `Form()`, one of the form that the route
    has received; one that the path names; or else the body, a model.
    """

    def __init__(self, endpoint: Callable[..., Any], path: str) -> None:
        self._sources: dict[str, Source] = {}
        self._body: tuple[str, TypeAdapter[Any]] | None = None
        for name, parameter in inspect.signature(endpoint, eval_str=True).parameters.items():
            annotation = parameter.annotation
            kinds = get_args(annotation)[1:]
            provider = next((kind.dependency for kind in kinds if isinstance(kind, Depends)), None)
            if provider is not None:
                self._sources[name] = provider
            elif any(isinstance(kind, Query) for kind in kinds):
                self._sources[name] = _of_query(annotation)
            elif any(isinstance(kind, Form) for kind in kinds):
                self._sources[name] = _of_form(annotation)
            elif f"{{{name}}}" in path:
                self._sources[name] = _of_path(name, annotation)
            else:
                self._body = name, TypeAdapter(annotation)

    async def of(self, request: Request) -> dict[str, Any]:
        """
        Raises:
            RequestValidationError: the request has a value that does not fit.
            Unreadable: the body can't be read.
        """
        found = {name: source(request) for name, source in self._sources.items()}
        if self._body is not None:
            name, model = self._body
            body = await request.body()
            if not body:
                raise _missing()
            found[name] = validated(model, _parsed(body), "body")
        return found


def validated(model: TypeAdapter[Any], value: Any, *place: str) -> Any:
    """
    Args:
        place: where in the request the value is.

    Raises:
        RequestValidationError
    """
    try:
        return model.validate_python(value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise RequestValidationError(
            [{**problem, "loc": (*place, *problem["loc"])} for problem in problems]
        ) from None


def _of_query(annotation: Any) -> Source:
    model: TypeAdapter[Any] = TypeAdapter(get_args(annotation)[0])
    lists = _list_fields(get_args(annotation)[0])

    def source(request: Request) -> Any:
        given = request.query_params
        fields = {name: given.getlist(name) if name in lists else given[name] for name in given}
        return validated(model, fields, "query")

    return source


def _list_fields(model: Any) -> frozenset[str]:
    """Fields that may be given several times."""
    fields = getattr(model, "model_fields", {})
    return frozenset(name for name in fields if get_origin(fields[name].annotation) is list)


def _of_form(annotation: Any) -> Source:
    model: TypeAdapter[Any] = TypeAdapter(get_args(annotation)[0])
    return lambda request: validated(model, request.state.form.fields, "body")


def _of_path(name: str, annotation: Any) -> Source:
    model: TypeAdapter[Any] = TypeAdapter(annotation)
    return lambda request: validated(model, request.path_params[name], "path", name)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": ("body", error.pos), "ctx": {"error": error.msg}}
        raise RequestValidationError([problem]) from None
    except (ValueError, RecursionError) as error:
        # Bytes that are no text, a number of thousands of digits, lists in lists.
        raise Unreadable from error


def _missing() -> RequestValidationError:
    return RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
