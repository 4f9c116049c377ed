from benchmarks.profiles import costs, without_paths


def test_costs_are_of_the_functions_themselves() -> None:
    raw = "a (x/a.py:1);b (x/b.py:2) 30\na (x/a.py:1);b (x/b.py:9) 30\na (x/a.py:1) 40\n"
    assert costs(raw) == [("b (x/b.py)", 60.0), ("a (x/a.py)", 40.0)]


def test_where_packages_are_installed_is_left_out() -> None:
    assert without_paths("f (/opt/x/lib/python3.11/site-packages/uvicorn/server.py)") == "f (uvicorn/server.py)"


def test_the_command_is_no_part_of_a_graph() -> None:
    assert (
        without_paths('<text id="title">/opt/bin/py-spy record --output /opt/out.svg</text>')
        == '<text id="title">py-spy</text>'
    )
