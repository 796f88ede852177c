"""croissant.json: a dataset for programs, in Croissant 1.1 with its vocabulary of responsible AI.

http://mlcommons.org/croissant/1.1 names every property; conditions of use are terms of the Data Use
Ontology (DUO) under ``usageInfo``, provenance is PROV's.
"""

import hashlib
import json
import uuid
from pathlib import PurePosixPath
from typing import Any

from cxrfuture_data.manifest import CARD_FILE, EMBEDDINGS, columns_name
from etl import card_words
from etl.card import title_of
from etl.card_facts import NAMES, CardFacts
from etl.croissant_records import file_sets, record_sets
from etl.source_release import AGREEMENT, PAGES, PAPERS, Terms

Node = dict[str, Any]

CONFORMS_TO = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
_CR = (
    "annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes",
    "extract", "field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray",
    "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "readLines", "recordSet",
    "references", "regex", "repeated", "replace", "samplingRate", "sdVersion", "separator",
    "source", "subField", "transform", "unArchive",
)  # fmt: skip
CONTEXT: Node = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "duo": "http://purl.obolibrary.org/obo/DUO_",
    "prov": "http://www.w3.org/ns/prov#",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    **{name: f"cr:{name}" for name in _CR},
}
NPY = "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"
SAFETENSORS = "https://github.com/huggingface/safetensors"
_FORMATS = {
    ".md": "text/markdown",
    ".tar": "application/x-tar",
    ".npy": NPY,
    ".txt": "text/plain",
    ".jsonl": "application/jsonlines",
    ".safetensors": SAFETENSORS,
}


def croissant_of(facts: CardFacts, card: bytes) -> bytes:
    """The same facts give the same bytes."""
    value = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        **_described(facts),
        **_used(facts.terms),
        **_responsible(facts),
        "distribution": [*_files(facts, card), *file_sets(facts)],
        "recordSet": record_sets(facts),
    }
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()


def _described(facts: CardFacts) -> Node:
    manifest = facts.manifest
    build = uuid.uuid5(uuid.NAMESPACE_URL, manifest.made_from)
    return {
        "conformsTo": CONFORMS_TO,
        "name": f"cxrfuture_{manifest.recipe.name}",
        "description": f"{title_of(facts)}: {facts.body['paper']}. {card_words.whose(facts)}",
        "url": f"urn:uuid:{build}",  # it is on no web page
        "version": f"{manifest.schema_version}.0.0+{manifest.made_from[:12]}",
        "datePublished": facts.published_at,
        "isLiveDataset": False,
        "inLanguage": "en",
        "keywords": ["chest X-ray", "electronic health records", "WebDataset"],
        "creator": {"@type": "sc:Organization", "name": "CXRFuture"},
        "citeAs": " ".join([*facts.citations, *PAPERS]),
        "prov:wasDerivedFrom": [
            {"@id": PAGES[source], "prov:label": f"{NAMES[source]} {version}"}
            for source, version in facts.sources.items()
        ],
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": f"cxrfuture shard --recipe {manifest.recipe.name}, "
            f"code {manifest.git_commit or 'not from a repository'}",
        },
    }


def _used(terms: Terms) -> Node:
    """Licence and conditions of use."""
    if terms.is_credentialed:
        return {
            "license": terms.link,
            "usageInfo": [
                {
                    "@type": "sc:CreativeWork",
                    "name": "PhysioNet Credentialed Health Data Use Agreement 1.5.0",
                    "url": AGREEMENT,
                },
                _duo("0000042", "general research use"),
                _duo("0000026", "user specific restriction"),
            ],
        }
    if terms.link:
        return {"license": terms.link, "usageInfo": {"@type": "sc:CreativeWork", "url": terms.link}}
    return {
        "license": {"@type": "sc:CreativeWork", "name": terms.title},
        "usageInfo": _duo("0000004", "no restriction"),
    }


def _duo(code: str, name: str) -> Node:
    return {
        "@type": "sc:DefinedTerm",
        "name": name,
        "termCode": f"DUO_{code}",
        "inDefinedTermSet": "http://purl.obolibrary.org/obo/duo.owl",
        "url": f"http://purl.obolibrary.org/obo/DUO_{code}",
    }


def _responsible(facts: CardFacts) -> Node:
    sensitive = (
        "None: there are no people." if facts.manifest.is_simulated else card_words.SENSITIVE
    )
    return {
        "rai:dataCollection": card_words.collected(facts),
        "rai:dataCollectionType": [
            "Others" if facts.manifest.is_simulated else "Secondary Data analysis"
        ],
        "rai:dataCollectionMissingData": card_words.MISSING,
        "rai:dataImputationProtocol": "None: nothing is filled in. The loader fills, from training "
        "patients alone.",
        "rai:dataPreprocessingProtocol": [
            f"{drop.stage}: {drop.unit}, {drop.reason}" for drop in facts.manifest.attrition
        ],
        "rai:dataAnnotationProtocol": [card_words.labelled(facts)],
        "rai:machineAnnotationTools": [facts.body["labels"]["findings"]],
        "rai:dataBiases": card_words.biases(facts),
        "rai:dataLimitations": [
            *card_words.source_limits(facts),
            *card_words.build_limits(facts),
            *(f"Forbidden: {line}" for line in card_words.forbidden(facts)),
        ],
        "rai:dataUseCases": list(card_words.USES),
        "rai:personalSensitiveInformation": [sensitive],
        "rai:dataReleaseMaintenancePlan": "None: it is built anew from its sources when they or "
        "the code change.",
    }


def _files(facts: CardFacts, card: bytes) -> list[Node]:
    """The card, and every file that dataset.json vouches for and that people may want."""
    manifest = facts.manifest
    sums = {f"{EMBEDDINGS}/{name}": sum_ for name, sum_ in manifest.embeddings.files.items()}
    for split, kinds in manifest.splits.items():
        for kind, entry in kinds.items():
            sums[f"{split}/{columns_name(kind)}"] = entry.columns_sha256
            sums |= {f"{split}/{shard.name}": shard.sha256 for shard in entry.shards}
    sizes = {name: (facts.dataset / name).stat().st_size for name in sums}
    found = [_file(CARD_FILE, len(card), hashlib.sha256(card).hexdigest())]
    return found + [_file(name, sizes[name], sums[name]) for name in sorted(sums)]


def _file(name: str, size: int, sha256: str) -> Node:
    path = PurePosixPath(name)
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": path.name,
        "contentUrl": name,
        "contentSize": f"{size} B",
        "encodingFormat": _FORMATS[path.suffix],
        "sha256": sha256,
    }
