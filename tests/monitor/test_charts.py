"""What the dashboard draws, and how its tables are cut."""

from __future__ import annotations

import pytest

from forge.monitor.charts import dashboard_claim_chart, dashboard_curve_chart
from forge.monitor.frame import escape_streamlit_markdown, readable_dashboard_rows, readable_dashboard_value
from forge.pipeline.metrics.recorded import metric_value_text

CLAIM = {"metric": "exact match", "value": 0.5, "control_value": 0.4, "ci95": (0.05, 0.15), "passed": True}


def test_a_curve_fills_its_axis() -> None:
    chart = dashboard_curve_chart([0, 1, 2], [1.0, 1.02, 1.04])
    assert chart["mark"]["type"] == "line"
    assert chart["encoding"]["y"]["scale"] == {"zero": False}
    assert chart["data"]["values"][2] == {"step": 2, "value": 1.04}
    assert dashboard_curve_chart([0], [1.0])["mark"]["type"] == "point"  # one point makes no line


def test_a_claim_is_drawn_with_value_control_and_interval() -> None:
    chart = dashboard_claim_chart(CLAIM)
    (drawn,) = chart["data"]["values"]
    assert drawn == pytest.approx({"value": 0.5, "control": 0.4, "low": 0.45, "high": 0.55})
    assert [layer["mark"]["type"] for layer in chart["layer"]] == ["rule", "rule", "point"]
    assert chart["layer"][1]["encoding"]["x2"] == {"field": "high"}
    low, high = chart["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert low < 0.4 < 0.55 < high
    assert len(dashboard_claim_chart({**CLAIM, "ci95": None})["layer"]) == 2  # nothing was sampled


@pytest.mark.parametrize(("value", "interval"), [(0.05, (0.0, 0.0)), (0.0, (0.0, 0.0)), (-3.0, None)])
def test_a_claim_whose_values_are_one_still_has_an_axis(value: float, interval: tuple[float, float] | None) -> None:
    claim = {**CLAIM, "value": value, "control_value": value, "ci95": interval, "passed": False}
    low, high = dashboard_claim_chart(claim)["layer"][0]["encoding"]["x"]["scale"]["domain"]
    assert low < value < high


def test_a_table_has_no_empty_column_and_no_none() -> None:
    rows = [{"a": 1234, "b": None, "c": "", "d": 0, "e": "x"}, {"a": None, "b": None, "c": "", "d": 0.5, "e": None}]
    shown, settings = readable_dashboard_rows(rows)
    assert shown == [{"a": "1,234", "d": 0, "e": "x"}, {"a": "", "d": 0.5, "e": ""}]
    assert (settings["a"]["alignment"], settings["d"]["type_config"]["format"]) == ("right", "localized")
    assert set(settings) == {"a", "d"}
    assert readable_dashboard_rows([]) == ([], {})


def test_a_cell_neither_hides_nor_turns_around_what_it_says() -> None:
    shown, _ = readable_dashboard_rows([{"a": "x\u202ey", "b": ["\x9b2J", 3], "c": 4}])
    assert shown == [{"a": "x\\u202ey", "b": ["\\x9b2J", 3], "c": 4}]
    assert readable_dashboard_value({"\u2066k": {"n": ["\x1b[2J"]}}) == {"\\u2066k": {"n": ["\\x1b[2J"]}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (True, "True"), ("cpu", "cpu"), (1213641, "1,213,641"), (3.7087135314941406, "3.70871"),
        (12345.678, "12,345.7"), (1.5e9, "1,500,000,000"), (-2e6, "-2,000,000"), (1e-9, "1e-09"), (0.0, "0"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_separators(value: object, text: str) -> None:
    assert metric_value_text(value) == text


def test_text_of_others_hides_nothing_on_a_page() -> None:
    assert escape_streamlit_markdown("a*b\u202ec\x1b[2J") == r"a\*b\\u202ec\\x1b\[2J"
