"""Mathematics as MathML, which browsers show by themselves: no script, no network.

Docutils has the translator from TeX; this connects it to Sphinx.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.errors import ExtensionError

OVERLINE = re.compile(r'<mover accent="false">(.*?)<mo accent="true">_</mo>\s*</mover>', re.DOTALL)


def setup(app):
    """Register the renderer; ``html_math_renderer = "mathml"`` chooses it."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator, node):
    translator.body.append(_translate(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(translator, node):
    translator.body.append(translator.starttag(node, "div", CLASS="math"))
    translator.body.append(_translate(_aligned(node.astext()), as_block=True))
    translator.body.append("</div>\n")
    raise nodes.SkipNode


def _aligned(source):
    """Return several lines in the environment that aligns them, as Sphinx's other renderers do."""
    return rf"\begin{{aligned}}{source}\end{{aligned}}" if r"\\" in source else source


def _translate(source, *, as_block):
    try:
        out = tex2mathml(_with_braces(source), as_block=as_block)
    except MathError as error:
        raise ExtensionError(f"no MathML for {source!r}: {error}") from error
    # Browsers do not stretch a line over what it covers; a border they do (see site.css).
    return OVERLINE.sub(r'<mrow class="overline">\1</mrow>', out)


def _with_braces(source):
    r"""Return TeX with the braces that it may leave out and the translator needs.

    It reads ``\frac12`` as 12 over what follows, and an index of ``\hat\rho`` as a limit.
    """
    source = re.sub(r"\\([dt]?frac)(\w)(\w)", r"\\\1{\2}{\3}", source)
    return re.sub(r"(?<!\{)\\(hat|bar|tilde)\s*(\\\w+|\w)", r"{\\\1{\2}}", source)
