from tests.fuzz.sqlguard import fuzz


def test_mutated_statements_do_no_harm() -> None:
    found = fuzz(seconds=3, seed=1)
    assert found["problem"] is None, found
    assert found["number"] > 50
