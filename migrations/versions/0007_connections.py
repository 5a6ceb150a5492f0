"""Connections of databases, and their roles that are yet to be dropped."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("now()")
    op.create_table(
        "connection",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("database_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=64), server_default="", nullable=False),
        sa.Column("env", sa.String(length=4), nullable=False),
        sa.Column("mode", sa.String(length=10), nullable=False),
        sa.Column("role_id", sa.BigInteger(), nullable=False),
        sa.Column("connection_limit", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=20), server_default="active", nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rotated_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("create_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("update_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("create_by", sa.String(length=64), nullable=False),
        sa.Column("update_by", sa.String(length=64), nullable=False),
        sa.CheckConstraint("env IN ('prod', 'test')", name=op.f("ck_connection_env_is_known")),
        sa.CheckConstraint(
            "mode IN ('read_write', 'read_only')", name=op.f("ck_connection_mode_is_known")
        ),
        sa.CheckConstraint("connection_limit > 0", name=op.f("ck_connection_limit_is_positive")),
        sa.ForeignKeyConstraint(
            ["database_id"],
            ["pgtwin.database_meta.id"],
            name=op.f("fk_connection_database_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
        sa.UniqueConstraint("role_id", name=op.f("uq_connection_role_id")),
        schema="pgtwin",
    )
    op.create_index(
        "ix_connection_database_id", "connection", ["database_id", "id"], schema="pgtwin"
    )
    op.create_index(
        "ix_connection_active_expires_at",
        "connection",
        ["expires_at"],
        schema="pgtwin",
        postgresql_where=sa.text("status = 'active'"),
    )
    op.create_table(
        "retired_role",
        sa.Column("role_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("database_id", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.ForeignKeyConstraint(
            ["database_id"],
            ["pgtwin.database_meta.id"],
            name=op.f("fk_retired_role_database_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("role_id", name=op.f("pk_retired_role")),
        schema="pgtwin",
    )
    op.execute(
        "CREATE TRIGGER touch BEFORE UPDATE ON pgtwin.connection"
        " FOR EACH ROW EXECUTE FUNCTION pgtwin.touch()"
    )
    op.execute("GRANT SELECT, INSERT, UPDATE ON pgtwin.connection TO pgtwin_control")
    op.execute("GRANT SELECT, INSERT, DELETE ON pgtwin.retired_role TO pgtwin_control")


def downgrade() -> None:
    op.drop_table("retired_role", schema="pgtwin")
    op.drop_table("connection", schema="pgtwin")
