#!/usr/bin/env python3
"""Asks the questions of tests/ask_questions.tsv, and counts right, refused and wrong answers.

    benches/ask.py --posedata PROGRAM --lake DIR --adapter DIR [--json FILE]

Beside each question stands SQL whose first value is in a right answer; where it is NULL nothing was
measured, and where there is no SQL nothing can be told: a refusal is right there. Every question is a
process of its own, as people start it.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

TABLE = Path(__file__).resolve().parent.parent / "tests" / "ask_questions.tsv"
WORST = 20
# Far less than the last digit that an answer shows.
TOLERANCE = 1e-4


def questions():
    lines = [line for line in TABLE.read_text().splitlines() if line and not line.startswith("#")]
    for line in lines[1:]:
        question, _, sql = line.partition("\t")
        yield question, sql.strip()


def run(command):
    done = subprocess.run(command, capture_output=True, text=True)
    return done, json.loads(done.stdout) if done.returncode == 0 else None


def expected_value(posedata, lake, sql):
    done, rows = run([posedata, "query", "--lake", lake, "-e", sql, "--json"])
    if rows is None:
        sys.exit(f"the SQL fails: {done.stderr}{sql}")
    return next(iter(rows[0].values())) if rows else None


def verdict(answer, expected, is_told):
    refused = answer is None or answer["refused"]
    if not is_told or expected is None:
        return "right" if refused else "wrong"
    if refused:
        return "refused"
    values = [v["value"] for v in answer["values"] if isinstance(v["value"], (int, float))]
    near = any(abs(value - expected) <= TOLERANCE * max(1.0, abs(expected)) for value in values)
    return "right" if near else "wrong"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--posedata", required=True)
    parser.add_argument("--lake", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--json", help="writes every answer there")
    options = parser.parse_args()
    results, counts = [], {"right": 0, "refused": 0, "wrong": 0}
    for question, sql in questions():
        expected = expected_value(options.posedata, options.lake, sql) if sql else None
        command = [options.posedata, "ask", question, "--json", "--quiet"]
        started = time.monotonic()
        done, answer = run([*command, "--lake", options.lake, "--adapter", options.adapter])
        secs = time.monotonic() - started
        outcome = verdict(answer, expected, bool(sql))
        counts[outcome] += 1
        call = (answer or {}).get("call") or (answer or {}).get("answer") or done.stderr.strip()
        probability = (answer or {}).get("probability") or 0.0
        results.append({"question": question, "outcome": outcome, "call": call, "probability": probability,
                        "expected": expected, "secs": secs})
    total = len(results)
    for name, count in counts.items():
        print(f"{name:8} {count:4} of {total} ({100 * count / total:.1f} %)")
    times = sorted(result["secs"] for result in results)
    print(f"from start to exit: median {times[total // 2]:.2f} s, slowest {times[-1]:.2f} s")
    worst = [result for result in results if result["outcome"] == "wrong"]
    worst.sort(key=lambda result: -result["probability"])
    for result in worst[:WORST]:
        print(f"wrong ({result['probability']:.2f}): {result['question']}\n    {result['call']}")
    for result in results:
        if result["outcome"] == "refused":
            print(f"refused ({result['probability']:.2f}): {result['question']}\n    {result['call']}")
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
