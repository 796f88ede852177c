from cxrfuture_data import console


def test_off_a_terminal_long_work_ends_with_one_line(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_WORTH_A_LINE", 0.0)
    with console.progress("image", 1200, "films") as advance:
        advance(1000)
        advance(200)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("image: 1,200 of 1,200 films in ")


def test_off_a_terminal_a_line_comes_when_it_is_due(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    with console.progress("image", 2, "films") as advance:
        advance(1, "21.0 films/s")
    assert capsys.readouterr().err.splitlines() == ["image: 1 of 2 films 21.0 films/s"]


def test_what_is_done_at_once_says_nothing(capsys):
    with console.progress("check", 0, "samples"):
        pass
    assert capsys.readouterr().err == ""


def test_only_one_rank_shows_its_progress(capsys, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_WORTH_A_LINE", 0.0)
    with console.progress("fit_diffusion", 30, "steps", is_shown=False) as advance:
        advance(30)
    assert capsys.readouterr().err == ""
