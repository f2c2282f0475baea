from outcomes_made import decoder, outcome, tensor

from pytest_keras_golden.report.junit import properties


def test_a_drift_names_its_layers_in_strings() -> None:
    found = dict(properties(decoder(3)))
    assert found["golden.verdict"] == "drift"
    assert found["golden.local_drift"] == "blocks/*/norm, final_norm"
    assert found["golden.strain"] == "1.8"
    assert all(type(value) is str for value in found.values())


def test_absent_facts_are_left_out() -> None:
    found = dict(properties(outcome(tensor("a", 0))))
    assert found["golden.verdict"] == "identical"
    assert "golden.first_drift" not in found
