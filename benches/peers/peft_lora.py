"""Times LoRA with PEFT on the files and tokens that posedata trains on, and writing with transformers.

    python benches/peers/peft_lora.py --model FOLDER --data ROWS.json --batch 4 --mode f32
    python benches/peers/peft_lora.py --model FOLDER --data ROWS.json --write 64 --mode f32

FOLDER is the base model as safetensors, as posedata's merged export writes it with an adapter
that changes nothing. ROWS.json is a list of {"input_ids": [...], "labels": [...]}; a label is -100
where a token is not in the loss, and is compared with the token that the model predicts for its
place. Step i trains on rows i*batch to (i+1)*batch, from the beginning again after the last.

--mode f32     as installed
--mode medium  f32 with torch.set_float32_matmul_precision("medium")
--mode bf16    the base model in bfloat16 (PEFT keeps the adapter in f32)
--compile      torch.compile around the model
--adapter DIR  begins with this adapter in place of PEFT's own random one
--write N      trains nothing: reads the first row but for its last N tokens, then these one by one
               with the cache of keys and values, and prints the tokens per second of both

Prints one JSON object: tokens_per_sec (all tokens of a step over its median duration, after the
warm-up), losses (the mean over the tokens in the loss, before each update), peak_rss_bytes.
It needs torch, transformers and peft (tests/interop/requirements-peft.txt).
"""

import argparse
import json
import resource
import statistics
import time

PADDING_LABEL = -100


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=6, help="steps that are timed")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--mode", choices=["f32", "medium", "bf16"], default="f32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--adapter")
    parser.add_argument("--write", type=int, metavar="N")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=16)
    parser.add_argument("--targets", default="q_proj,k_proj,v_proj,o_proj")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--threads", type=int, help="as many as there are cores unless given")
    return parser.parse_args()


def main():
    args = arguments()
    import peft
    import torch
    import transformers

    if args.threads:
        torch.set_num_threads(args.threads)
    if args.mode == "medium":
        torch.set_float32_matmul_precision("medium")
    torch.manual_seed(0)
    dtype = torch.bfloat16 if args.mode == "bf16" else torch.float32
    base = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype)
    if args.write:
        with open(args.data) as file:
            ids = json.load(file)[0]["input_ids"]
        print(json.dumps(write(torch, base, ids, args.write)))
        return
    if args.adapter:
        model = peft.PeftModel.from_pretrained(base, args.adapter, is_trainable=True)
    else:
        config = peft.LoraConfig(
            r=args.rank,
            lora_alpha=args.alpha,
            target_modules=args.targets.split(","),
            task_type="CAUSAL_LM",
        )
        model = peft.get_peft_model(base, config)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.0)
    forward = torch.compile(model) if args.compile else model

    with open(args.data) as file:
        rows = json.load(file)

    def batch(step):
        own = [rows[(step * args.batch + i) % len(rows)] for i in range(args.batch)]
        longest = max(len(row["input_ids"]) for row in own)

        def padded(key, filler):
            return torch.tensor([row[key] + [filler] * (longest - len(row[key])) for row in own])

        ids = padded("input_ids", 0)
        labels = padded("labels", PADDING_LABEL)
        is_text = torch.tensor([[i < len(row["input_ids"]) for i in range(longest)] for row in own])
        inputs = {"input_ids": ids, "labels": labels}
        # Without padding there is nothing to mask, and PyTorch's attention is faster.
        if not is_text.all():
            inputs["attention_mask"] = is_text.long()
        return inputs, int(is_text.sum())

    losses, durations, tokens = [], [], []
    for step in range(args.warmup + args.steps):
        inputs, count = batch(step)
        start = time.perf_counter()
        loss = forward(**inputs).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        duration = time.perf_counter() - start
        losses.append(loss.item())
        if step >= args.warmup:
            durations.append(duration)
            tokens.append(count)
    report = {
        "mode": args.mode + ("+compile" if args.compile else ""),
        "batch": args.batch,
        "threads": torch.get_num_threads(),
        "tokens_per_step": statistics.median(tokens),
        "tokens_per_sec": statistics.median(t / d for t, d in zip(tokens, durations)),
        "step_secs": durations,
        "losses": losses,
        "trained_parameters": sum(p.numel() for p in trained),
        "peak_rss_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "versions": {m.__name__: m.__version__ for m in (torch, transformers, peft)},
    }
    print(json.dumps(report))


def write(torch, model, ids, count):
    """Tokens per second of reading all but the last `count` ids, and of these one by one."""
    model.eval()
    with torch.inference_mode():
        model(input_ids=torch.tensor([ids[:32]]))
        start = time.perf_counter()
        out = model(input_ids=torch.tensor([ids[:-count]]), use_cache=True, logits_to_keep=1)
        read_secs = time.perf_counter() - start
        start = time.perf_counter()
        for token in ids[-count:]:
            cache = out.past_key_values
            out = model(input_ids=torch.tensor([[token]]), past_key_values=cache, use_cache=True)
        written_secs = time.perf_counter() - start
    return {"read": (len(ids) - count) / read_secs, "written": count / written_secs}


if __name__ == "__main__":
    main()
