import json
from collections.abc import AsyncIterator, Sequence
from typing import Any, Literal

import httpx

from pgtwin import errors, models
from pgtwin._async.calls import Audience, Calls, Environment, Environments


class StatementCalls(Calls):
    """SQL in databases."""

    async def exec_ddl(
        self,
        database_id: int,
        ddl: str,
        *,
        env: Environments | None = None,
        as_: Audience | None = None,
    ) -> None:
        """Change tables, in both environments unless said otherwise: all statements or none.

        Args:
            as_: `owner` also admits indexes, views, types, sequences, functions and triggers.
        """
        await self._post("exec_ddl", database_id=database_id, ddl=ddl, env=env, as_=as_)

    async def rehearse_ddl(
        self,
        database_id: int,
        ddl: str,
        *,
        env: Environments | None = None,
        as_: Audience | None = None,
    ) -> models.Rehearsal:
        """What DDL would change and lock; nothing is kept."""
        told = await self._post(
            "exec_ddl", database_id=database_id, ddl=ddl, env=env, as_=as_, dry_run=True
        )
        return models.Rehearsal.of(told)

    async def exec_dml(
        self,
        database_id: int,
        dml: str,
        *,
        params: Sequence[Any] | None = None,
        env: Environment = "prod",
        as_: Audience | None = None,
        app_id: str | None = None,
        read_only: bool | None = None,
        dry_run: bool | None = None,
        explain: Literal["plan", "analyze"] | None = None,
        rows: Literal["objects", "arrays"] | None = None,
    ) -> models.Result:
        """Run statements in one transaction: all of them or none.

        Args:
            params: of one statement; a list of lists runs it once for each.
            app_id: the application whose end user acts.
            rows: how they are answered; as objects if not said.
        """
        told = await self._post(
            "exec_dml",
            database_id=database_id,
            dml=dml,
            params=params,
            env=env,
            as_=as_,
            app_id=app_id,
            read_only=read_only,
            dry_run=dry_run,
            explain=explain,
            rows=rows,
        )
        return models.Result.of(told)

    async def stream_rows(
        self,
        database_id: int,
        dml: str,
        *,
        params: Sequence[Any] | None = None,
        env: Environment = "prod",
        as_: Audience | None = None,
        app_id: str | None = None,
        rows: Literal["objects", "arrays"] | None = None,
    ) -> AsyncIterator[Any]:
        """All rows of one SELECT, as many as there are, while they come."""
        fields = {
            "database_id": database_id,
            "dml": dml,
            "params": params,
            "env": env,
            "as_": as_,
            "app_id": app_id,
            "rows": rows,
            "stream": True,
        }
        async with self._transport.stream("exec_dml", **fields, **self._who) as response:
            is_head, last = True, ""
            try:
                async for line in response.aiter_lines():
                    # The first line has the columns, the last one how it ended.
                    if last and not is_head:
                        yield json.loads(last)
                    elif last:
                        is_head = False
                    last = line
            except httpx.TransportError as error:
                raise errors.StreamBroken("the rows ended before their end") from error
            ended = json.loads(last or "{}")
            if isinstance(ended, dict) and "error" in ended:
                raise errors.of(200, {**ended["error"], "error": ended["error"]})
            if not isinstance(ended, dict) or ended.get("complete") is not True:
                raise errors.StreamBroken("the rows ended before their end")
