#!/usr/bin/env python3
"""Draws the modules of src/ and the imports between them into ARCHITECTURE.md.

    scripts/map.py           rewrite the picture
    scripts/map.py --check   fail where the picture is not the code's

Either way it fails on a circle of files and on an import that runs back: a room (a file or folder
directly in src/) imports only from rooms that stand before it in src/lib.rs.

What counts as an import is a path in code: of `use`, of a type, of a call. `pub use` is none, it
passes on what another file has; a path that leads through it ends in that file. Tests do not count.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
DOCUMENT = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- modules: made by `make map` -->", "<!-- end of modules -->"

# Comments, texts and characters, none of which are paths.
NOISE = re.compile(
    r"""//[^\n]*|/\*.*?\*/|r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?'(?:\\.[^']*|[^'\\])'""", re.DOTALL
)
USE = re.compile(r"(?m)^\s*(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")
PATH = re.compile(r"(?<![\w:.$])((?:crate|super|self|[a-z_]\w*)(?:::[A-Za-z_]\w*)+)")
MOD = re.compile(r"(?m)^\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+(\w+)\s*;")


def module_of(file):
    """`('lake', 'writer')` of src/lake/writer.rs."""
    parts = list(file.relative_to(SRC).with_suffix("").parts)
    return tuple(parts[:-1] if parts[-1] in ("mod", "lib") else parts)


def without_tests(code):
    """Code without the module of its unit tests."""
    start = re.search(r"#\[cfg\(test\)\]\s*(?:pub(?:\([^)]*\))?\s+)?mod\s+\w+\s*\{", code)
    if not start:
        return code
    depth, position = 1, start.end()
    while depth and position < len(code):
        depth += {"{": 1, "}": -1}.get(code[position], 0)
        position += 1
    return without_tests(code[: start.start()] + code[position:])


def leaves(tree, prefix=()):
    """The paths of a use tree as (segments, name under which the last one is known)."""
    tree = tree.strip()
    brace = tree.find("{")
    if brace < 0:
        path, _, name = tree.partition(" as ")
        segments = prefix + tuple(part.strip() for part in path.split("::") if part.strip())
        if segments[-1] == "self":
            segments = segments[:-1]
        yield segments, name.strip() or segments[-1]
        return
    head = prefix + tuple(part.strip() for part in tree[:brace].split("::") if part.strip())
    depth, start, inside = 0, 0, tree[brace + 1 : tree.rindex("}")]
    for position, char in enumerate(inside + ","):
        depth += {"{": 1, "}": -1}.get(char, 0)
        if char == "," and depth == 0:
            if inside[start:position].strip():
                yield from leaves(inside[start:position], head)
            start = position + 1


class Code:
    """The modules, what they pass on, and what they import."""

    def __init__(self):
        self.texts, self.children, self.passed_on, self.brought = {}, {}, {}, {}
        for file in sorted(SRC.rglob("*.rs")):
            module = module_of(file)
            if file.name == "main.rs" or module[-1:] == ("tests",):
                continue
            code = without_tests(NOISE.sub(" ", file.read_text()))
            self.texts[module] = code
            self.children[module] = set(MOD.findall(code))
        for module, code in self.texts.items():
            self.passed_on[module] = {
                name: segments
                for visibility, tree in USE.findall(code)
                if visibility
                for segments, name in leaves(tree)
            }
            # What a module has brought to itself, those inside it can take from it.
            self.brought[module] = {
                name: segments for _, tree in USE.findall(code) for segments, name in leaves(tree)
            }

    def target(self, module, segments, seen=frozenset()):
        """The module in which a path ends that is written in `module`; `None` outside the crate."""
        first, rest = segments[0], list(segments[1:])
        if first == "crate":
            at = ()
        elif first == "self":
            at = module
        elif first == "super":
            at = module[:-1]
            while rest[:1] == ["super"]:
                at, rest = at[:-1], rest[1:]
        elif first in self.children[module]:
            at, rest = module, list(segments)
        else:
            return None
        for name in rest:
            if name in self.children.get(at, ()) and at + (name,) in self.texts:
                at += (name,)
                continue
            names = self.brought if module[: len(at)] == at and at else self.passed_on
            onward = names.get(at, {}).get(name)
            if onward and (at, name) not in seen:
                return self.target(at, onward, seen | {(at, name)})
            return at
        return at

    def imports(self):
        """Pairs of modules, the importing one first."""
        pairs = set()
        for module, code in self.texts.items():
            plain = [
                segments
                for visibility, tree in USE.findall(code)
                if not visibility
                for segments, _ in leaves(tree)
            ]
            # What is passed on may be used here as well.
            body = USE.sub("", code)
            words = set(re.findall(r"(?<![:.\w])\w+", body))
            plain += [path for name, path in self.passed_on[module].items() if name in words]
            # Names that `use` has brought here begin other paths.
            known = {segments[-1]: segments for segments in plain}
            paths = [tuple(path.split("::")) for path in PATH.findall(body)]
            for path in plain + paths:
                if path[0] in known and path[0] not in ("crate", "super", "self"):
                    path = known[path[0]] + path[1:]
                target = self.target(module, path)
                if target is not None and target != module:
                    pairs.add((module, target))
        return pairs


