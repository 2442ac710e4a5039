"""Tables in a page."""

import pytest

from bench.page import updated

PAGE = "# Title\n\n<!-- one -->\n\n```text\nold\nlines\n```\n\n<!-- two -->\n```text\n```\nend\n"


def test_each_text_goes_to_its_place():
    page = updated(PAGE, {"one": "new \\1", "two": "2"})
    assert page == "# Title\n\n<!-- one -->\n\n```text\nnew \\1\n```\n\n<!-- two -->\n```text\n2\n```\nend\n"
    assert updated(page, {"one": "old\nlines", "two": "2"}) == PAGE.replace("```text\n```", "```text\n2\n```")


def test_other_places_stay():
    assert updated(PAGE, {"two": "2"}).startswith(PAGE[:50])


@pytest.mark.parametrize("page, found", [(PAGE, 0), (PAGE + "<!-- three -->\n```text\n```\n" * 2, 2)])
def test_place_wrong(page, found):
    with pytest.raises(ValueError, match=f"Page must have one place for 'three', not {found}"):
        updated(page, {"three": ""})
