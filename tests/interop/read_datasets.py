#!/usr/bin/env python3
"""Loads datasets as training tools load them.

    python -m venv venv && venv/bin/pip install -r tests/interop/requirements-datasets.txt
    venv/bin/python tests/interop/read_datasets.py llm_training_data/gait ...

Each folder is a dataset that `posedata dataset build` made. JSON Lines and Parquet are read with the
`datasets` library and must hold the same; given folders of several formats that were built from
the same examples, those must say the same too. Where TRL is installed (requirements-trl.txt; it
needs no torch for this), its own functions take every row: what they make of it must be the chat.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import jsonschema
import pyarrow.parquet
from datasets import disable_progress_bars, load_dataset
from huggingface_hub import DatasetCard

try:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast
    from trl import data_utils as trl
except ImportError:
    trl = None

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
SPLITS = ("train", "valid")
HUB_SPLITS = {"train": "train", "valid": "validation"}
COLUMNS = {
    "messages": ["id", "task", "messages"],
    "alpaca": ["id", "task", "system", "instruction", "input", "output"],
    "sharegpt": ["id", "task", "conversations"],
    "prompt-completion": ["id", "task", "prompt", "completion"],
}
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def check(condition, what):
    if not condition:
        sys.exit(f"not as it should be: {what}")


def chatml(messages):
    return "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)


def messages_of(dataset_format, row):
    """The chat of a row, whatever its format."""
    if dataset_format == "messages":
        return row["messages"]
    if dataset_format == "sharegpt":
        return [{"role": turn["from"], "content": turn["value"]} for turn in row["conversations"]]
    if dataset_format == "prompt-completion":
        return row["prompt"] + row["completion"]
    question = "\n\n".join(part for part in (row["instruction"], row["input"]) if part)
    system = [{"role": "system", "content": row["system"]}] if row["system"] else []
    return system + [{"role": "user", "content": question}, {"role": "assistant", "content": row["output"]}]


def check_chat(messages, what):
    roles = [message["role"] for message in messages]
    check(roles in (["user", "assistant"], ["system", "user", "assistant"]), f"{what}: roles {roles}")
    check(all(message["content"].strip() for message in messages), f"{what}: an empty message")


def chatml_tokenizer():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a")))
    tokenizer.chat_template = CHATML
    return tokenizer


def check_with_trl(dataset_format, row, tokenizer, what):
    """What TRL's trainers do with a row before they tokenize it."""
    messages = messages_of(dataset_format, row)
    if dataset_format == "alpaca":
        # TRL has no columns for it: two of its own are made, as its documentation tells.
        row = {"prompt": chatml(messages[:-1]), "completion": row["output"]}
        check(not trl.is_conversational(row), f"{what}: texts taken for a chat")
        check(trl.maybe_apply_chat_template(row, tokenizer) == row, f"{what}: texts changed by TRL")
        return
    if dataset_format == "sharegpt":
        check(trl.is_conversational_from_value(row), f"{what}: no chat with from and value")
        row = trl.maybe_convert_to_chatml(row)
        check(row["messages"] == messages, f"{what}: changed by TRL's conversion")
    check(trl.is_conversational(row), f"{what}: no chat")
    made = trl.maybe_apply_chat_template(row, tokenizer)
    if dataset_format == "prompt-completion":
        prompt = chatml(messages[:-1]) + "<|im_start|>assistant\n"
        check(made["prompt"] == prompt, f"{what}: prompt {made['prompt']!r}")
        check(prompt + made["completion"] == chatml(messages), f"{what}: completion {made['completion']!r}")
    else:
        check(made["text"] == chatml(messages), f"{what}: text {made['text']!r}")


def load(kind, path, cache):
    return load_dataset(kind, data_files=str(path), split="train", cache_dir=cache)


def read_split(folder, split, dataset_format, cache):
    """Rows of a split as its Parquet file has them, checked against its JSON Lines."""
    columns = COLUMNS[dataset_format]
    lines = folder / f"{split}.jsonl"
    if lines.stat().st_size == 0:
        # `datasets` refuses every file without rows; Arrow does not.
        table = pyarrow.parquet.read_table(folder / f"{split}.parquet")
        check(table.column_names == columns, f"{folder}: columns {table.column_names}")
        check(table.num_rows == 0, f"{lines}: no lines, but rows of Parquet")
        return []
    table = load("parquet", folder / f"{split}.parquet", cache)
    check(table.column_names == columns, f"{folder}: columns {table.column_names}")
    rows = table.to_list()
    from_lines = load("json", lines, cache)
    check(from_lines.column_names == columns, f"{lines}: columns {from_lines.column_names}")
    check(from_lines.to_list() == rows, f"{lines}: other rows than Parquet")
    with lines.open() as file:
        check([json.loads(line) for line in file] == rows, f"{lines}: other rows than `datasets` reads")
    return rows


def check_card(folder, rows, cache):
    """The card as the hub parses it, and the whole folder as `load_dataset` takes it by the card."""
    data = DatasetCard.load(folder / "README.md", ignore_metadata_errors=False).data.to_dict()
    for key in ("pretty_name", "license", "language", "task_categories", "size_categories", "tags", "configs"):
        check(data.get(key), f"{folder}: no {key} in the card")
    check(all(isinstance(language, str) for language in data["language"]), f"{folder}: a language that is no text")
    wanted = {HUB_SPLITS[split]: of_split for split, of_split in rows.items() if of_split}
    loaded = load_dataset(str(folder), cache_dir=cache)
    found = {split: table.to_list() for split, table in loaded.items()}
    check(found == wanted, f"{folder}: {list(found)} instead of {list(wanted)}, or other rows")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders of datasets")
    parser.add_argument("--trl", action="store_true", help="fail where TRL is not installed")
    arguments = parser.parse_args()
    check(trl or not arguments.trl, "TRL is not installed")
    disable_progress_bars()
    tokenizer = chatml_tokenizer() if trl else None
    chats = {}
    with tempfile.TemporaryDirectory() as caches:
        for number, folder in enumerate(arguments.folders):
            # `datasets` takes folders of the same name for the same dataset.
            cache = str(Path(caches) / str(number))
            manifest = json.loads((folder / "dataset.json").read_text())
            dataset_format = manifest["format"]
            schema_file = SCHEMAS / f"dataset_{dataset_format.replace('-', '_')}.schema.json"
            schema = jsonschema.Draft202012Validator(json.loads(schema_file.read_text()))
            counts = {}
            rows_of = {split: read_split(folder, split, dataset_format, cache) for split in SPLITS}
            check_card(folder, rows_of, cache)
            for split, rows in rows_of.items():
                counts[split] = len(rows)
                for row in rows:
                    what = f"{folder}: {split} example {row['id']}"
                    check(schema.is_valid(row), f"{what}: not as {schema_file.name} says")
                    chat = messages_of(dataset_format, row)
                    check_chat(chat, what)
                    known = chats.setdefault((manifest["name"], row["id"]), (split, row["task"], chat))
                    check(known == (split, row["task"], chat), f"{what}: differs from another format")
                    if trl:
                        check_with_trl(dataset_format, row, tokenizer, what)
            check(counts["train"] > 0, f"{folder}: nothing to train on")
            readers = "datasets and TRL read" if trl else "datasets reads"
            print(f"{folder}: {dataset_format} as {readers} it: {counts['train']} train, {counts['valid']} valid")


if __name__ == "__main__":
    main()
