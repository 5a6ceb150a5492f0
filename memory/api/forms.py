"""Bodies of `multipart/form-data` with one file, which is kept on disk while it is received."""

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from core.errors import Unreadable

FORM = "multipart/form-data"
MOST_FIELDS, MOST_FIELD_BYTES = 100, 65_536
CHUNK = 1_048_576
# Of these, a form may have several.
LISTS = frozenset({"key"})


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    name: str
    file: BinaryIO

    def __repr__(self) -> str:
        return "a file"


@dataclass(frozen=True, slots=True)
class Form:
    """
    Attributes:
        body_digest: SHA-256 of the whole body as it came, in hexadecimal.
    """

    fields: dict[str, Any]
    body_digest: str

    async def digest(self) -> bytes:
        """What was sent, whatever marks the parts were put between: a client makes them anew."""
        return await asyncio.to_thread(self._digest)

    def _digest(self) -> bytes:
        parts = []
        for name, value in sorted(self.fields.items()):
            if isinstance(value, ReceivedFile):
                parts.append([name, "file", value.name, _digest_of(value.file)])
            else:
                parts.append([name, "field", value])
        return json.dumps(parts).encode()


def _digest_of(file: BinaryIO) -> str:
    file.seek(0)
    digest = hashlib.sha256()
    while data := file.read(CHUNK):
        digest.update(data)
    return digest.hexdigest()


def form_of(request: Request) -> Form | None:
    """What its route has received; None: the request's body is no form."""
    found: Form | None = getattr(request.state, "form", None)
    return found


@asynccontextmanager
async def received_form(request: Request, seconds: float) -> AsyncIterator[Form]:
    """The request's form, whose file ends with this.

    Args:
        seconds: in which the body has to come.

    Raises:
        Unreadable, BodyTooLarge, ClientDisconnect
    """
    whole = hashlib.sha256()

    async def portions() -> AsyncGenerator[bytes, None]:
        async for portion in request.stream():
            whole.update(portion)
            yield portion

    parser = MultiPartParser(
        request.headers,
        portions(),
        max_files=1,
        max_fields=MOST_FIELDS,
        max_part_size=MOST_FIELD_BYTES,
    )
    try:
        async with asyncio.timeout(seconds):
            parsed = await parser.parse()
    except TimeoutError:
        raise Unreadable(f"The request body did not come within {seconds:g} s") from None
    except MultiPartException as error:
        raise Unreadable(f"The form can't be read: {error.message}") from error
    try:
        yield Form(_fields(parsed.multi_items()), whole.hexdigest())
    finally:
        await parsed.close()


def _fields(items: list[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in items:
        given = _received(value) if isinstance(value, UploadFile) else value
        if name in LISTS:
            fields.setdefault(name, []).append(given)
        elif name in fields:
            raise Unreadable(f"The form has the field {name[:100]!r} more than once")
        else:
            fields[name] = given
    return fields


def _received(upload: UploadFile) -> ReceivedFile:
    spooled = cast("SpooledTemporaryFile[bytes]", upload.file)
    # A true file, for a process of its own may have to read it.
    spooled.rollover()
    return ReceivedFile(upload.filename or "", cast(BinaryIO, spooled))
