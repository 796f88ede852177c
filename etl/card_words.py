"""What the card and Croissant's file of a dataset both say in words: its data, its defects, its
uses. Facts of the sources: specs peers 2, 4."""

from etl.card_facts import CardFacts

FEW_SAMPLES, FEW_PATIENTS = 100, 30

SIMULATED_WORDS = (
    "SIMULATED: a program invented these patients, their records and their films from a seed. None "
    "of them exists, and no number made from this dataset says anything about medicine."
)
SIMULATED_FILMS = (
    "The films are SIMULATED: a program drew them for real stays. They show nobody, and no number "
    "made from them says anything about medicine."
)
SIMULATED_TABLES = (
    "The tables are SIMULATED, the films are real: what is between two films never happened."
)
PEOPLE = (
    "People who were treated at Beth Israel Deaconess Medical Center, Boston: MIMIC-IV has its "
    "emergency department and intensive care, 2008 to 2019 (2.x) or 2022 (3.x); MIMIC-CXR has "
    "films of the years 2011 to 2016. Names and addresses are gone, dates are moved, a different "
    "number of days for every patient. Ethics boards waived their consent, for research on "
    "de-identified records alone."
)
SENSITIVE = (
    "Sex, age, race and insurance as the hospital recorded them; vital signs, laboratory results, "
    "treatments, diagnoses and death; chest films. De-identified, not anonymous: samples hold "
    "MIMIC's subject_id, hadm_id, stay_id, study_id and dicom_id, films and latents show bodies, "
    "embeddings of texts can give the texts back, and models can repeat what they were trained on."
)
USES = (
    "Research on chest films over time: to predict or generate the next film from the last one and "
    "the record between, to predict outcomes from both, to find what is abnormal.",
    "To reproduce published methods by their own rules, or by the same rules with their errors "
    "mended.",
)
FORBIDDEN = (
    "To show it or pass it on to anybody who has not signed the agreement for these sources: the "
    "tars, latents, embeddings and single samples alike, and models trained on them.",
    "To try to find out who a patient, a carer or a hospital ward was, or to link it with other "
    "data about people.",
    "To send it to online services, language models among them, unless they keep nothing and you "
    "can prove it; a public repository, bucket, notebook or tracker is such a service.",
    "To decide anything about a patient's care. It was made for research, and no model of it is a "
    "medical device.",
)
COLLECTED = (
    "Nothing was collected for this dataset. It is cut from {sources}, which are records of "
    "routine care: a film was taken, a value measured, because someone thought it was needed."
)
MISSING = (
    "Values are stored as measured: an hour without a measurement is NaN, a finding that the "
    "report does not name is null, and neither means normal. Measuring depends on how ill a "
    "patient is, so what is missing is informative."
)
LABELLED = (
    "Findings are what the {labeler} labeler read in a report, study by study: 1 present, 0 "
    "absent, -1 uncertain, null not mentioned. They are stored raw; what -1 and null become is "
    "chosen in the loader. No radiologist checked them."
)
_BIASES = (
    "One hospital, one city: who comes there, how it films and how it writes are in every sample.",
    "A film exists because somebody was worried: pairs come from the ill, and films at the bedside "
    "(AP) from the most ill.",
    "Race and insurance are what the admission desk wrote, with categories that changed between "
    "versions; outcomes differ between groups also because their care did.",
    "Reports speak of earlier films (improved, unchanged), and findings are read from them: the "
    "labels of a follow-up depend on what was written before.",
)
_LIMITS = (
    "Times of one patient can be compared, times of two cannot. All films of a study share one "
    "time, so the window may end minutes before or after the exposure.",
    "Ages over 89 are written as 91. Death outside the hospital is a date, and is known for "
    "a year after the last discharge.",
    "Diagnoses are coded at discharge; they are outcomes or history here, never part of a window.",
    "The JPGs have 8 bits and are stretched by their histogram: grey levels of two films do not "
    "compare.",
    "A model that saw MIMIC-CXR before (most medical ones did) may have seen these test patients.",
)


def whose(facts: CardFacts) -> str:
    """Whose data it is."""
    simulated = facts.manifest.simulated
    if facts.manifest.is_simulated:
        return SIMULATED_WORDS
    if simulated.films:
        return f"{PEOPLE} {SIMULATED_FILMS}"
    return f"{PEOPLE} {SIMULATED_TABLES}" if simulated.tables else PEOPLE


def collected(facts: CardFacts) -> str:
    if facts.manifest.is_simulated:
        return f"Nothing was collected. {SIMULATED_WORDS}"
    return COLLECTED.format(sources=" and ".join(facts.source_names))


def labelled(facts: CardFacts) -> str:
    names = {"chexpert": "CheXpert", "negbio": "NegBio"}
    return LABELLED.format(labeler=names[facts.body["labels"]["findings"]])


def forbidden(facts: CardFacts) -> list[str]:
    """What nobody may do with it; of simulated data, what makes no sense."""
    if facts.manifest.is_simulated:
        return [
            "To report a result of it as a result about medicine, or without the word simulated.",
            "To decide anything about a patient's care.",
        ]
    if not facts.terms.is_credentialed:
        return ["To pass it on under other terms than the sources'.", *FORBIDDEN[1:2], FORBIDDEN[3]]
    return list(FORBIDDEN)


def biases(facts: CardFacts) -> list[str]:
    if facts.manifest.is_simulated:
        return ["Those of the simulator: its patients get worse and better by a few rules."]
    return list(_BIASES)


def source_limits(facts: CardFacts) -> list[str]:
    return [] if facts.manifest.is_simulated else list(_LIMITS)


def build_limits(facts: CardFacts) -> list[str]:
    """What is thin or odd about this build."""
    return [*_of_size(facts), *_of_rules(facts), *_of_contents(facts)]


def _of_size(facts: CardFacts) -> list[str]:
    found = []
    for kind in facts.kinds:
        few = [
            f"{split} {facts.shown(size.samples)} of {facts.shown(size.patients)} patients"
            for split, size in facts.sizes[kind].items()
            if size.samples < FEW_SAMPLES or size.patients < FEW_PATIENTS
        ]
        if few:
            found.append(f"Few {kind} samples: {', '.join(few)}. A metric of so few says little.")
    return found


def _of_rules(facts: CardFacts) -> list[str]:
    found = []
    body = facts.body
    if body["fidelity"] == "published":
        found.append(
            "Fidelity `published`: the rules of the authors' code, its errors included "
            "(docs/fidelity.md of CXRFuture lists them)."
        )
    if body["availability"] == "event":
        found.append(
            "Availability `event`, as in the papers: a value counts from when it was measured, "
            "also where the chart could not show it before the window ended. Build with "
            "`availability: known` for what was really known."
        )
    if facts.includes_end:
        found.append(
            "Windows include their end: what was recorded at the very minute of the target film is "
            "in the window."
        )
    return found


def _of_contents(facts: CardFacts) -> list[str]:
    manifest, found = facts.manifest, []
    if manifest.films_kept == "none":
        found.append("No films: latents alone, and nobody can look at what a model saw.")
    statistics = manifest.statistics.latent
    if statistics.films < FEW_SAMPLES:
        found.append(
            f"Means and deviations that models are scaled by come from "
            f"{facts.shown(statistics.films)} training films."
        )
    if facts.has_events and manifest.embeddings.maximum_tokens:
        found.append(
            f"Event texts were cut at {manifest.embeddings.maximum_tokens} tokens before "
            f"{manifest.embeddings.model} read them."
        )
    return found
