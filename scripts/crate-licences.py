#!/usr/bin/env python3
"""Prints the licences and notices of all crates that are linked into the program.

    scripts/crate-licences.py > CRATES.txt

Asks cargo for the crates of `Cargo.lock` that the program (not its build or its tests) depends on,
and prints each licence text that they hold once, after the names of the crates that hold it. Of a
crate without a text, its manifest's licence is printed.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|notice|copyright)([-_.].*)?$", re.IGNORECASE)
SOURCE_SUFFIXES = {".rs", ".c", ".h", ".cc", ".cpp", ".py", ".js", ".html", ".go", ".pl"}


def linked_packages(metadata):
    """Packages that the root depends on, but for those that only build or test it."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting, seen = [metadata["resolve"]["root"]], set()
    while waiting:
        package = waiting.pop()
        if package in seen:
            continue
        seen.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    seen.remove(metadata["resolve"]["root"])
    packages = [package for package in metadata["packages"] if package["id"] in seen]
    return sorted(packages, key=lambda package: (package["name"], package["version"]))


def licence_texts(folder):
    for path in sorted(folder.rglob("*")):
        if LICENCE_FILE.match(path.name) and path.suffix not in SOURCE_SUFFIXES and path.is_file():
            yield path.read_text(errors="replace").strip()


def main():
    arguments = ["cargo", "metadata", "--locked", "--format-version", "1"]
    host = re.search(r"^host: (.*)$", subprocess.check_output(["rustc", "-vV"], text=True), re.MULTILINE)
    metadata = json.loads(subprocess.check_output([*arguments, "--filter-platform", host[1]]))
    holders, without = {}, []
    for package in linked_packages(metadata):
        name = f"{package['name']} {package['version']}"
        texts = set(licence_texts(Path(package["manifest_path"]).parent))
        for text in texts:
            holders.setdefault(text, []).append(name)
        if not texts:
            authors = ", ".join(package["authors"]) or "authors not named"
            without.append(f"{name}: {package['license'] or 'no licence named'} ({authors})")
    out = sys.stdout
    out.write("Licences and notices of the crates that are part of posedata.\n")
    for text, names in sorted(holders.items(), key=lambda item: item[1]):
        out.write(f"\n{'=' * 80}\n{', '.join(names)}\n{'=' * 80}\n\n{text}\n")
    out.write(f"\n{'=' * 80}\nCrates that hold no text, with the licence that they name\n{'=' * 80}\n\n")
    out.write("\n".join(without) + "\n")


if __name__ == "__main__":
    main()
