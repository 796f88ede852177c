"""The card of a dataset: its README.md, with the front matter that Hugging Face reads."""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cxrfuture_data.record import members_of
from cxrfuture_data.schema import SAMPLE_MEMBER
from etl import card_words
from etl.card_facts import NAMES, CardFacts
from etl.shard_facts import CREDENTIALED
from etl.source_release import AGREEMENT, PAGES, PAPERS

PHYSIONET = "https://physionet.org/about/publish/"
GATED_PROMPT = (
    "This dataset is made from MIMIC, and is under the PhysioNet Credentialed Health Data License "
    "1.5.0. It must not be on this site unless that licence allows it for everybody who can reach "
    "it. Go on only if you are a credentialed user of PhysioNet and have signed the data use "
    "agreement of each of its sources. Do not pass it on, and do not try to identify anybody."
)
GATED_FIELDS = (
    "I have signed PhysioNet's data use agreement for each source that this card names",
    "I will not pass on this dataset, samples of it or models trained on it",
)


def card_of(facts: CardFacts) -> bytes:
    """The same facts give the same bytes."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    simulated = facts.manifest.simulated
    page = environment.get_template("card.md.jinja").render(
        facts=facts,
        words=card_words,
        title=title_of(facts),
        front_matter=yaml.safe_dump(
            _front_matter(facts), sort_keys=False, width=100, allow_unicode=True
        ),
        names=NAMES,
        pages=PAGES,
        papers=list(PAPERS),
        agreement=AGREEMENT,
        credentialed=CREDENTIALED,
        physionet=PHYSIONET,
        example=_example(facts),
        is_source_simulated={"mimic_iv": simulated.tables, "mimic_cxr_jpg": simulated.films},
    )
    return page.encode()


def title_of(facts: CardFacts) -> str:
    name = f"CXRFuture {facts.manifest.recipe.name}"
    if facts.manifest.is_simulated:
        return f"{name} (simulated)"
    return f"{name} (films simulated)" if facts.manifest.simulated.films else name


def _front_matter(facts: CardFacts) -> dict[str, Any]:
    terms, kinds = facts.terms, facts.kinds_with_samples
    matter: dict[str, Any] = {"license": terms.identifier}
    if terms.name:
        matter |= {"license_name": terms.name}
        matter |= {"license_link": terms.link} if terms.link else {}
    matter |= {
        "pretty_name": title_of(facts),
        "language": ["en"],
        "task_categories": ["image-to-image", "image-classification", "time-series-forecasting"],
        "tags": ["medical", "chest-x-ray", "electronic-health-records", "webdataset"],
        "size_categories": [facts.size_category],
    }
    if facts.manifest.is_simulated:
        matter["tags"].append("simulated")
    if terms.is_credentialed:
        matter["extra_gated_prompt"] = GATED_PROMPT
        matter["extra_gated_fields"] = dict.fromkeys(GATED_FIELDS, "checkbox")
    if kinds:
        matter["configs"] = [
            {
                "config_name": kind,
                "data_files": [
                    {"split": split, "path": f"{split}/{kind}-*.tar"}
                    for split in facts.splits_of(kind)
                ],
            }
            for kind in kinds
        ]
        matter["dataset_info"] = [
            {"config_name": kind, "features": _features(facts, kind)} for kind in kinds
        ]
    return matter


def _features(facts: CardFacts, kind: str) -> list[dict[str, str]]:
    """As ``cxrfuture_data.hugging_face.features_of`` gives them: nothing is guessed from five
    samples."""
    names = members_of(kind, films=facts.manifest.films_kept)
    types = dict.fromkeys(names, "binary") | {SAMPLE_MEMBER: "json", "__key__": "string"}
    return [{"name": name, "dtype": dtype} for name, dtype in types.items()]


def _example(facts: CardFacts) -> dict[str, str]:
    """A kind and split that has samples, for the snippets."""
    kind = (facts.kinds_with_samples or facts.kinds)[0]
    return {"kind": kind, "split": (facts.splits_of(kind) or ["train"])[0]}
