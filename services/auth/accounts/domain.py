"""Rules of accounts: who is old enough, and what of a contact point may be shown."""

import datetime
import zoneinfo

from services.auth import errors
from services.runtime.errors import FIELD_INVALID, FIELD_REQUIRED

MAX_AGE = 130
"""Years; an earlier birth date is a typing error."""
FREEZE_SCOPES = ("ALL", "KEYS", "SPENDING")


def birth_date(year: int, month: int, day: int, today: datetime.date) -> datetime.date:
    """Return a date of birth. Raises FIELD_INVALID for no day of the calendar, or one that nobody alive was born on."""
    try:
        born = datetime.date(year, month, day)
    except ValueError:
        raise FIELD_INVALID(field="birth_date", limit="be a day of the calendar") from None
    if born > today or today.year - born.year > MAX_AGE:
        raise FIELD_INVALID(field="birth_date", limit="be a possible date of birth")
    return born


def age(born: datetime.date, today: datetime.date) -> int:
    """Return full years. Who was born on 29 February is a year older on 1 March of a common year."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def today(now: datetime.datetime, time_zone: str) -> datetime.date:
    """Return the day that it is at the place of the profile."""
    return now.astimezone(zoneinfo.ZoneInfo(time_zone)).date()


def admit(
    born: datetime.date | None, statement: bool, day: datetime.date, *, minimum: int, date_required: bool
) -> None:
    """Let in who is old enough. Raises FIELD_REQUIRED for a declaration that is missing, AGE_NOT_ALLOWED.

    A date that is given counts even where the statement would do, whatever the statement says.
    """
    if born is None and date_required:
        raise FIELD_REQUIRED(field="birth_date")
    if born is None and not statement:
        raise FIELD_REQUIRED(field="age_statement")
    if born is not None and age(born, day) < minimum:
        raise errors.AGE_NOT_ALLOWED(minimum_age=minimum)


def masked_phone(phone: str) -> str:
    """Return the first three and last two characters: +86*********00."""
    return phone[:3] + "*" * max(0, len(phone) - 5) + phone[-2:] if phone else ""


def masked_email(email: str) -> str:
    """Return the first letter and the last label: b***@***.com."""
    local, _, host = email.rpartition("@")
    return f"{local[:1]}***@***.{host.rpartition('.')[2]}" if local else ""
