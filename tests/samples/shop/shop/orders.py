"""What the shop does, for one session or another."""

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from shop.models import Line, Order, Product


class OutOfStock(Exception):
    """There are not as many as were ordered."""


def place_order(session: Session, customer: str, wanted: Mapping[str, int]) -> Order:
    """Order products by their names, and take them out of stock.

    Raises:
        OutOfStock
    """
    order = Order(customer=customer)
    for name, quantity in sorted(wanted.items()):
        product = session.scalars(
            select(Product).where(Product.name == name).with_for_update()
        ).one()
        if product.stock < quantity:
            raise OutOfStock(name)
        product.stock -= quantity
        order.lines.append(Line(product=product, quantity=quantity, price=product.price))
    session.add(order)
    session.flush()
    return order


async def in_stock(session: AsyncSession) -> list[str]:
    """The names of what can be ordered."""
    found = await session.scalars(
        select(Product.name).where(Product.stock > 0).order_by(Product.name)
    )
    return list(found)
