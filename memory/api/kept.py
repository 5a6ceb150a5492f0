"""Answers that are stored in the transaction of a tenant's session."""

from collections.abc import Callable

from starlette.responses import Response

from core.postgres.context import answer_token
from core.postgres.passwords import context_key
from core.postgres.tenant_connection import TenantConnection
from memory.idempotency.service import Claim
from memory.services import Services
from memory.statements.place import Place
from memory.statements.run import Run
from memory.statements.service import Keep

JSON = "application/json"
_KEEP = "SELECT pgtwin_rt.keep_answer($1, $2, $3, $4, $5, $6, $7)"


class KeptAnswer:
    """The answer to a call, made once: where the request has a claim, before the commit.

    Args:
        claim: None: the request came without a key.
        render: the answer's body, from what the call gave.
    """

    def __init__(self, services: Services, claim: Claim | None) -> None:
        self._retention = services.settings.idempotency_retention
        self._secret = services.master_secret
        self._claim = claim
        self._body: bytes | None = None

    def keeping(self, render: Callable[[Run], bytes]) -> Keep | None:
        """What stores the answer as the last thing in the call's transaction."""
        claim = self._claim
        if claim is None:
            return None

        async def keep(session: TenantConnection, place: Place, run: Run) -> None:
            self._body = render(run)
            token = answer_token(
                context_key(self._secret),
                session.get_server_pid(),
                place.login.name,
                claim.digest,
                claim.caller,
                claim.key,
            )
            await session.run(
                _KEEP,
                (
                    token,
                    claim.caller,
                    claim.key,
                    f"\\x{claim.digest.hex()}",
                    200,
                    f"\\x{self._body.hex()}",
                    self._retention,
                ),
            )

        return keep

    def response(self, run: Run, render: Callable[[Run], bytes]) -> Response:
        return Response(self._body or render(run), media_type=JSON)
