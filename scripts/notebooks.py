"""Run the notebooks of the docs on a demo directory, and convert them to pages (`make docs`).

python scripts/notebooks.py demo .site/notebooks

MkDocs renders the pages, because Jupyter's pages load scripts and fonts from other hosts.
Interactive maps do so when displayed, so a note replaces the output of cells tagged "interactive".
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter
from nbformat import NotebookNode

from geoseg.files import write_bytes

NOTEBOOKS = Path(__file__).resolve().parents[1] / "docs" / "notebooks"
INTERACTIVE = "(an interactive map: run the notebook online to see it)"
TIMEOUT_S = 600


def main(demo: Path, out: Path) -> None:
    """Write NAME.md and its pictures for every notebook."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        pictures = f"{path.stem}_files"
        exporter = MarkdownExporter()
        resources = {"unique_key": path.stem, "output_files_dir": pictures}
        text, made = exporter.from_notebook_node(_shown(executed(path, demo)), resources)
        for name, picture in made["outputs"].items():
            write_bytes(out / name, picture)
        write_bytes(out / f"{path.stem}.md", text.encode())
        sys.stdout.write(f"{out / path.stem}.md\n")


def executed(path: Path, demo: Path) -> NotebookNode:
    """The notebook with its outputs, run in a folder that contains nothing but demo/.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "demo").symlink_to(demo.absolute(), target_is_directory=True)
        place = {"metadata": {"path": folder}}
        return NotebookClient(notebook, timeout=TIMEOUT_S, resources=place).execute()


def _shown(notebook: NotebookNode) -> NotebookNode:
    """The notebook without stderr, as warnings contain local paths, and with plain tables."""
    for cell in notebook.cells:
        if "outputs" in cell:
            cell["outputs"] = [each for each in cell["outputs"] if each.get("name") != "stderr"]
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "interactive" in cell.metadata.get("tags", ()):
                output["data"] = {"text/plain": INTERACTIVE}
            elif 'class="dataframe"' in data.get("text/html", ""):
                data["text/html"] = _plain_table(data["text/html"])
            elif "text/plain" in data:
                data.pop("text/html", None)
    return notebook


def _plain_table(html: str) -> str:
    """A pandas table without inline styles, so that the site's styles apply."""
    html = re.sub(r"<style scoped>.*?</style>", "", html, flags=re.DOTALL)
    return html.replace(' border="1" class="dataframe"', "").replace(
        ' style="text-align: right;"', ""
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
