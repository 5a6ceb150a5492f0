"""Tell the workers when a key changes, for they keep what they know of it."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION pgtwin.tell_key_change() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
        BEGIN
            PERFORM pg_notify('pgtwin_keys', OLD.prefix);
            RETURN NULL;
        END $$
        """
    )
    # Not when its use is written down, every few seconds.
    op.execute(
        "CREATE TRIGGER tell_change AFTER DELETE OR UPDATE OF prefix, secret_hash, uid, app_id,"
        " spaces, scopes, expires_at, revoked_at ON pgtwin.api_key"
        " FOR EACH ROW EXECUTE FUNCTION pgtwin.tell_key_change()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_change ON pgtwin.api_key")
    op.execute("DROP FUNCTION pgtwin.tell_key_change()")
