#!/usr/bin/env python3
"""Checks that the rooms of each crate import downwards only.

A room is a module at the top of a crate: a file or a folder in src/. tests/arrows/CRATE.txt lists the rooms from the
top of the house to its ground, each with the rooms that it imports; a room imports only rooms that stand below it. The
check fails on an arrow that is not listed, on a listed one that no source has, and on one that leads up. Tests may
import anything. `tests/arrows.py write` adds and removes arrows; an arrow that leads up needs another order of rooms,
by hand.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CRATES = ["wire", "crds", "broker", "operator", "client"]
# Files at the top that are not rooms: they only join the others.
FRONT = {"lib", "main", "bin"}


def sources(crate):
    """The sources of a crate, without its tests: by room."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", f"{crate}/src/*.rs"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()
    names = [name for name in listed if (ROOT / name).exists()]
    of_tests = tuple(path for name in names for path in modules_of_tests(name))
    for name in names:
        path = ROOT / name
        inner = name.removeprefix(f"{crate}/src/")
        if name.startswith(of_tests):
            continue
        room = inner.split("/")[0].removesuffix(".rs")
        text = re.sub(r"//[^\n]*", "", path.read_text())
        # A module of tests is the last item of its file.
        yield room, re.split(r"#\[cfg\(test\)\]\s*(?:pub(?:\(\w+\))? )?mod \w+ \{", text)[0]


def modules_of_tests(name):
    """The modules that a source declares for tests only."""
    path = pathlib.PurePath(name)
    folder = path.parent if path.stem in ("mod", "lib", "main") else path.with_suffix("")
    declared = re.findall(
        r"#\[cfg\(test\)\]\s*(?:pub(?:\([\w: ]+\))? )?mod (\w+);", (ROOT / name).read_text()
    )
    return [f"{folder}/{module}{end}" for module in declared for end in (".rs", "/")]


def imported(text, rooms):
    """The rooms that a source names."""
    # Imports that only tests have.
    text = re.sub(r"#\[cfg\(test\)\]\s*(?:pub(?:\([\w: ]+\))? )?use [^;]*;", "", text)
    found = set(re.findall(r"\bcrate::(\w+)", text))
    for group in re.finditer(r"\bcrate::\{", text):
        depth, name, begins = 1, "", True
        for token in re.finditer(r"\w+|[{},]", text[group.end():]):
            token = token.group()
            if token == "{":
                depth += 1
            elif token == "}":
                depth -= 1
                if depth == 0:
                    break
            elif token == ",":
                begins = begins or depth == 1
                continue
            elif depth == 1 and begins:
                name, begins = token, False
                found.add(name)
    return found & rooms


def arrows(crate):
    """The rooms, and the rooms that each imports."""
    texts = {}
    for room, text in sources(crate):
        texts.setdefault(room, []).append(text)
    rooms = set(texts)
    return {
        room: {to for text in of for to in imported(text, rooms)} - {room}
        for room, of in texts.items()
        if room not in FRONT
    }


def read(crate):
    """The listed rooms, from the top to the ground."""
    listed = {}
    path = ROOT / "tests" / "arrows" / f"{crate}.txt"
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.strip() and not line.startswith("#"):
            room, _, to = line.partition(":")
            listed[room.strip()] = set(to.split())
    return listed


def sorted_rooms(found):
    """An order in which all arrows lead down, if there is one."""
    order, left = [], dict(found)
    while left:
        tops = [room for room in left if not any(room in to for other, to in left.items() if other != room)]
        for room in sorted(tops or list(left)[:1]):
            order.append(room)
            del left[room]
    return order


def write(crate, found, listed):
    known = [room for room in listed if room in found]
    order = known if set(known) == set(found) else sorted_rooms(found)
    width = max(map(len, order))
    lines = [f"{room + ':':{width + 1}} {' '.join(sorted(found[room]))}".rstrip() for room in order]
    (ROOT / "tests" / "arrows" / f"{crate}.txt").write_text("\n".join(lines) + "\n")


def faults(crate, found, listed):
    height = {room: floor for floor, room in enumerate(listed)}
    for room, to in sorted(found.items()):
        if room not in listed:
            yield f"{crate}: the room {room} is not listed"
            continue
        for other in sorted(to - listed[room]):
            yield f"{crate}: {room} imports {other}, which is not listed"
        for other in sorted(listed[room] - to):
            yield f"{crate}: {room} no longer imports {other}; remove it from the list"
    for room, to in listed.items():
        if room not in found:
            yield f"{crate}: the room {room} is gone; remove it from the list"
        for other in sorted(to):
            if height.get(other, len(height)) <= height[room]:
                yield f"{crate}: {room} imports {other}, which stands above it"


def main():
    failed = False
    for crate in CRATES:
        found, listed = arrows(crate), read(crate)
        if sys.argv[1:] == ["write"]:
            write(crate, found, listed)
            listed = read(crate)
        for fault in faults(crate, found, listed):
            failed = True
            print(fault, file=sys.stderr)
    if failed:
        sys.exit("rooms import downwards only: see tests/arrows.py")


if __name__ == "__main__":
    main()
