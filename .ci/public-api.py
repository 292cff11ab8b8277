#!/usr/bin/env python3
"""Fails if a crate's public API names a type of a crate that it may not: such a crate could not be upgraded without breaking ours.

Reads what rustdoc knows of the crate: `public-api.py <rustdoc's json> <allowed crate>...`, where `serde_core:traits` allows that
crate's traits only. The standard library is always allowed.
"""

import json
import sys

STANDARD = {"std", "core", "alloc"}


def main(path, allowed):
    with open(path, encoding="utf-8") as file:
        crate = json.load(file)
    anything = {name for name in allowed if ":" not in name} | STANDARD
    traits = {name.removesuffix(":traits") for name in allowed if name.endswith(":traits")}
    found, named = set(), set()
    for item in crate["index"].values():
        if item["crate_id"] != 0 or is_derived(item):
            continue
        for id in identifiers(item["inner"]):
            summary = crate["paths"].get(str(id))
            if summary is None or summary["crate_id"] == 0:
                continue
            owner = crate["external_crates"][str(summary["crate_id"])]["name"]
            named.add(owner)
            if owner in anything or (owner in traits and summary["kind"] == "trait"):
                continue
            found.add(f"{summary['kind']} {'::'.join(summary['path'])}, in {item['name'] or 'an impl'}")
    for line in sorted(found):
        print(f"{path}: the public API names the {line}")
    unused = (anything | traits) - named - STANDARD
    for name in sorted(unused):
        print(f"{path}: {name} is allowed, and the public API does not name it")
    return 1 if found or unused or not named else 0


def is_derived(item):
    """What every type has: auto traits, and the blanket impls of other crates."""
    implementation = item["inner"].get("impl")
    return implementation is not None and (
        implementation["is_synthetic"] or implementation["blanket_impl"] is not None
    )


def identifiers(value):
    """The types and traits that are named anywhere in a signature."""
    if isinstance(value, dict):
        if "id" in value and ("path" in value or "name" in value):
            yield value["id"]
        for part in value.values():
            yield from identifiers(part)
    elif isinstance(value, list):
        for part in value:
            yield from identifiers(part)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
