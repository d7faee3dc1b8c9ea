"""What `dvc plots` draws and the page that it draws on: nothing from elsewhere, nothing but curves and claims."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from dvc_render.html import HTML
from dvc_render.vega import VegaRenderer

from forge.config import read_params_yaml
from forge.files import read_json
from forge.pipeline.records.tracking import record_all_metrics

ROOT = Path(__file__).resolve().parents[3]
TEMPLATES = ROOT / ".dvc/plots"


@pytest.fixture(scope="module")
def page() -> str:
    """A page as DVC makes it of the template that .dvc/config names."""
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc/config")
    text = (ROOT / ".dvc" / config["plots"]["html_template"]).read_text(encoding="utf-8")
    return HTML(text).with_scripts(VegaRenderer.SCRIPTS).with_element("<div id='one'>−1.5</div>").embed()


def test_the_page_says_its_encoding_and_holds_what_draws(page: str) -> None:
    assert '<meta charset="utf-8">' in page[:1024]
    assert "−1.5" in page
    for library in ("vega", "vega-lite", "vega-embed"):
        assert re.search(rf"{library} \d+\.\d+\.\d+ \(build/{library}\.min\.js\)", page), library
    assert page.count("<script>") == page.count("</script>") == 4
    assert len(page.encode()) < 900_000


def test_the_page_fetches_nothing(page: str) -> None:
    assert "jsdelivr" not in page
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)
    assert re.findall(r"<(?:script|link|img|iframe)\b", own) == []
    assert "connect-src 'none'" in page
    assert "editor: false" in page


@pytest.mark.parametrize(
    ("name", "rows", "axes"),
    [
        ("curves", [{"step": "1", "loss_avg_100": "0.5"}], {"x": "step", "y": "loss_avg_100"}),
        (
            "labeled",
            [{"bytes": 3, "accuracy_tools": 0.5, "phase": "1 cognate"}],
            {"x": "bytes", "y": "accuracy_tools"},
        ),
        ("claims", [{"claim": "it works", "value": 1, "ci95": [0, 1]}], {"x": "value", "y": "claim"}),
    ],
)
def test_our_templates_are_filled(name: str, rows: list[dict[str, Any]], axes: dict[str, str]) -> None:
    rows = [{**row, "rev": "workspace", "filename": "results/x.tsv"} for row in rows]
    filled = json.dumps(VegaRenderer(rows, "x", template=name, template_dir=TEMPLATES, **axes).get_filled_template())
    assert "<DVC_METRIC" not in filled
    assert "/v6.json" in filled


def test_curves_do_not_begin_at_zero_and_claims_show_their_interval() -> None:
    curves, claims = (read_json(TEMPLATES / f"{name}.json") for name in ("curves", "claims"))
    assert curves["encoding"]["y"]["scale"]["zero"] is False, "an evolution from 1.00 to 1.04 would be a flat line"
    (interval,) = (layer["encoding"]["x"] for layer in claims["layer"] if layer["mark"]["type"] == "rule")
    bounds = {step["as"]: step["calculate"] for step in claims["transform"] if "as" in step}
    assert (bounds[interval["field"]], claims["layer"][1]["encoding"]["x2"]["field"]) == ("datum.ci95[0]", "high")
    assert (bounds["high"], bounds["difference"]) == ("datum.ci95[1]", "datum.value - datum.control_value")


def test_all_metrics_are_not_drawn(tmp_path: Path) -> None:
    from dvc.render.converter.vega import VegaConverter

    record_all_metrics(tmp_path / "all.json", "edge", {"a": 1.5, "b/c": 2})
    data = {"all.json": read_json(tmp_path / "all.json")}
    assert VegaConverter("all.json", data, {}).flat_datapoints("workspace") == ([], {})


def test_losses_are_drawn_smoothed() -> None:
    plots = [plot for plot in read_params_yaml(ROOT / "dvc.yaml")["plots"] if isinstance(plot, dict)]
    series = {title: plot["y"] for entry in plots for title, plot in entry.items()}
    for title in ("loss of the branches", "loss after the merge"):
        assert set(series[title].values()) == {"loss_avg_100"}
        assert all(file.endswith("/train/loss_avg_100.tsv") for file in series[title])
    assert "results/quietstar/plots/metrics/train/loss_avg_100.tsv" in series["loss after the merge"]
