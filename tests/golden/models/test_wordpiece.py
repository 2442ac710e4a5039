"""Text to tokens: against the tokeniser that the model was published with, and rule by rule."""

import json
import pathlib

import pytest

from golden.models.minilm import MiniLM
from golden.models.wordpiece import MAX_WORD, WordPiece, words

STORED = json.loads(pathlib.Path(__file__).with_name("minilm.json").read_text())
TOKENS = ("[UNK]", "[CLS]", "[SEP]", "un", "##able", "##ab", "##le", "able", "a", "##b", "##c", "!", "un" + "x" * 98)


@pytest.fixture(scope="module")
def small() -> WordPiece:
    return WordPiece(TOKENS)


def pieces(tokenizer: WordPiece, text: str) -> list[str]:
    numbers = tokenizer.encode(text)
    found = tokenizer.tokens(numbers)
    assert (found[0], found[-1]) == ("[CLS]", "[SEP]")
    return found[1:-1]


@pytest.mark.parametrize("row", STORED["texts"], ids=lambda row: ascii(row["text"])[:20])
def test_same_tokens_as_the_published_tokeniser(model: MiniLM, row: dict[str, object]) -> None:
    assert model.encode(str(row["text"])) == row["ids"]


def test_longest_piece_first(small: WordPiece) -> None:
    assert pieces(small, "unable") == ["un", "##able"]
    assert pieces(small, "unableab") == ["un", "##able", "##ab"]
    assert pieces(small, "able!") == ["able", "!"]


def test_word_that_cannot_be_made_of_pieces(small: WordPiece) -> None:
    assert pieces(small, "unz un") == ["[UNK]", "un"]


def test_long_words(small: WordPiece) -> None:
    word = "un" + "x" * 98
    assert len(word) == MAX_WORD
    assert pieces(small, word) == [word]
    assert pieces(small, word + "x") == ["[UNK]"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Hello", ["hello"]),
        ("don't", ["don", "'", "t"]),
        ("a\u0301b", ["ab"]),
        ("\u00c9", ["e"]),
        ("a\tb\nc\u00a0d", ["a", "b", "c", "d"]),
        ("a\x00b\u200bc\ufffdd", ["abcd"]),
        ("\u4f60\u597d", ["\u4f60", "\u597d"]),
        ("x\u2014y", ["x", "\u2014", "y"]),
        ("$^`~", ["$", "^", "`", "~"]),
        ("", []),
    ],
)
def test_words(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_wrong_vocabulary() -> None:
    with pytest.raises(ValueError, match="Vocabulary must not repeat a token, not hold 'a' twice"):
        WordPiece([*TOKENS, "a"])
    with pytest.raises(ValueError, match=r"Vocabulary must hold \[SEP\], not only 3 other tokens"):
        WordPiece(["[UNK]", "[CLS]", "a"])
