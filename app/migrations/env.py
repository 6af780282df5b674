"""Alembic's entry: runs the steps on the connection it is given.

``app.database`` passes its own. The ``alembic`` command (``alembic revision --autogenerate``) gets
one to the database of the settings.
"""

from contextlib import nullcontext

from alembic import context

from app.access import tables as access_tables  # noqa: F401  (fills Base.metadata)
from app.database import Base, open_database
from app.jobs import tables as jobs_tables  # noqa: F401
from app.registry import tables as registry_tables  # noqa: F401
from app.settings import get_settings

given = context.config.attributes.get("connection")

with nullcontext(given) if given else open_database(get_settings()).engine.begin() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
