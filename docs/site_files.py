"""A hook of MkDocs: the site has the repository's layout, so that one relative link leads to the same place on both.

README.md lies at the root, the pages in ``docs``, and they link to examples and licences. MkDocs reads one folder; this
gives it the pages, and every file that a page links to, under the paths that they have here.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
ELSEWHERE = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/data/README.md"]
"""Pages that do not lie in ``docs``."""

_LINK = re.compile(r"\]\(([^)#\s]+)")


def linked(page: str) -> set[str]:
    """The files of the repository that a page links to, pages aside."""
    folder = (ROOT / page).parent
    targets = [folder / target for target in _LINK.findall((ROOT / page).read_text()) if "://" not in target]
    files = {path.resolve().relative_to(ROOT).as_posix() for path in targets if path.is_file()}
    return {file for file in files if not file.endswith(".md")}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Every file under its path from the repository's root; the theme's own stay where they are."""
    theme = [file for file in files if file.src_dir != config.docs_dir]
    own = {f"docs/{file.src_uri}" for file in files if file.src_dir == config.docs_dir}
    pages = sorted({*ELSEWHERE, *(path for path in own if path.endswith(".md"))})
    assets = {path for path in own if path.endswith((".css", ".js", ".png", ".svg"))}
    paths = [*pages, *sorted(assets.union(*map(linked, pages)))]
    return Files([*theme, *(File(path, str(ROOT), config.site_dir, config.use_directory_urls) for path in paths)])
