"""Chest ImaGenome: EHRXDiff's ten attributes of a film, and how a report says they changed.

The release cannot be had here; the files are literal rows under the headers that public code names.
"""

import csv
import gzip
import io

import duckdb
import polars as pl
import pytest
from tiny_mimic import tiny_params
from tiny_stages import build, film, heart_rates

from cxrfuture_data.labels import ATTRIBUTES, CHANGE_ATTRIBUTES, CHANGES
from cxrfuture_data.schema import ContractError
from etl import cohort, imagenome
from etl.imagenome import facts_of_files, find_files, write_imagenome
from etl.prepare import prepare

TABULAR = "silver_dataset/scene_tabular"
ATTRIBUTE_HEADER = ["study_id", "image_id", "row_id", "bbox", "categoryID", "label_name"]
ATTRIBUTE_HEADER += ["relation", "sent_loc", "sentence"]
COMPARISON_HEADER = ["relationship_id", "subject_id", "object_id", "bbox", "comparison"]
COMPARISON_HEADER += ["attribute", "sentence"]
FINDING = "anatomicalfinding"


def text(header, rows):
    """As pandas writes it: tabs, quotes only where they are needed."""
    out = io.StringIO()
    writer = csv.DictWriter(out, header, delimiter="\t", lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def mention(image, label, relation, sentence=1, **changes):
    """One row of the attributes; film "a" is of study 1, "b" of 2, and so on."""
    study = ord(image[0]) - ord("a") + 1
    return {
        "study_id": study,
        "image_id": image,
        "row_id": f"{study}|{sentence}",
        "bbox": "left lung",
        "categoryID": FINDING,
        "label_name": label,
        "relation": relation,
        "sent_loc": sentence,
    } | changes


def compare(target, previous, label, direction, region="left lung", **changes):
    return {
        "subject_id": f"{target}_{region}",
        "object_id": f"{previous}_{region}",
        "bbox": region,
        "comparison": direction,
        "attribute": f"{FINDING}|yes|{label}",
    } | changes


def write_release(root, attributes=(), comparisons=(), gold=None):
    folder = root / TABULAR
    folder.mkdir(parents=True)
    attribute_text = text(ATTRIBUTE_HEADER, attributes)
    (folder / "attribute_relations_tabular.txt").write_text(attribute_text)
    comparison_text = text(COMPARISON_HEADER, comparisons)
    (folder / "comparison_relations_tabular.txt").write_text(comparison_text)
    if gold is not None:
        (root / "gold_dataset").mkdir()
        rows = [{"patient_id": patient, "row_id": f"1|{n}"} for n, patient in enumerate(gold)]
        path = root / "gold_dataset" / "gold_attributes_relations_500pts_500studies1st.txt"
        path.write_text(text(["patient_id", "row_id"], rows))
    return root


@pytest.fixture
def connection():
    """Films a to e of studies 1 to 5, d a lateral one; pairs (1, 2) and (2, 3)."""
    with duckdb.connect() as opened:
        opened.execute(
            "CREATE TABLE cxr_metadata AS SELECT * FROM (VALUES"
            " ('a', 1, 'AP'), ('a2', 1, 'LATERAL'), ('b', 2, 'PA'), ('c', 3, 'AP'),"
            " ('d', 4, 'LATERAL'), ('e', 5, 'AP')) AS film (dicom_id, study_id, viewposition)"
        )
        opened.execute(
            "CREATE TABLE pair AS SELECT * FROM (VALUES ('p12', 1, 2), ('p23', 2, 3))"
            " AS pair (pair_id, previous_study_id, target_study_id)"
        )
        yield opened


def removed(drops, unit):
    return {drop.reason: drop.removed for drop in drops if drop.unit == unit and drop.removed}


def attributes_of(connection, root, folder):
    """dicom_id -> the attributes that are not null, and what was dropped."""
    drops = write_imagenome(connection, str(root), folder)
    rows = pl.read_parquet(folder / "attribute.parquet").iter_rows(named=True)
    found = {
        row["dicom_id"]: {name: row[name] for name in ATTRIBUTES if row[name] is not None}
        for row in rows
    }
    return found, removed(drops, "ImaGenome attribute")


def changes_of(connection, root, folder):
    """pair_id -> the changes that are not null, and what was dropped."""
    drops = write_imagenome(connection, str(root), folder)
    rows = pl.read_parquet(folder / "change.parquet").iter_rows(named=True)
    found = {
        row["pair_id"]: {name: row[name] for name in CHANGE_ATTRIBUTES if row[name] is not None}
        for row in rows
    }
    return found, drops


def test_what_is_not_mentioned_is_null_and_not_absent(connection, tmp_path):
    rows = [mention("a", "pneumonia", 1), mention("a", "consolidation", 0)]
    found, dropped = attributes_of(connection, write_release(tmp_path / "in", rows), tmp_path)
    assert found == {"a": {"pneumonia": 1, "consolidation": 0}}
    assert dropped == {}
    assert pl.read_parquet(tmp_path / "attribute.parquet").columns == ["dicom_id", *ATTRIBUTES]


def test_the_last_sentence_on_a_region_counts_by_number(connection, tmp_path):
    rows = [
        mention("a", "pneumonia", 0, sentence=10),
        mention("a", "pneumonia", 1, sentence=9),
        mention("b", "pneumonia", 0, sentence=3),
        mention("b", "pneumonia", 1, sentence=3),  # in one sentence, the last row
        mention("c", "pneumonia", 1, sentence=3),
        mention("c", "pneumonia", 0, sentence=3),
    ]
    found, dropped = attributes_of(connection, write_release(tmp_path / "in", rows), tmp_path)
    assert found == {"a": {"pneumonia": 0}, "b": {"pneumonia": 1}, "c": {"pneumonia": 0}}
    assert dropped == {"a later sentence on the region": 3}


def test_a_sentence_is_found_in_row_id_where_the_file_has_no_sent_loc(connection, tmp_path):
    rows = [mention("a", "pneumonia", 0, sentence=10), mention("a", "pneumonia", 1, sentence=9)]
    root = write_release(tmp_path / "in")
    header = [name for name in ATTRIBUTE_HEADER if name != "sent_loc"]
    kept = [{name: row[name] for name in row if name != "sent_loc"} for row in rows]
    (root / TABULAR / "attribute_relations_tabular.txt").write_text(text(header, kept))
    assert attributes_of(connection, root, tmp_path)[0] == {"a": {"pneumonia": 0}}


def test_one_region_that_has_it_is_enough(connection, tmp_path):
    rows = [
        mention("a", "pneumonia", 1, sentence=1, bbox="right lung"),
        mention("a", "pneumonia", 0, sentence=2, bbox="left lung"),
        mention("a", "pneumonia", 0, sentence=3, bbox="mediastinum"),
    ]
    root = write_release(tmp_path / "in", rows)
    assert attributes_of(connection, root, tmp_path)[0] == {"a": {"pneumonia": 1}}


def test_rows_of_nlp_and_of_other_attributes_go(connection, tmp_path):
    rows = [
        mention("a", "pneumonia", 0, sentence=1),
        mention("a", "pneumonia", 1, sentence=2, categoryID="nlp"),  # would be the last sentence
        mention("a", "abnormal", 1, categoryID="nlp"),
        mention("a", "atelectasis", 1),
        mention("b", "atelectasis", 1),
    ]
    found, dropped = attributes_of(connection, write_release(tmp_path / "in", rows), tmp_path)
    assert found == {"a": {"pneumonia": 0}}
    assert dropped == {"of the category nlp": 1, "an attribute of no label": 3}


def test_the_study_needs_a_frontal_film(connection, tmp_path):
    rows = [
        mention("a2", "pneumonia", 1),  # itself lateral, of a study with a frontal film
        mention("d", "pneumonia", 1),
        mention("z", "pneumonia", 1),  # of a study that is not in the metadata
    ]
    found, dropped = attributes_of(connection, write_release(tmp_path / "in", rows), tmp_path)
    assert found == {"a2": {"pneumonia": 1}}
    assert dropped == {"study without a frontal film": 2}


def test_sentences_with_quotes_tabs_and_line_ends_do_not_shift_rows(connection, tmp_path):
    rows = [
        mention("a", "pneumonia", 1, sentence='Read as "pneumonia", 5\tcm\nor so.'),
        mention("b", "pneumonia", 0),
    ]
    rows = [row | {"row_id": "1|1", "sent_loc": 1} for row in rows]
    root = write_release(tmp_path / "in", rows)
    path = root / TABULAR / "attribute_relations_tabular.txt"
    lone = '3\tc\t3|1\tleft lung\tdisease\tpneumonia\t1\t1\tA 5" tube ends here.\n'
    path.write_text(path.read_text() + lone)
    gz = path.with_name(f"{path.name}.gz")
    gz.write_bytes(
        gzip.compress(path.read_bytes().replace(b"study_id", b"\xef\xbb\xbfstudy_id", 1))
    )
    path.unlink()
    found, _ = attributes_of(connection, root, tmp_path)
    assert found == {"a": {"pneumonia": 1}, "b": {"pneumonia": 0}, "c": {"pneumonia": 1}}


def test_a_change_goes_to_every_pair_of_its_two_studies(connection, tmp_path):
    rows = [
        compare("b", "a2", "pneumonia", "improved"),  # the pair's previous film is another
        compare("c", "b", "atelectasis", "worsened"),
        compare("c", "b", "pneumothorax", "no change", attribute="disease|no|pneumothorax"),
    ]
    found, drops = changes_of(connection, write_release(tmp_path / "in", (), rows), tmp_path)
    assert found == {
        "p12": {"pneumonia": "improved"},
        "p23": {"atelectasis": "worsened", "pneumothorax": "no change"},
    }
    assert {name for changes in found.values() for name in changes.values()} == set(CHANGES)
    assert removed(drops, "ImaGenome comparison") == {}
    columns = pl.read_parquet(tmp_path / "change.parquet").columns
    assert columns == ["pair_id", *CHANGE_ATTRIBUTES]


def test_the_order_of_the_films_matters(connection, tmp_path):
    rows = [compare("a", "b", "pneumonia", "improved"), compare("c", "a", "pneumonia", "improved")]
    found, drops = changes_of(connection, write_release(tmp_path / "in", (), rows), tmp_path)
    assert found == {"p12": {}, "p23": {}}
    assert removed(drops, "ImaGenome comparison") == {"between studies of no pair": 2}


def test_what_is_ambiguous_is_null_and_counted(connection, tmp_path):
    rows = [
        compare("b", "a", "pneumonia", "improved"),
        compare("b", "a", "pneumonia", "worsened", region="right lung"),
        compare("b", "a", "consolidation", "improved;;worsened"),
        compare("b", "a", "lung opacity", "improved;;improved"),
        compare("c", "b", "pneumonia", "improved"),
        compare("c", "b", "pneumonia", "improved", region="right lung"),
        compare("c", "b", "consolidation", "improved"),
        compare("c", "b", "consolidation", "no change;;worsened", region="right lung"),
        compare("c", "b", "pneumothorax", ""),
        compare("c", "b", "spinal fracture", "improved"),
        compare("c", "zzz", "pneumonia", "worsened"),
    ]
    found, drops = changes_of(connection, write_release(tmp_path / "in", (), rows), tmp_path)
    assert found == {
        "p12": {"lung opacity": "improved"},
        "p23": {"pneumonia": "improved", "consolidation": "improved"},
    }
    assert removed(drops, "ImaGenome comparison") == {
        "an attribute of no change label": 1,
        "several directions, or none": 3,
        "film not in the metadata": 1,
    }
    of_pairs = removed(drops, "compared attribute of a pair")
    assert of_pairs == {"directions that disagree": 1}


def test_a_row_of_several_attributes_is_each_ones(connection, tmp_path):
    both = f"{FINDING}|yes|pneumonia;;{FINDING}|yes|consolidation"
    rows = [compare("b", "a", "", "worsened", attribute=both)]
    found, _ = changes_of(connection, write_release(tmp_path / "in", (), rows), tmp_path)
    assert found["p12"] == {"pneumonia": "worsened", "consolidation": "worsened"}


def test_the_gold_patients_are_listed_once(connection, tmp_path):
    root = write_release(tmp_path / "in", gold=[12, 11, 12])
    write_imagenome(connection, str(root), tmp_path)
    assert pl.read_parquet(tmp_path / "gold_patient.parquet")["subject_id"].to_list() == [11, 12]


def test_without_a_release_the_tables_have_the_same_columns(connection, tmp_path):
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    root = write_release(tmp_path / "in", [mention("a", "pneumonia", 1)], gold=[1])
    write_imagenome(connection, str(root), tmp_path / "with")
    for name in imagenome.TABLES.keys() | imagenome.FILTERS.keys():
        connection.execute(f"DROP TABLE {name}")
    assert write_imagenome(connection, "", tmp_path / "without") == []
    for name in ("attribute", "change", "gold_patient"):
        whole = pl.read_parquet(tmp_path / "with" / f"{name}.parquet")
        empty = pl.read_parquet(tmp_path / "without" / f"{name}.parquet")
        assert empty.schema == whole.schema
        assert empty.height == (2 if name == "change" else 0)


def test_a_release_is_found_below_a_download(tmp_path):
    root = tmp_path / "physionet.org" / "files" / "chest-imagenome" / "1.0.0"
    write_release(root)
    found = find_files(str(tmp_path))
    assert set(found) == {"imagenome_attribute", "imagenome_comparison"}
    assert all(file.is_relative_to(root) for file in found.values())
    assert find_files("") == {}


def test_a_folder_that_is_no_release_is_refused(tmp_path):
    with pytest.raises(ContractError, match=r"found none; set paths.chest_imagenome"):
        find_files(str(tmp_path))
    (tmp_path / "silver_dataset").mkdir()
    with pytest.raises(ContractError, match=r"none of Chest ImaGenome's tables; unpack"):
        find_files(str(tmp_path))
    for name in ("one", "two"):
        (tmp_path / "two" / name / "silver_dataset").mkdir(parents=True)
    with pytest.raises(ContractError, match="holds several releases"):
        find_files(str(tmp_path / "two"))


def test_a_missing_column_is_named(connection, tmp_path):
    root = write_release(tmp_path / "in")
    path = root / TABULAR / "comparison_relations_tabular.txt"
    path.write_text("subject_id\tobject_id\tcomparison\n")
    with pytest.raises(ContractError, match="no column 'attribute' in its header"):
        write_imagenome(connection, str(root), tmp_path)


def test_the_cohort_writes_them_and_counts_in_its_ledger(tmp_path):
    films = [film("a", 0, 1), film("b", 20, 2)]
    tables = {"cxr_metadata": films, "chartevents": heart_rates(*range(1, 20))}
    built = build(tmp_path, "ddl_cxr", tables, until="cohort")
    assert built.rows("cohort", "change", '"pneumonia"') == [(None,)]
    mentions = [mention("a", "pneumonia", 1), mention("b", "abnormal", 1)]
    release = tmp_path / "imagenome"
    write_release(release, mentions, [compare("b", "a", "pneumonia", "improved")])
    params = tiny_params(tmp_path, paths={"chest_imagenome": str(release)})
    cohort.run(params, built.recipe)
    assert built.rows("cohort", "attribute", 'dicom_id, "pneumonia"') == [("a", 1)]
    assert built.rows("cohort", "change", '"pneumonia"') == [("improved",)]
    assert built.removed("cohort", "ImaGenome attribute") == {"an attribute of no label": 1}


def test_a_changed_release_makes_what_was_prepared_out_of_date(tmp_path):
    films = [film("a", 0, 1), film("b", 20, 2)]
    tables = {"cxr_metadata": films, "chartevents": heart_rates(*range(1, 20))}
    built = build(tmp_path, "ddl_cxr", tables, until="cohort")
    release = write_release(tmp_path / "imagenome", [mention("a", "pneumonia", 1)])
    params = tiny_params(tmp_path, paths={"chest_imagenome": str(release)})
    prepare(params, built.recipe)
    assert built.rows("cohort", "attribute", 'dicom_id, "pneumonia"') == [("a", 1)]
    path = release / TABULAR / "attribute_relations_tabular.txt"
    before = facts_of_files(str(release))
    path.write_text(text(ATTRIBUTE_HEADER, [mention("a", "pneumonia", 0), mention("b", "x", 1)]))
    assert facts_of_files(str(release)) != before
    prepare(params, built.recipe)
    assert built.rows("cohort", "attribute", 'dicom_id, "pneumonia"') == [("a", 0)]
