"""The page of `dvc plots` opens offline: it carries Vega and names nothing elsewhere, wherever DVC writes it."""

import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from dvc_render.vega_templates import get_template
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY, Project

PLOTS = REPOSITORY / ".dvc" / "plots"
STEPS = [("candidates", 146), ("duration", 42), ("bright", 30), ("cut", 29)]  # in no alphabetical order


class Page(HTMLParser):
    """What a page's elements load, and what its scripts hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.scripts: list[str] = []
        self.policy = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.loads += [named[name] for name in ("src", "href", "data") if name in named]
        if tag == "script":
            self.scripts.append("")
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"]

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += data


@pytest.fixture
def plotted(project: Project) -> Project:
    """A project with this repository's DVC settings, a funnel, histograms and a picture."""
    shutil.copy(REPOSITORY / ".dvc" / "config", project.root / ".dvc" / "config")
    shutil.copytree(PLOTS, project.root / ".dvc" / "plots")
    project.write("funnel.csv", "step,kept\n" + "".join(f"{step},{kept}\n" for step, kept in STEPS))
    project.write(
        "histograms.csv",
        """\
        rule,score,bin_from,bin_to,count,threshold,keeps
        00 dark,luma,0,20,3,20,>=
        00 dark,luma,20,40,5,20,>=
        """,
    )
    shutil.copy(REPOSITORY / "docs" / "funnel.png", project.root / "picture.png")
    project.write(
        "dvc.yaml",
        """\
        plots:
          - funnel.csv: {x: kept, y: step, template: funnel, title: Left}
          - histograms.csv: {x: bin_from, y: count, template: histograms, title: Scores}
          - picture.png
        """,
    )
    project.commit()
    return project


def elsewhere(page: Page) -> list[str]:
    return [what for what in page.loads if re.match(r"(?:\w+:)?//", what)]


def test_page_carries_vega_and_loads_nothing_from_elsewhere_wherever_it_lies(plotted: Project) -> None:
    folder = plotted.root / "a" / "folder of my own"
    folder.mkdir(parents=True)
    plotted.dvc("plots", "show", "-o", str(folder))
    text = (folder / "index.html").read_text(encoding="utf8")
    page = Page(text)
    assert elsewhere(page) == []
    (picture,) = page.loads
    assert (folder / picture).is_file()
    inlined = "".join(page.scripts)
    assert inlined.count("vegaEmbed('#") == 2 and 'version="5.' in inlined
    assert page.policy.startswith("default-src 'none'")
    assert not re.search(r"\{(plot_divs|refresh_tag|scripts)\}|<DVC_METRIC_", text)


def test_diff_shows_both_revisions_on_the_same_page(plotted: Project) -> None:
    plotted.write("funnel.csv", "step,kept\ncandidates,146\nduration,77\n")
    plotted.dvc("plots", "diff", "HEAD")
    page = Page((plotted.root / "dvc_plots" / "index.html").read_text(encoding="utf8"))
    assert elsewhere(page) == []
    (script,) = [script for script in page.scripts if '"Left"' in script]
    spec, _ = json.JSONDecoder().raw_decode(script.partition("var spec = ")[2])
    kept = {(row["rev"], row["step"]): row["kept"] for row in spec["data"]["values"]}
    assert kept["HEAD", "duration"] == "42" and kept["workspace", "duration"] == "77"


def test_funnel_keeps_the_order_of_steps_and_begins_at_zero(plotted: Project) -> None:
    spec = json.loads(plotted.dvc("plots", "show", "--show-vega", "funnel.csv").stdout)
    assert [row["step"] for row in spec["data"]["values"]] == [step for step, _ in STEPS]
    encoding = spec["spec"]["encoding"]
    assert encoding["y"]["field"] == "step" and encoding["y"]["sort"] is None
    assert encoding["x"]["scale"]["zero"] is True


def test_carried_builds_are_the_ones_named_byte_for_byte() -> None:
    text = (PLOTS / "page.html").read_text(encoding="utf8")
    named = dict(re.findall(r"^  (\S+@[\d.]+) +([0-9a-f]{64})$", text, re.MULTILINE))
    builds = re.findall(r'<script data-package="([^"]+)">\n(.*?)\n</script>', text, re.DOTALL)
    assert [name.partition("@")[0] for name in named] == ["vega", "vega-lite", "vega-embed"]
    assert {name: hashlib.sha256(build.encode()).hexdigest() for name, build in builds} == named


def test_licence_of_each_carried_build_lies_beside_it() -> None:
    text = (PLOTS / "page.html").read_text(encoding="utf8")
    licences = (PLOTS / "licences.txt").read_text(encoding="utf8")
    for package in re.findall(r'data-package="([^"]+)"', text):
        assert package.replace("@", " ") + " (BSD-3-Clause)" in licences


def templates() -> list[str]:
    plots = YAML(typ="safe").load(REPOSITORY / "dvc.yaml").get("plots", [])
    return sorted(
        {p["template"] for entry in plots if isinstance(entry, dict) for p in entry.values() if "template" in p}
    )


@pytest.mark.parametrize("name", templates())
def test_template_that_dvc_yaml_names_is_there(name: str) -> None:
    assert get_template(name, str(PLOTS)).content["data"] == {"values": "<DVC_METRIC_DATA>"}
    assert Path(PLOTS / f"{name}.json").is_file()
