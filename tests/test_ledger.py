from etl.ledger import Drop, read_ledger, write_ledger


def test_a_ledger_reads_back_in_the_order_the_filters_ran(tmp_path):
    drops = [Drop("cohort", "stay", "02 b", 10, 3), Drop("cohort", "stay", "01 a", 7, 0)]
    write_ledger(tmp_path, drops)
    assert read_ledger(tmp_path) == drops


def test_after_is_before_less_removed():
    assert Drop("cohort", "stay", "a", before=10, removed=3).after == 7


def test_a_stage_that_filters_nothing_has_no_drops(tmp_path):
    assert read_ledger(tmp_path) == []
