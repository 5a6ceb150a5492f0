"""First answers, by their Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Two statements, for the second one's snapshot must be younger than the lock: whoever held it
# before has committed by then, and what it stored is seen.
LOCK = """
CREATE FUNCTION pgtwin.lock_idempotency_key(number bigint, of_caller text, of_key text)
RETURNS TABLE (locked boolean, digest bytea, status smallint, body bytea, state varchar)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(number) THEN
        locked := false;
        RETURN NEXT;
        RETURN;
    END IF;
    RETURN QUERY
        SELECT true, i.digest, i.status, i.body, o.state
        FROM pgtwin.idempotency i LEFT JOIN pgtwin.operation o ON o.id = i.operation_id
        WHERE i.caller = of_caller AND i.key = of_key AND i.expires_at > now();
    IF NOT FOUND THEN
        locked := true;
        RETURN NEXT;
    END IF;
END $$
"""
FUNCTION = "FUNCTION pgtwin.lock_idempotency_key(bigint, text, text)"


def upgrade() -> None:
    op.create_table(
        "idempotency",
        sa.Column("caller", sa.String(length=160, collation="C"), nullable=False),
        sa.Column("key", sa.String(length=255, collation="C"), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.SmallInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("operation_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "create_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("caller", "key", name=op.f("pk_idempotency")),
        sa.ForeignKeyConstraint(
            ["operation_id"], ["pgtwin.operation.id"], name=op.f("fk_idempotency_operation_id")
        ),
        schema="pgtwin",
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"], schema="pgtwin")
    op.execute(LOCK)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON pgtwin.idempotency TO pgtwin_control")
    op.execute(f"REVOKE ALL ON {FUNCTION} FROM PUBLIC")
    op.execute(f"GRANT EXECUTE ON {FUNCTION} TO pgtwin_control")


def downgrade() -> None:
    op.execute(f"DROP {FUNCTION}")
    op.drop_table("idempotency", schema="pgtwin")
