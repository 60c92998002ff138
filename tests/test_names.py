"""nst_jax.recipes.names: the grammar of modes of colours."""

import pytest

from nst_jax.recipes import names


def test_modes_of_colours():
    for name in names.COLOURS:
        if name != "palette":
            assert names.parse_colour(name) == (name, "")
    assert names.parse_colour("palette:a:b.jpg") == ("palette", "a:b.jpg")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("match-chl", "did you mean match-chol?"),
        ("palete:town.jpg", "did you mean palette:FILE?"),
        ("palette", "did you mean palette:FILE?"),
        ("palette:", "did you mean palette:FILE?"),
        ("style:town.jpg", "did you mean style?"),
        ("luminance", "did you mean content-luminance?"),
        ("", "style is usual"),
    ],
)
def test_a_wrong_mode_of_colours_is_said_with_the_choices(text, hint):
    with pytest.raises(ValueError, match=r"^colour must be one of style, .*, palette:FILE, only, got ") as error:
        names.parse_colour(text)
    assert str(error.value).endswith(f", got {text!r}: {hint}")
