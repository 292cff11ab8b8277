#!/usr/bin/env python3
"""Fails if a Markdown file of a package links to a file that is not in the package, since the registry shows it without the rest.

Links that begin with a scheme, and those to a heading of the same file, are not looked at: `package-links.py <crate folder>...`.
"""

import os
import re
import subprocess
import sys

LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]:\s+(\S+)", re.MULTILINE)


def main(folders):
    looked_at, broken = 0, []
    for folder in folders:
        command = ["cargo", "package", "--list", "--allow-dirty", "--offline", "--manifest-path", f"{folder}/Cargo.toml"]
        files = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
        for name in files:
            if name.endswith(".md"):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    text = file.read()
                looked_at += 1
                for target in (one or other for one, other in LINK.findall(text)):
                    path = os.path.normpath(os.path.join(os.path.dirname(name), target.split("#")[0]))
                    if re.match(r"[a-z]+:|#", target) is None and path not in files:
                        broken.append(f"{folder}/{name}: the package has no {target}")
    print("\n".join(broken) or f"{looked_at} files link to what is in their package")
    return 1 if broken or not looked_at else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
