"""CustomResourceDefinitions, generated from the pydantic models.

`python -m fedsnap.api.crd DIRECTORY` writes one file per kind; `--check` fails where they drift.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from fedsnap.api.kinds import KINDS
from fedsnap.api.schema import GROUP, VERSION, Column, Object, Resource

# JSON Schema words of pydantic that a structural schema does not know or that only repeat the field's name.
_DROPPED = ("title", "discriminator", "additionalProperties", "const", "examples")


def definition(kind: type[Object]) -> dict[str, Any]:
    """The CustomResourceDefinition of one kind."""
    resource: Resource = kind.RESOURCE  # type: ignore[attr-defined]
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _object_schema(kind, resource)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in resource.columns],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": {
                "kind": resource.kind,
                "listKind": f"{resource.kind}List",
                "plural": resource.plural,
                "singular": resource.kind.lower(),
                "shortNames": list(resource.short_names),
                "categories": ["fedsnap"],
            },
            "versions": [version],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    made: dict[str, Any] = {"name": column.name, "type": column.type, "jsonPath": column.path}
    if column.priority:
        made["priority"] = column.priority
    return made


def _object_schema(kind: type[Object], resource: Resource) -> dict[str, Any]:
    raw = kind.model_json_schema(by_alias=True, mode="validation")
    definitions = raw.get("$defs", {})
    parts = {name: _structural(raw["properties"][name], definitions) for name in ("spec", "status")}
    schema: dict[str, Any] = {
        "type": "object",
        "description": raw["description"],
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": resource.name_length}},
            },
            **parts,
        },
    }
    if resource.rules:
        schema["x-kubernetes-validations"] = list(resource.rules)
    return schema


def _structural(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Inline references, drop null branches, and keep only what a structural schema knows."""
    node = _without_null(_resolved(node, definitions), definitions)
    made = {word: value for word, value in node.items() if word not in _DROPPED and not _is_null_default(word, value)}
    if "const" in node:
        made["enum"] = [node["const"]]
    if "properties" in node:
        made["properties"] = {name: _property(node, name, definitions) for name in node["properties"]}
    if "items" in node:
        made["items"] = _structural(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        made["additionalProperties"] = _structural(node["additionalProperties"], definitions)
    if made.get("type") == "integer":
        made["format"] = "int64"
    return dict(sorted(made.items()))


def _property(owner: dict[str, Any], name: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """A property; one that may be left out, and whose parts all have defaults, is there with its defaults.

    So users see what counts, and rules need not ask whether it is there.
    """
    raw = owner["properties"][name]
    made = _structural(raw, definitions)
    required = name in owner.get("required", ()) or bool(made.get("required"))
    if "properties" in made and "default" not in raw and not required:
        made = dict(sorted({**made, "default": {}}.items()))
    return made


def _is_null_default(word: str, value: object) -> bool:
    return word == "default" and value is None


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in node:
        return node
    target = definitions[node["$ref"].rsplit("/", 1)[1]]
    # What the field says (its description, its default) wins over what the type says.
    return {**target, **{word: value for word, value in node.items() if word != "$ref"}}


def _without_null(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" not in node:
        return node
    branches = [branch for branch in node["anyOf"] if branch.get("type") != "null"]
    if len(branches) != 1:
        raise ValueError(f"expected an optional type, got the union {node['anyOf']}; a CRD field has one type")
    outer = {word: value for word, value in node.items() if word != "anyOf"}
    return {**_resolved(branches[0], definitions), **outer}


def render(kind: type[Object]) -> str:
    """The CRD as YAML. Property names are quoted where YAML 1.1 would read them as booleans."""
    text: str = yaml.safe_dump(definition(kind), sort_keys=False, width=120, allow_unicode=True)
    return text


def files() -> dict[str, str]:
    """File name → content, for every kind."""
    return {f"{kind.RESOURCE.plural}.yaml": render(kind) for kind in KINDS}


def main(arguments: list[str] | None = None) -> int:
    """Write or check the committed CRDs."""
    parser = argparse.ArgumentParser(prog="python -m fedsnap.api.crd", description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file drifts")
    options = parser.parse_args(arguments)
    if not options.check:
        options.directory.mkdir(parents=True, exist_ok=True)
        for name, content in files().items():
            (options.directory / name).write_text(content, encoding="utf-8")
        return 0
    drifted = [name for name, content in files().items() if _read(options.directory / name) != content]
    if drifted:
        sys.stderr.write(f"{options.directory}: {', '.join(drifted)} differ from the models; run `make generate`\n")
    return 1 if drifted else 0


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
