"""`examples/research.ipynb` runs from its first cell to its last, and says what it says."""

import shutil
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.support.deadlines import deadline

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_notebook_runs(tmp_path: Path) -> None:
    for name in ("alphawire.yaml", "data"):
        copy = shutil.copytree if (EXAMPLES / name).is_dir() else shutil.copy
        copy(EXAMPLES / name, tmp_path / name)
    notebook = nbformat.read(EXAMPLES / "research.ipynb", as_version=4)
    shown = texts_of(notebook)
    client = NotebookClient(
        notebook, timeout=int(deadline(120)), coalesce_streams=True, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    assert texts_of(notebook) == shown


def texts_of(notebook: nbformat.NotebookNode) -> list[str]:
    """What its cells print and show, but pictures."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs]
    return [text for text in texts if not text.startswith("<Figure")]
