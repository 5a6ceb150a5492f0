import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    op.create_table(
        "order",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column("customer", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_order"),
    )
    op.create_index("ix_order_customer", "order", ["customer"])
    op.create_table(
        "line",
        sa.Column("order_id", sa.BigInteger, nullable=False),
        sa.Column("product_id", sa.BigInteger, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("price", sa.Numeric(10, 2), nullable=False),
        sa.ForeignKeyConstraint(["order_id"], ["order.id"], name="fk_line_order_id"),
        sa.ForeignKeyConstraint(["product_id"], ["product.id"], name="fk_line_product_id"),
        sa.PrimaryKeyConstraint("order_id", "product_id", name="pk_line"),
    )
    # What every shop begins with is in each test's copy as well.
    op.execute("INSERT INTO product (name, price, stock) VALUES ('tea', 4.50, 10), ('cup', 9, 1)")


def downgrade() -> None:
    op.drop_table("line")
    op.drop_table("order")
