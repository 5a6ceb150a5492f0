"""Tell the workers when a key changes, or which applications may use a database."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "app_grant",
        sa.Column("database_id", sa.BigInteger(), nullable=False),
        sa.Column("app_id", sa.String(length=64, collation="C"), nullable=False),
        sa.Column(
            "create_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("create_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["database_id"],
            ["pgtwin.database_meta.id"],
            name=op.f("fk_app_grant_database_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("database_id", "app_id", name=op.f("pk_app_grant")),
        schema="pgtwin",
    )
    op.execute("GRANT SELECT, INSERT, DELETE ON pgtwin.app_grant TO pgtwin_control")
    op.execute(
        """
        CREATE FUNCTION pgtwin.tell_change() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM pg_notify('pgtwin_changes', TG_ARGV[0] || ' ' ||
                (to_jsonb(CASE WHEN TG_OP = 'INSERT' THEN NEW ELSE OLD END) ->> TG_ARGV[1]));
            RETURN NULL;
        END $$
        """
    )
    # Not when its use is written down, every few seconds.
    op.execute(
        "CREATE TRIGGER tell_change AFTER DELETE OR UPDATE OF prefix, secret_hash, uid, app_id,"
        " spaces, scopes, expires_at, revoked_at ON pgtwin.api_key"
        " FOR EACH ROW EXECUTE FUNCTION pgtwin.tell_change('key', 'prefix')"
    )
    op.execute(
        "CREATE TRIGGER tell_change AFTER INSERT OR DELETE ON pgtwin.app_grant"
        " FOR EACH ROW EXECUTE FUNCTION pgtwin.tell_change('database', 'database_id')"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_change ON pgtwin.api_key")
    op.drop_table("app_grant", schema="pgtwin")
    op.execute("DROP FUNCTION pgtwin.tell_change()")
