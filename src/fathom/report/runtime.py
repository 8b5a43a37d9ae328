"""What makes the charts of a page live without a network: Vega's run time and the charts, compressed into the page."""

import base64
import gzip
import importlib.resources
import json
import os
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from ..engine.checkpoint import write_whole
from ..process import cache_root

#: What the page's script calls; the bundle of vl-convert holds Vega and Vega-Lite with it.
_SNIPPET = "window.vegaEmbed = vegaEmbed;"


def packed(content: Mapping[str, Any]) -> str:
    """Vega's run time and the content of a page, compressed: about 400 kB and a third of the content.

    Args:
        content: what the page's script reads, JSON-safe.

    Returns:
        Two elements of data that no browser runs by itself.
    """
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return (
        f'<script type="application/octet-stream" id="vega">{vega()}</script>\n'
        f'<script type="application/octet-stream" id="content">{_packed(text)}</script>\n'
    )


def script() -> str:
    """The page's own script."""
    return importlib.resources.files("fathom.report").joinpath("page.js").read_text(encoding="utf-8")


def vega() -> str:
    """Vega's run time, compressed; made once for each version (about a second) and kept in the cache folder."""
    import vl_convert

    path = cache_root(os.environ) / "vega" / f"{metadata.version('vl-convert-python')}-{len(_SNIPPET)}.gz.txt"
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        pass
    text = _packed(vl_convert.javascript_bundle(_SNIPPET))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
    except OSError:
        pass  # no place to keep it: the next report makes it again
    return text


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()
