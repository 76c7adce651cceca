#!/usr/bin/env python3
"""Fails on riddles, and shows them: forms of tests/language/riddles.tsv in comments, strings and documents, also where a
form runs over the end of a line. With `count` it counts them, by folder."""

import collections
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
RIDDLES = ROOT / "tests/language/riddles.tsv"
# Names of files of prose; of Rust and Python, only comments and strings are prose.
TEXTS = ("*.rs *.py *.md *.sh *.yaml *.yml *.tpl *.txt *.toml *.json *.svg Makefile Containerfile").split()
# The list itself; a protocol with a verb of the list; and locks, which have no prose.
SKIPPED = {"tests/language.py", "bench/src/peers/beanstalkd.rs", "Cargo.lock", "fuzz/Cargo.lock"}
STRING = re.compile(r'"((?:[^"\\]|\\.)*)("|\\?$)')


def files():
    """The files of the working tree, also those that are not in the index yet."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *TEXTS]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [name for name in sorted(set(names)) if name not in SKIPPED and (ROOT / name).is_file()]


def code_prose(line, goes_on):
    """The comment and the strings of a line of code, and whether a string goes on in the next line."""
    if re.match(r"\s*(//|#[^!\[])", line):
        return line, False
    text, rest = [], line
    if goes_on:
        end = rest.find('"')
        text.append(rest if end < 0 else rest[:end])
        rest = "" if end < 0 else rest[end + 1 :]
    for match in STRING.finditer(rest):
        text.append(match.group(1))
    comment = re.search(r"//.*$", STRING.sub("", rest))
    text.append(comment.group(0) if comment else "")
    return " ".join(text).strip(), line.endswith("\\")


def prose(name):
    """The prose of each line of a file."""
    lines = (ROOT / name).read_text(encoding="utf-8", errors="replace").splitlines()
    if not name.endswith((".rs", ".py")):
        # The glossary names the words to avoid.
        return ["" if name == "CONTRIBUTING.md" and line.startswith("|") else line for line in lines]
    texts, goes_on = [], False
    for line in lines:
        text, goes_on = code_prose(line, goes_on)
        texts.append(text)
    return texts


def bare(text):
    """A line without the marks of comments and lists, to be joined to the line before."""
    return re.sub(r"^\s*(//[/!]?|#|[*>-])?\s*", "", text).rstrip(" \\")


def riddles(pattern):
    for name in files():
        texts = prose(name)
        for number, text in enumerate(texts, 1):
            if pattern.search(text):
                yield name, number, text.strip()
                continue
            first, second = bare(text), bare(texts[number]) if number < len(texts) else ""
            joined = f"{first} {second}"
            if first and second and any(m.start() < len(first) < m.end() - 1 for m in pattern.finditer(joined)):
                yield name, number, joined


def main():
    rows = (line.split("\t")[0] for line in RIDDLES.read_text().splitlines() if not line.startswith("#"))
    found = list(riddles(re.compile("|".join(f"(?:{row})" for row in rows if row), re.IGNORECASE)))
    if sys.argv[1:] == ["count"]:
        lines = sum((ROOT / name).read_bytes().count(b"\n") for name in files())
        for folder, number in collections.Counter(name.split("/")[0] for name, *_ in found).most_common():
            print(f"{number:7} {folder}")
        print(f"{len(found)} riddles in {lines} lines: {1000 * len(found) / lines:.1f} in a thousand")
        return
    for name, number, text in found:
        print(f"{name}:{number}: {text}")
    if found:
        sys.exit(f"language: each line above must be read twice; {RIDDLES.relative_to(ROOT)} has the plain words")


if __name__ == "__main__":
    main()
