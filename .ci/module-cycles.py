"""Fails if modules of a crate import each other in a circle: `python3 .ci/module-cycles.py crates/*`.

It looks at `crate::`, `super::` and `self::` paths outside of tests, as text. A module and those below it may name each other: a
parent says what its children are, and children use what it declares for them.
"""

import re
import sys
from pathlib import Path

TOKEN = re.compile(r"::|\w+|\S")


def without_comments_and_texts(source):
    pattern = r'//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|b?\'(?:\\.|[^\'\\])\''
    return re.sub(pattern, " ", source, flags=re.S)


def without_tests(source):
    """Takes out every item behind `#[cfg(test)]`, up to its closing brace or semicolon."""
    while (start := source.find("#[cfg(test)]")) >= 0:
        end, depth = start, 0
        while end < len(source):
            depth += {"{": 1, "}": -1}.get(source[end], 0)
            end += 1
            if depth == 0 and source[end - 1] in "};":
                break
        source = source[:start] + source[end:]
    return source


def paths(tokens, at, prefix):
    """The paths of the tree that begins at a token, each as a list of names, and where the tree ends."""
    if tokens[at : at + 1] == ["{"]:
        found, at = [], at + 1
        while at < len(tokens) and tokens[at] != "}":
            more, at = paths(tokens, at, prefix)
            found += more
            at += tokens[at : at + 1] != ["}"]
        return found, at + 1
    while at < len(tokens) and re.match(r"\w", tokens[at]):
        prefix, at = prefix + [tokens[at]], at + 1
        if tokens[at : at + 1] != ["::"]:
            break
        at += 1
        if tokens[at : at + 1] == ["{"]:
            return paths(tokens, at, prefix)
    while at < len(tokens) and tokens[at] in {"as", "*"}:
        at += 2 if tokens[at] == "as" else 1
    return [prefix], at


def imports(source, module):
    """Every path in the code that begins at the crate, at a parent or at the module itself, as one from the crate's root."""
    tokens = TOKEN.findall(without_tests(without_comments_and_texts(source)))
    for at, token in enumerate(tokens):
        if token in {"crate", "super", "self"} and tokens[at + 1 : at + 2] == ["::"] and tokens[at - 1 : at] != ["::"]:
            for path in paths(tokens, at, [])[0]:
                base = [] if path[0] == "crate" else list(module)
                while path and path[0] in {"crate", "super", "self"}:
                    if path[0] == "super":
                        base = base[:-1]
                    path = path[1:]
                yield tuple(base + path)


def module_of(src, file):
    names = file.relative_to(src).with_suffix("").parts
    return names[:-1] if names[-1] in {"lib", "main", "mod"} else names


def graph(src):
    sources = {module_of(src, file): file.read_text(encoding="utf-8") for file in sorted(src.rglob("*.rs"))}
    edges = {}
    for module, source in sources.items():
        edges[module] = set()
        for path in imports(source, module):
            target = next(path[:n] for n in range(len(path), -1, -1) if path[:n] in sources)
            is_above_or_below = target == module[: len(target)] or module == target[: len(module)]
            if not is_above_or_below:
                edges[module].add(target)
    return edges


def circle(edges):
    """One circle, as the modules on the way round; none if there is none."""
    done = set()
    for start in edges:
        way, choices = [start], [iter(sorted(edges[start]))]
        while way:
            following = next(choices[-1], None)
            if following is None:
                done.add(way.pop())
                choices.pop()
            elif following in way:
                return way[way.index(following) :] + [following]
            elif following not in done:
                way.append(following)
                choices.append(iter(sorted(edges[following])))
    return None


def main():
    has_failed = False
    for crate in map(Path, sys.argv[1:]):
        found = circle(graph(crate / "src")) if (crate / "src").is_dir() else None
        if found:
            has_failed = True
            print(f"{crate}: " + " -> ".join("::".join(module) for module in found))
    print("modules import each other in a circle" if has_failed else "no modules import each other in a circle")
    return has_failed


if __name__ == "__main__":
    sys.exit(main())
