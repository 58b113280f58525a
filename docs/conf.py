"""Settings of the documentation; ``make docs`` builds it with warnings as errors."""

from __future__ import annotations

import sys
from pathlib import Path

import bulkgen

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "bulkgen"
author = "The bulkgen developers"
version = release = bulkgen.__version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_design",
    "sphinx_copybutton",
    "command_line",
    "inherited_fields",
    "made_pages",
    "metrics_table",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_extensions", "_templates"]

# quotes and ellipses, not dashes: "--thin" is an option
smartquotes_action = "qe"

html_theme = "sphinx_book_theme"
html_title = "bulkgen"
html_static_path = ["_static"]
html_css_files = ["bulkgen.css"]
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": False,
    "show_navbar_depth": 1,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navbar_persistent": [],
}
html_copy_source = False
html_show_copyright = False

# console blocks are copied without their prompts and their output
copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .gp, .go"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
# links of included pages are to other pages of the site
myst_all_links_external = False

# notebooks are run when they, or the version, have changed; a failing cell fails the build
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True
# progress bars, and warnings of others with places of the machine in them
nb_output_stderr = "remove"

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

nitpicky = True
nitpick_ignore_regex = [
    # other projects, whose pages a build without a network cannot look up
    (r"py:.*", r"(anndata|numpy|np|pandas|pd|scipy|sp|torch|datasets|transformers|dask|distributed|concurrent)\..*"),
    (r"py:.*", r"huggingface_hub\..*"),
    (r"py:.*", r"(ValueError|TypeError|FileNotFoundError|MemoryError|KeyError|IndexError|OSError|UserWarning)"),
]
