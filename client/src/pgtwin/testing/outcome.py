"""What becomes of a test's database."""

from pgtwin import PgtwinError
from pgtwin.testing.databases import Database
from pgtwin.testing.session import Session


class Made:
    """
    Attributes:
        told: of a database that is kept, what the test's report says.
    """

    def __init__(self, session: Session, database: Database) -> None:
        self._session, self._database = session, database
        self._is_kept = False
        self.name = f"{database.name} ({database.id})"
        self.told = ""

    def keep(self) -> bool:
        """Let it stay after the run; one that can't be kept is dropped with the others.

        Returns:
            Whether it is kept since now.
        """
        if self.told:
            return False
        try:
            until = self._session.databases.keep(self._database).astimezone()
        except PgtwinError as error:
            self.told = f"the database {self.name} could not be kept: {error.message}"
            return False
        self._is_kept = True
        way = self._session.service.way_to_look(self._database.id)
        self.told = f"the database {self.name} is kept until {until:%Y-%m-%d %H:%M %Z}:\n  {way}"
        return True

    def end(self) -> None:
        """Drop it, or what is left of it for a while: the logins behind its URLs.

        Raises:
            PgtwinError
        """
        if self._is_kept:
            self._database.end_connections()
        else:
            self._session.databases.drop(self._database)
