from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from shop.models import Order, Product
from shop.orders import OutOfStock, in_stock, place_order


def stock(session: Session, name: str) -> int:
    return session.scalars(select(Product.stock).where(Product.name == name)).one()


def test_an_order_has_its_price_and_takes_from_stock(session: Session) -> None:
    order = place_order(session, "Ada", {"tea": 2, "cup": 1})
    session.commit()
    assert order.total == Decimal("18.00")
    assert (stock(session, "tea"), stock(session, "cup")) == (8, 0)


def test_what_another_test_ordered_is_in_stock(session: Session) -> None:
    place_order(session, "Bob", {"cup": 1})
    session.commit()
    assert stock(session, "cup") == 0


def test_an_order_of_too_many_changes_nothing(session: Session) -> None:
    with pytest.raises(OutOfStock, match="cup"):
        place_order(session, "Ada", {"tea": 2, "cup": 2})
    session.rollback()
    assert (stock(session, "tea"), stock(session, "cup")) == (10, 1)
    assert session.scalar(select(func.count()).select_from(Order)) == 0


def test_the_last_one_is_sold_once(engine: Engine) -> None:
    """Real transactions, which a test inside a transaction could not have."""

    def buy(customer: str) -> bool:
        with Session(engine) as session:
            try:
                place_order(session, customer, {"cup": 1})
            except OutOfStock:
                return False
            session.commit()
            return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(buy, ["Ada", "Bob", "Cid", "Dot"])) == 1


async def test_what_is_in_stock(async_session: AsyncSession) -> None:
    assert await in_stock(async_session) == ["cup", "tea"]
    await async_session.execute(Product.__table__.update().values(stock=0))
    assert await in_stock(async_session) == []
