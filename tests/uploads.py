"""Files as tests upload them."""

from typing import Any

from tests.api import Answer, answer
from tests.sql import Twin


async def upload(
    twin: Twin, content: bytes | str, /, name: str = "rows.csv", **fields: Any
) -> Answer:
    """Upload into `notes` of prod, unless the fields say otherwise."""
    headers = fields.pop("headers", None)
    sent = {
        "database_id": str(twin.id),
        "uid": twin.uid,
        "app_id": "",
        "table_name": "notes",
        "env": "prod",
        **fields,
    }
    data = content.encode() if isinstance(content, str) else content
    response = await twin.api.client.post(
        f"{twin.api.mount}/upload_data", data=sent, files={"file": (name, data)}, headers=headers
    )
    return answer(response)
