"""Operations: work in several transactions, with a lease."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operation",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("step", sa.String(length=40), server_default="", nullable=False),
        sa.Column("done", sa.Integer(), server_default="0", nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("uid", sa.String(length=64, collation="C"), nullable=False),
        sa.Column("database_id", sa.BigInteger(), nullable=False),
        sa.Column("arguments", postgresql.JSONB(), nullable=False),
        sa.Column("error", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="1", nullable=False),
        *(
            sa.Column(
                name, sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
            )
            for name in ("heartbeat_at", "create_at", "update_at")
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operation")),
        schema="pgtwin",
    )
    op.create_index(
        "ix_operation_heartbeat_at",
        "operation",
        ["heartbeat_at"],
        schema="pgtwin",
        postgresql_where=sa.text("state IN ('scheduling', 'running', 'cancelling')"),
    )
    op.create_index("ix_operation_database_id", "operation", ["database_id"], schema="pgtwin")
    op.create_index("ix_operation_uid", "operation", ["uid", "id"], schema="pgtwin")
    op.execute(
        "CREATE TRIGGER touch BEFORE UPDATE ON pgtwin.operation "
        "FOR EACH ROW EXECUTE FUNCTION pgtwin.touch()"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON pgtwin.operation TO pgtwin_control")


def downgrade() -> None:
    op.drop_table("operation", schema="pgtwin")
