"""docs/settings.md: it is what the table of fields says."""

import settings

from nst_jax.orders import words


def test_the_page_is_made_from_the_table():
    assert settings.PAGE.read_text("utf-8") == settings.page(), "run `python scripts/settings.py`"


def test_every_field_has_a_row():
    text = settings.page()
    assert all(f"\n| `{field.name}` |" in text for field in words.FIELDS)
