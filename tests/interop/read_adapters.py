"""Loads adapters and merged models that posedata wrote, as other people's tools do.

    python tests/interop/read_adapters.py FOLDER

FOLDER is what the test `llama_interop` leaves behind: of each model an adapter, a merged folder, a
merged GGUF file, and numbers.json with what posedata computes of them. PEFT applies the adapter to
the base model, transformers loads both merged models, llama.cpp the GGUF file. PEFT tells of most
that goes wrong by a warning at most, so it is checked that it took each tensor, and that the loss
moved.
"""

import argparse
import json
import sys
import urllib.request
import warnings
from pathlib import Path

import peft
import torch
import transformers
from safetensors.torch import load_file

LOGIT_TOLERANCE = 1e-3
NLL_TOLERANCE = 1e-4


def check(is_right, what):
    if not is_right:
        sys.exit(f"FAILED: {what}")


def load(path):
    """A model of transformers in f32: a folder, or a GGUF file."""
    if path.suffix == ".gguf":
        return transformers.AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32
        ).eval()
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, output_loading_info=True
    )
    problems = {key: found for key, found in info.items() if found}
    check(not problems, f"{path}: {problems}")
    return model.eval()


def compute(model, ids):
    """The logits after the last token, and the mean negative log-likelihood of all but the first."""
    with torch.no_grad():
        out = model(input_ids=torch.tensor([ids]), labels=torch.tensor([ids]))
    return out.logits[0, -1], out.loss.item()


def check_logits(found, wanted, what):
    wanted = torch.tensor(wanted)
    check(found.shape == wanted.shape, f"{what}: {found.shape} logits for {wanted.shape}")
    difference = (found - wanted).abs().max().item()
    print(f"  {what}: logits differ by {difference:.1e} at most")
    check(difference < LOGIT_TOLERANCE, what)


def check_adapter(base, folder, numbers):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = peft.PeftModel.from_pretrained(base, folder).eval()
    told = [str(w.message) for w in told if "adapter" in str(w.message)]
    check(not told, f"PEFT warns: {told}")
    stored = load_file(folder / "adapter_model.safetensors")
    taken = {
        name.replace(".default.", "."): tensor
        for name, tensor in model.state_dict().items()
        if "lora_" in name
    }
    check(taken.keys() == stored.keys(), f"other tensors: {taken.keys() ^ stored.keys()}")
    for name, tensor in stored.items():
        check(torch.equal(taken[name].float(), tensor.float()), f"{name} was not taken")
    print(f"  PEFT took all {len(stored)} tensors")
    logits, nll = compute(model, numbers["ids"])
    check_logits(logits, numbers["adapter_logits"], "PEFT's adapter")
    check(abs(nll - numbers["adapter_nll"]) < NLL_TOLERANCE, f"loss {nll}")
    check(abs(nll - numbers["base_nll"]) > 0.01, "the loss did not move")
    print(f"  the loss moved from {numbers['base_nll']:.4f} to {nll:.4f}")


def check_tokenizer(folder, numbers):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(numbers["text"], add_special_tokens=False)["input_ids"]
    check(ids == numbers["ids"], f"tokens: {ids} for {numbers['ids']}")
    text = tokenizer.apply_chat_template(numbers["messages"], tokenize=False)
    check(text == numbers["text"], f"chat template: {text!r} for {numbers['text']!r}")
    print(f"  {len(ids)} tokens and the chat template are the same")


def check_llama_cpp(file, numbers):
    """llama.cpp's own tokens, chat template and most likely next tokens."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(file)
    params.n_ctx = 512
    params.n_gpu_layers = 0
    params.warmup = False
    server = xllamacpp.Server(params)

    def ask(path, question):
        request = urllib.request.Request(
            server.listening_address + path,
            json.dumps(question).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.load(answer)

    question = {"content": numbers["text"], "add_special": False, "parse_special": True}
    ids = ask("/tokenize", question)["tokens"]
    check(ids == numbers["ids"], f"tokens: {ids} for {numbers['ids']}")
    prompt = ask("/apply-template", {"messages": numbers["messages"][:1]})["prompt"]
    check(prompt == numbers["prompt"], f"chat template: {prompt!r} for {numbers['prompt']!r}")
    wanted = numbers["gguf_answer"]
    question = {"prompt": prompt, "n_predict": len(wanted), "temperature": 0, "return_tokens": True}
    found = ask("/completion", question)["tokens"]
    # It stops at the token that ends a turn, which is not among those that it tells.
    check(found and found == wanted[: len(found)], f"answer: {found} for {wanted}")
    print(f"  llama.cpp: {len(ids)} tokens, the chat template and the answer's {len(found)} tokens are the same")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folders = sorted(path.parent for path in parser.parse_args().folder.glob("*/numbers.json"))
    check(folders, "there are no numbers.json")
    for folder in folders:
        print(folder.name)
        numbers = json.loads((folder / "numbers.json").read_text())
        base = load(Path(numbers["base"]))
        logits, nll = compute(base, numbers["ids"])
        check_logits(logits, numbers["base_logits"], "base")
        check(abs(nll - numbers["base_nll"]) < NLL_TOLERANCE, f"loss {nll}")
        check_adapter(base, folder / "adapter", numbers)
        logits, nll = compute(load(folder / "merged"), numbers["ids"])
        check_logits(logits, numbers["adapter_logits"], "merged folder")
        check_tokenizer(folder / "merged", numbers)
        logits, _ = compute(load(folder / "merged.gguf"), numbers["ids"])
        check_logits(logits, numbers["gguf_logits"], "merged GGUF file")
        check_llama_cpp(folder / "merged.gguf", numbers)
    print("all right")


if __name__ == "__main__":
    main()
