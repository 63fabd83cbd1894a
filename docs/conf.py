"""The site: ``python -m sphinx -E -W --keep-going -b html docs build/site/html``.

Nothing is downloaded, neither for the build nor by the pages. The notebooks of ``examples/`` are
shown without their results unless MONTEZARR_DOCS_NOTEBOOKS=force, which runs them all.
"""

import os
import sys
from pathlib import Path

import montezarr

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "montezarr"
author = "The montezarr developers"
copyright = "The montezarr developers"
version = release = montezarr.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "examples",
    "mathml",
    "public_names",
]
templates_path = ["_templates"]
exclude_patterns = ["_ext", "_templates", "_static", "reference/api/generated/all.rst"]
nitpicky = False
# A name in single backticks becomes a link where there is something of that name.
default_role = "py:obj"

# --- pages -----------------------------------------------------------------------------------

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
nb_execution_mode = os.environ.get("MONTEZARR_DOCS_NOTEBOOKS", "off")
nb_execution_raise_on_error = True
nb_execution_timeout = 600
html_math_renderer = "mathml"

# --- the reference ---------------------------------------------------------------------------

autodoc_typehints = "none"  # the docstrings have the types, in words
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# --- how it looks ----------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = f"montezarr {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_sidebars = {"index": [], "install": []}
html_theme_options = {
    "logo": {"text": "montezarr"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "navigation_with_keys": False,
}
pygments_style = "friendly"
