"""The course as nbgrader sees it: source/ is the source; what the steps make lies beside it, below grading/."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
# nbgrader calls alembic, which lies beside the Python that runs this
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
c = get_config()  # noqa: F821  nbgrader calls this file with it

c.CourseDirectory.course_id = "ac295"
ROOT = os.environ.get("DRYDOCK_COURSE") or str(HERE.parent)
c.CourseDirectory.root = ROOT
c.CourseDirectory.db_url = f"sqlite:///{ROOT}/grading/gradebook.db"
for step in ("source", "release", "submitted", "autograded", "feedback"):
    c.CourseDirectory[f"{step}_directory"] = f"grading/{step}"
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", ".pytest_cache", "key.py"]
c.CourseDirectory.max_file_size = 60_000  # kB: an artifact has 50 MB at most

# What is done in an editor or a terminal needs no line in the notebook: the place for it raises nothing.
c.ClearSolutions.code_stub = {"python": "# Your lines here, or none where you did it in the editor or in a terminal."}
if os.environ.get("DRYDOCK_EXCHANGE"):  # a folder that all can write to, where students fetch and submit
    c.Exchange.root = os.environ["DRYDOCK_EXCHANGE"]
# downloaded/ASSIGNMENT/archive/STUDENT.zip, as a learning platform gives them
c.ZipCollectApp.downloaded_directory = "grading/downloaded"
c.ZipCollectApp.extractor_plugin = "drydock_grading.zips.Zips"
c.FileNameCollectorPlugin.named_regexp = r".*/extracted/(?P<student_id>[^/]+)/(?P<file_id>[^/]+)$"
c.FileNameCollectorPlugin.valid_ext = [".ipynb", ".json", ".tar"]

# Whatever comes in is put right first: nbgrader stops at a copied cell, and a deleted test would count as not graded.
c.Autograde.pre_convert_hook = "drydock_grading.intake.set_aside"
c.Autograde.exporter_class = "drydock_grading.intake.SubmissionExporter"
c.Autograde.sanitize_preprocessors = [
    "drydock_grading.intake.Intake",
    "nbgrader.preprocessors.ClearOutput",
    "nbgrader.preprocessors.DeduplicateIds",
    "nbgrader.preprocessors.OverwriteKernelspec",
    "nbgrader.preprocessors.OverwriteCells",
    "nbgrader.preprocessors.CheckCellMetadata",
]
# How a submission is executed: the one line to change for another way. This one runs students' code as you.
EXECUTION = "drydock_grading.execution.ExecuteHere"
c.Autograde.autograde_preprocessors = [
    "drydock_grading.preprocessor.TakeArtifact",
    EXECUTION,
    "nbgrader.preprocessors.IgnorePattern",
    "nbgrader.preprocessors.LimitOutput",
    "drydock_grading.preprocessor.ArtifactCheck",
    "nbgrader.preprocessors.SaveAutoGrades",
    "nbgrader.preprocessors.AssignLatePenalties",
    "nbgrader.preprocessors.CheckCellMetadata",
]
c.OverwriteCells.add_missing_cells = True
c.Execute.shutdown_kernel = "immediate"
c.Execute.extra_arguments = [
    "--IPKernelApp.log_level=40"
]  # else each kernel warns of itself, a line for each submission
c.Execute.store_widget_state = False  # feedback has no kernel: it shows the widgets' pictures
c.ArtifactCheck.registries = []  # registries that the grader may ask, say ["localhost:5055"]

c.GenerateFeedback.preprocessors = [
    "nbgrader.preprocessors.GetGrades",
    "drydock_grading.preprocessor.HideHidden",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]
