"""Whether a database has no login that may become both environments' owners."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "database_meta",
        sa.Column("owners_apart", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        schema="pgtwin",
    )
    op.execute(
        "CREATE TRIGGER tell_change AFTER UPDATE OF owners_apart ON pgtwin.database_meta"
        " FOR EACH ROW EXECUTE FUNCTION pgtwin.tell_change('database', 'id')"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER tell_change ON pgtwin.database_meta")
    op.drop_column("database_meta", "owners_apart", schema="pgtwin")
