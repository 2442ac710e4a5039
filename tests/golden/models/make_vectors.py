"""Writes minilm.json: what the reference implementations make of some texts.

    python tests/golden/models/make_vectors.py

Needs tokenizers, transformers and torch, which the project does not; the tests read the stored file only.
"""

import importlib
import json
import pathlib

from golden.models.minilm import model_folder

tokenizers, transformers, torch = map(importlib.import_module, ("tokenizers", "transformers", "torch"))

FILE = pathlib.Path(__file__).with_name("minilm.json")
TEXTS = (
    "",
    "The chip reads its weights from memory.",
    "Héllo, WORLD! naïve café — don't",
    "你好 means hello",
    "antidisestablishmentarianism & pneumonoultramicroscopicsilicovolcanoconiosis",
    "tabs\tnew\nlines\r  spaces \u00a0\u2003 zero\u200bwidth \u00ad\ufeff\x00\x1b \ufffd end",
    "$5.00 ~100% <tag> [x] {y} a_b `c` ^ | \\ @#",
    "😀 ﬁ ½ ① İstanbul ΑΣ ЁЖ ñ ǆ ß",
    "x" * 100 + " " + "x" * 101,
    "[cls] [mask] ##ing",
    "日本語のテキスト 한국어 العربية हिन्दी",
)
EMBEDDED = 4


def main() -> None:
    """Write the file."""
    folder = str(model_folder())
    tokenizer = tokenizers.Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encoded = [tokenizer.encode(text).ids for text in TEXTS]
    model = transformers.BertModel.from_pretrained(folder)
    rows: list[dict[str, object]] = []
    for text, ids in zip(TEXTS, encoded, strict=True):
        row = {"text": text, "ids": ids}
        if len(rows) < EMBEDDED:
            with torch.no_grad():
                mean = model(torch.tensor([ids])).last_hidden_state[0].mean(dim=0)
            row["embedding"] = [round(float(value), 7) for value in torch.nn.functional.normalize(mean, dim=0)]
        rows.append(row)
    versions = {module.__name__: module.__version__ for module in (tokenizers, transformers, torch)}
    FILE.write_text(json.dumps({"versions": versions, "texts": rows}, ensure_ascii=True, indent=0) + "\n")


if __name__ == "__main__":
    main()
