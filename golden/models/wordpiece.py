"""Text to tokens as BERT does it: uncased basic tokenisation, then WordPiece.

Ref: J. Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers", section 3 and the rules of
its published tokeniser; M. Schuster and K. Nakajima, "Japanese and Korean voice search" (WordPiece).
"""

import unicodedata
from collections.abc import Iterator, Sequence

#: letters of a word above which it is unknown without a search
MAX_WORD = 100
#: code points of ideographs, each of which is a word by itself
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """Tokeniser of a vocabulary.

    vocabulary: tokens in the order of their numbers; continuations of a word begin with ``##``. It must
                hold ``[UNK]``, ``[CLS]`` and ``[SEP]``.

    Raises ValueError for a vocabulary without one of them or with a token twice.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self.vocabulary = tuple(vocabulary)
        self._numbers = {token: index for index, token in enumerate(self.vocabulary)}
        if len(self._numbers) != len(self.vocabulary):
            raise ValueError(f"Vocabulary must not repeat a token, not hold {self._repeated()!r} twice")
        for token in ("[UNK]", "[CLS]", "[SEP]"):
            if token not in self._numbers:
                raise ValueError(f"Vocabulary must hold {token}, not only {len(self.vocabulary)} other tokens")

    def encode(self, text: str) -> list[int]:
        """Numbers of the tokens of a text, between those of ``[CLS]`` and ``[SEP]``.

        Names of special tokens in the text are plain text.
        """
        pieces = [piece for word in words(text) for piece in self._pieces(word)]
        return [self._numbers[token] for token in ("[CLS]", *pieces, "[SEP]")]

    def tokens(self, numbers: Sequence[int]) -> list[str]:
        """Tokens of their numbers."""
        return [self.vocabulary[number] for number in numbers]

    def _pieces(self, word: str) -> list[str]:
        """The longest token that begins the word, then the longest that continues it, and so on."""
        if len(word) > MAX_WORD:
            return ["[UNK]"]
        pieces: list[str] = []
        start = 0
        while start < len(word):
            prefix = "##" if start else ""
            ends = range(len(word), start, -1)
            end = next((end for end in ends if prefix + word[start:end] in self._numbers), None)
            if end is None:
                return ["[UNK]"]
            pieces.append(prefix + word[start:end])
            start = end
        return pieces

    def _repeated(self) -> str:
        return next(token for index, token in enumerate(self.vocabulary) if self._numbers[token] != index)


def words(text: str) -> list[str]:
    """Words and punctuation marks of a text: lower case, without accents and control characters."""
    cleaned = "".join(_clean(text))
    lower = "".join(char.lower() for char in cleaned)  # each by itself, so a final sigma is no special case
    plain = "".join(char for char in unicodedata.normalize("NFD", lower) if unicodedata.category(char) != "Mn")
    return [word for chunk in plain.split() for word in _split_punctuation(chunk)]


def _clean(text: str) -> Iterator[str]:
    for char in text:
        code = ord(char)
        if char in "\t\n\r" or unicodedata.category(char) == "Zs":
            yield " "
        elif code in (0, 0xFFFD) or unicodedata.category(char) in ("Cc", "Cf", "Cn", "Co"):
            continue
        elif any(low <= code <= high for low, high in _IDEOGRAPHS):
            yield f" {char} "
        else:
            yield char


def _split_punctuation(chunk: str) -> Iterator[str]:
    word = ""
    for char in chunk:
        if not _is_punctuation(char):
            word += char
            continue
        if word:
            yield word
        yield char
        word = ""
    if word:
        yield word


def _is_punctuation(char: str) -> bool:
    is_ascii_mark = char.isascii() and char.isprintable() and not char.isalnum() and char != " "
    return is_ascii_mark or unicodedata.category(char).startswith("P")
