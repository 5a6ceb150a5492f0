"""Let the answer to a call be stored in its transaction, which is a tenant's."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The token is the service's signature for this session and this answer; and an answer that
    # counts is not replaced, so the token works once.
    op.execute(
        """
        CREATE FUNCTION pgtwin_rt.keep_answer(
            token text, caller text, key text, digest bytea, status int, body bytea,
            retention double precision
        ) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            IF token IS DISTINCT FROM pgtwin_admin.signature(concat_ws(':', 'answer',
                pg_backend_pid(), session_user, encode(digest, 'hex'), caller, key))
            THEN
                RAISE EXCEPTION 'no such answer' USING ERRCODE = '42501';
            END IF;
            INSERT INTO pgtwin.idempotency AS kept
                (caller, key, digest, status, body, expires_at)
            VALUES ($2, $3, $4, $5, $6, now() + make_interval(secs => $7))
            ON CONFLICT ON CONSTRAINT pk_idempotency DO UPDATE
            SET digest = excluded.digest, status = excluded.status, body = excluded.body,
                operation_id = NULL, create_at = now(), expires_at = excluded.expires_at
            WHERE kept.expires_at <= now() OR kept.operation_id IS NOT NULL;
            IF NOT FOUND THEN
                RAISE EXCEPTION 'there is an answer' USING ERRCODE = '42501';
            END IF;
        END $$
        """
    )


def downgrade() -> None:
    op.execute(
        "DROP FUNCTION pgtwin_rt.keep_answer(text, text, text, bytea, int, bytea, double precision)"
    )
