"""Writes the document and its page into gen/, from where media serves them."""

import json
import shutil
from pathlib import Path

from google.protobuf import descriptor_pb2

from deploy.envoy import routes
from deploy.openapi.document import document
from deploy.openapi.page import PARTS, page
from deploy.openapi.policies import scopes

DOCUMENT, PAGE = "openapi.json", "docs/index.html"


def reference(descriptors: Path, services: Path, target: Path) -> None:
    """Write openapi.json and docs/ into `target`. Raises ValueError for contracts that do not make a document."""
    described = descriptor_pb2.FileDescriptorSet.FromString(descriptors.read_bytes())
    whole = document(described, routes.plain_methods(), scopes(services))
    (target / DOCUMENT).write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n")
    (target / PAGE).parent.mkdir()
    (target / PAGE).write_text(page(whole))
    for part in sorted(PARTS.iterdir()):
        shutil.copyfile(part, (target / PAGE).with_name(part.name))