def circles(pairs):
    """Sets of modules each of which imports, through others, itself (Tarjan's components)."""
    after = {}
    for source, target in pairs:
        after.setdefault(source, set()).add(target)
    index, low, stack, found = {}, {}, [], []

    def visit(node):
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(after.get(node, ())):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = [stack.pop()]
            while component[-1] != node:
                component.append(stack.pop())
            if len(component) > 1:
                found.append(sorted(component))

    sys.setrecursionlimit(10_000)
    for node in sorted(after):
        if node not in index:
            visit(node)
    return found


def drawing(rooms, imports):
    """The rooms as a Mermaid chart; an arrow that others lead to as well is left out."""
    after = {room: {b for a, b in imports if a == room} for room in rooms}

    def reach(room):
        found, todo = set(), list(after[room])
        while todo:
            other = todo.pop()
            if other not in found:
                found.add(other)
                todo += after[other]
        return found

    lines = ["```mermaid", "flowchart BT"]
    for room in rooms:
        through = set().union(*(reach(other) for other in after[room])) if after[room] else set()
        nearest = [other for other in rooms if other in after[room] - through]
        lines += [f"    {room} --> {other}" for other in nearest] or [f"    {room}"]
    return "\n".join([*lines, "```"])


def name(module):
    return "/".join(module) or "lib"


def main():
    code = Code()
    pairs = {(a, b) for a, b in code.imports() if a and b}
    rooms = [room for room in re.findall(r"(?m)^pub mod (\w+);", code.texts[()])]
    place = {room: position for position, room in enumerate(rooms)}
    between = {(a[0], b[0]) for a, b in pairs if a[0] != b[0]}
    wrong = [
        f"an import runs back: {name(a)} -> {name(b)}"
        for a, b in sorted(pairs)
        if place[a[0]] < place[b[0]]
    ]
    wrong += [f"a circle of files: {', '.join(map(name, found))}" for found in circles(pairs)]

    words = (
        f"{len(code.texts) - 1} files in {len(rooms)} rooms. An arrow points to what is imported; "
        "what others lead to as well is not drawn."
    )
    picture = f"{BEGIN}\n{words}\n\n{drawing(rooms, between)}\n{END}"
    document = DOCUMENT.read_text()
    start, end = document.find(BEGIN), document.find(END)
    if start < 0 or end < start:
        sys.exit(f"{DOCUMENT.name} has no place for the picture: {BEGIN} ... {END}")
    current = document[:start] + picture + document[end + len(END) :]
    if "--check" not in sys.argv[1:]:
        DOCUMENT.write_text(current)
    elif current != document:
        wrong.append(f"the picture in {DOCUMENT.name} is not the code's; run `make map`")
    if wrong:
        sys.exit("\n".join(wrong))


main()
