from alembic import context
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from shop.models import Base

engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
