"""A notebook that was run with nobody watching keeps each widget as a picture, also in nbgrader's feedback."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbgrader.converters import GenerateFeedback
from traitlets.config import Config

CELL = """
from drydock.model.layer import Entry, Layer
from drydock.model.image import HistoryRow, Image, ImageConfig
from drydock_widgets import LayerStack
layer = Layer("sha256:" + "1" * 64, "", 5, (Entry("etc/motd", "file", 5),))
rows = (HistoryRow("COPY motd /etc/", layer=0),)
LayerStack(Image("sha256:1", ("lab/saved",), "linux/amd64", ImageConfig(), rows, (layer,)))
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A notebook with one widget, executed without a browser and without saved widget state."""
    home = tmp_path_factory.mktemp("saved")
    cells = [nbformat.v4.new_code_cell(CELL)]
    book = nbformat.v4.new_notebook(cells=cells)
    NotebookClient(book, store_widget_state=False, resources={"metadata": {"path": str(home)}}).execute()
    return book


def test_html_shows_the_picture_its_sentence_and_its_table(ran):
    page, _ = HTMLExporter().from_notebook_node(ran)
    assert "data:image/svg+xml;base64," in page and "<figcaption>" in page and "etc/motd" in page


def test_nbgrader_feedback_shows_the_picture(ran):
    exporter = HTMLExporter(config=Config(GenerateFeedback().config), template_name="feedback")
    exporter.extra_template_basedirs = GenerateFeedback().config.HTMLExporter.extra_template_basedirs
    marks = {"notebook": "saved", "score": 1, "max_score": 1, "late_penalty": 0}
    page, _ = exporter.from_notebook_node(ran, resources={"nbgrader": marks})
    assert "data:image/svg+xml;base64," in page and "<figcaption>" in page
