"""What happens to a page of the documentation while the site is built; mkdocs.yml names this file.

Equations become MathML, so that pages need no script and no network.
"""

import html
import logging
import re
from typing import Any

from latex2mathml.converter import convert

_EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)
_UPRIGHT = re.compile(r"\\mathrm\{(\w)\}")  # of one letter, which the converter would make italic
_NAMED = re.compile(r'(<mi>(?:log|exp|sin|diag)</mi>)(?!<mo stretchy="false">&#x00028;)')
_BAR = re.compile(r"(?<=<code>)[^<]*\\\|[^<]*(?=</code>)")
_SPACE = '<mspace width="0.17em"/>'
_log = logging.getLogger("mkdocs.plugins.site_hooks")


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """Turn equations that arithmatex has marked into MathML, and bars in code that tables have escaped into bars."""

    def mathml(found: re.Match[str]) -> str:
        latex, display = html.unescape(found[3]).strip(), "block" if found[2] == "[" else "inline"
        try:
            made = convert(_UPRIGHT.sub(r"\\text{\1}", latex), display=display)
        except Exception as error:  # of several unrelated kinds; a warning ends a strict build
            _log.warning("%s: cannot convert the equation %r: %r", page.file.src_uri, latex, error)
            return found[0]
        return _NAMED.sub(rf"\1{_SPACE}", made)

    content = _EQUATION.sub(mathml, content)
    return _BAR.sub(lambda code: code[0].replace(r"\|", "|"), content)
