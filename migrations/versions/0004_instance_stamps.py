"""Instance leases: a row for each number, which keeps how far ids with it are stamped."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "instance_lease",
        sa.Column("stamped_until", sa.BigInteger(), server_default="0", nullable=False),
        schema="pgtwin",
    )
    op.execute(
        "UPDATE pgtwin.instance_lease"
        " SET stamped_until = CAST(extract(epoch FROM expires_at) * 1000 AS bigint)"
    )
    op.execute(
        "INSERT INTO pgtwin.instance_lease (instance, holder, expires_at)"
        " SELECT number, '', to_timestamp(0) FROM generate_series(0, 1023) AS number"
        " ON CONFLICT (instance) DO NOTHING"
    )
    op.execute("REVOKE INSERT, DELETE ON pgtwin.instance_lease FROM pgtwin_control")


def downgrade() -> None:
    op.execute("GRANT INSERT, DELETE ON pgtwin.instance_lease TO pgtwin_control")
    op.execute("DELETE FROM pgtwin.instance_lease WHERE expires_at <= now()")
    op.drop_column("instance_lease", "stamped_until", schema="pgtwin")
