"""Labels, protection, drops that can be undone, and what the reaper puts off."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column(
            "labels",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'"),
            nullable=False,
        ),
        sa.Column("protected", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("restorable_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_roles", postgresql.ARRAY(sa.Text()), nullable=True),
    ):
        op.add_column("database_meta", column, schema="pgtwin")
    op.create_check_constraint(
        op.f("ck_database_meta_only_dropped_is_restorable"),
        "database_meta",
        "restorable_until IS NULL OR deleted_at IS NOT NULL",
        schema="pgtwin",
    )
    # Partial, so that databases without any of these cost nothing.
    op.create_index(
        "ix_database_meta_expires_at",
        "database_meta",
        ["expires_at"],
        schema="pgtwin",
        postgresql_where=sa.text("expires_at IS NOT NULL AND deleted_at IS NULL"),
    )
    op.create_index(
        "ix_database_meta_restorable_until",
        "database_meta",
        ["restorable_until"],
        schema="pgtwin",
        postgresql_where=sa.text("restorable_until IS NOT NULL"),
    )
    op.create_index(
        "ix_database_meta_labels",
        "database_meta",
        ["labels"],
        schema="pgtwin",
        postgresql_using="gin",
        postgresql_where=sa.text("labels <> '{}'::jsonb"),
    )
    op.create_table(
        "reaper_delay",
        sa.Column("database_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["database_id"],
            ["pgtwin.database_meta.id"],
            name=op.f("fk_reaper_delay_database_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("database_id", name=op.f("pk_reaper_delay")),
        schema="pgtwin",
    )
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON pgtwin.reaper_delay TO pgtwin_control")


def downgrade() -> None:
    op.drop_table("reaper_delay", schema="pgtwin")
    for index in ("labels", "restorable_until", "expires_at"):
        op.drop_index(f"ix_database_meta_{index}", "database_meta", schema="pgtwin")
    op.drop_constraint(
        op.f("ck_database_meta_only_dropped_is_restorable"), "database_meta", schema="pgtwin"
    )
    for column in ("closed_roles", "restorable_until", "protected", "labels"):
        op.drop_column("database_meta", column, schema="pgtwin")
