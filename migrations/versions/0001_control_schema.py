"""The control schema: databases, their schemas, keys, audit, instance leases."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# What the service's login may do, and nothing else: the audit can't be rewritten.
GRANTS = (
    "SELECT, INSERT, UPDATE ON pgtwin.database_meta",
    "SELECT, INSERT, UPDATE, DELETE ON pgtwin.schema_meta",
    "SELECT, INSERT, UPDATE (expires_at, revoked_at, last_used_at) ON pgtwin.api_key",
    "SELECT, INSERT ON pgtwin.audit_entry",
    "SELECT, INSERT, UPDATE, DELETE ON pgtwin.instance_lease",
    "SELECT ON pgtwin.alembic_version",
)

TOUCH = """
CREATE FUNCTION pgtwin.touch() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    NEW.update_at := now();
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "api_key",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("prefix", sa.String(length=12, collation="C"), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("name", sa.String(length=64), server_default="", nullable=False),
        sa.Column("uid", sa.String(length=64, collation="C"), nullable=True),
        sa.Column("app_id", sa.String(length=64), nullable=True),
        sa.Column(
            "spaces", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column(
            "scopes", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False
        ),
        sa.Column(
            "create_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("create_by", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_key")),
        sa.UniqueConstraint("prefix", name=op.f("uq_api_key_prefix")),
        schema="pgtwin",
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "create_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("sid", sa.String(length=64), nullable=False),
        sa.Column("uid", sa.String(length=64), nullable=False),
        sa.Column("app_id", sa.String(length=64), server_default="", nullable=False),
        sa.Column("key_id", sa.BigInteger(), nullable=True),
        sa.Column("action", sa.String(length=40), nullable=False),
        sa.Column("database_id", sa.BigInteger(), nullable=True),
        sa.Column(
            "details", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
        schema="pgtwin",
    )
    op.create_index(
        "ix_audit_entry_database_id",
        "audit_entry",
        ["database_id", "id"],
        unique=False,
        schema="pgtwin",
    )
    op.create_index(
        "ix_audit_entry_uid", "audit_entry", ["uid", "id"], unique=False, schema="pgtwin"
    )
    op.create_table(
        "database_meta",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("uid", sa.String(length=64, collation="C"), nullable=False),
        sa.Column("name", sa.String(length=20, collation="C"), nullable=False),
        sa.Column("description", sa.String(length=200), nullable=True),
        sa.Column(
            "space_id", sa.String(length=64, collation="C"), server_default="", nullable=False
        ),
        sa.Column("status", sa.String(length=20), server_default="ready", nullable=False),
        sa.Column("cluster_id", sa.String(length=64), server_default="", nullable=False),
        sa.Column("template", sa.String(length=64), nullable=True),
        sa.Column("template_version", sa.String(length=64), nullable=True),
        sa.Column(
            "create_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "update_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("create_by", sa.String(length=64), nullable=False),
        sa.Column("update_by", sa.String(length=64), nullable=False),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("id >= 2147483648", name=op.f("ck_database_meta_id_is_wide")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_database_meta")),
        schema="pgtwin",
    )
    op.create_index(
        "ix_database_meta_name", "database_meta", ["name"], unique=False, schema="pgtwin"
    )
    op.create_index(
        "ix_database_meta_space_id",
        "database_meta",
        ["space_id", "id"],
        unique=False,
        schema="pgtwin",
    )
    op.create_index(
        "ix_database_meta_uid", "database_meta", ["uid", "id"], unique=False, schema="pgtwin"
    )
    op.create_index(
        "uq_database_meta_live_name",
        "database_meta",
        ["uid", "space_id", "name"],
        unique=True,
        schema="pgtwin",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "instance_lease",
        sa.Column("instance", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("instance", name=op.f("pk_instance_lease")),
        schema="pgtwin",
    )
    op.create_table(
        "schema_meta",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("database_id", sa.BigInteger(), nullable=False),
        sa.Column("env", sa.String(length=4), nullable=False),
        sa.Column("schema_name", sa.String(length=63, collation="C"), nullable=False),
        sa.Column(
            "create_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column(
            "update_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("create_by", sa.String(length=64), nullable=False),
        sa.Column("update_by", sa.String(length=64), nullable=False),
        sa.CheckConstraint("env IN ('prod', 'test')", name=op.f("ck_schema_meta_env_is_known")),
        sa.ForeignKeyConstraint(
            ["database_id"],
            ["pgtwin.database_meta.id"],
            name=op.f("fk_schema_meta_database_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_schema_meta")),
        schema="pgtwin",
    )
    op.create_index(
        "uq_schema_meta_database_id_env",
        "schema_meta",
        ["database_id", "env"],
        unique=True,
        schema="pgtwin",
    )
    op.create_index(
        "uq_schema_meta_schema_name", "schema_meta", ["schema_name"], unique=True, schema="pgtwin"
    )
    op.execute(TOUCH)
    for table in ("database_meta", "schema_meta"):
        op.execute(
            f"CREATE TRIGGER touch BEFORE UPDATE ON pgtwin.{table} "
            "FOR EACH ROW EXECUTE FUNCTION pgtwin.touch()"
        )
    for rights in GRANTS:
        op.execute(f"GRANT {rights} TO pgtwin_control")


def downgrade() -> None:
    for table in ("schema_meta", "database_meta", "api_key", "audit_entry", "instance_lease"):
        op.drop_table(table, schema="pgtwin")
    op.execute("DROP FUNCTION pgtwin.touch()")
