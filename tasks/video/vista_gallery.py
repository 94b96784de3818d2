"""A page that plays one item of each subset, with box and interval of what is asked of; it needs no other file."""

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>VISTA items</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 1240px; padding: 0 1em; color: #222; }}
main {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(540px, 1fr)); gap: 2em; }}
h2 {{ font-size: 1.1em; margin: 0 0 .4em; }}
.screen {{ position: relative; line-height: 0; background: #000; }}
video {{ width: 100%; }}
.box {{ position: absolute; border: 3px solid #ff2d55; box-sizing: border-box; visibility: hidden; }}
.box {{ pointer-events: none; }}
.box.on {{ visibility: visible; }}
.line {{ position: relative; height: 12px; margin-top: 3px; background: #ddd; }}
.line i {{ position: absolute; top: 0; bottom: 0; background: #ff2d55; }}
.line b {{ position: absolute; top: -2px; bottom: -2px; width: 2px; background: #111; }}
.asked {{ white-space: pre-wrap; }}
.right {{ font-weight: 600; }}
small {{ color: #666; }}
</style></head><body>
<h1>VISTA items</h1>
<p>One item of each subset. The bar below a video shows when what is asked of is seen (red) and where the video is
(black); the frame in the picture is where.</p>
<main>
{items}
</main>
<script>
for (const item of document.querySelectorAll("article")) {{
  const video = item.querySelector("video"), mark = item.querySelector(".line b");
  const spans = JSON.parse(item.dataset.spans);
  const draw = () => {{
    const now = video.currentTime;
    mark.style.left = 100 * now / (video.duration || 1) + "%";
    const on = spans.some(([from, to]) => from <= now + 1e-3 && now < to);
    for (const box of item.querySelectorAll(".box")) box.classList.toggle("on", on);
    if (!video.paused) requestAnimationFrame(draw);
  }};
  for (const name of ["play", "seeked", "timeupdate"]) video.addEventListener(name, draw);
  const begin = () => {{ video.currentTime = (spans[0][0] + spans[0][1]) / 2; }};
  if (video.readyState) begin(); else video.addEventListener("loadedmetadata", begin);
}}
</script>
</body></html>
"""


def one_of_each(rows: Sequence[Row]) -> list[Row]:
    """Return an item of each subset that has a file: the first, or the first choice where there is one."""
    found: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (row["family"], row["answer_type"] != "mcq", row["id"])):
        if row["video"] is not None:
            found.setdefault(row["family"], row)
    return list(found.values())


def gallery(rows: Sequence[Row], content: Callable[[Row], bytes]) -> str:
    """Return the page; `content` gives an item's MP4 file."""
    return _PAGE.format(items="\n".join(_item(row, content(row)) for row in rows))


def _item(row: Row, content: bytes) -> str:
    spans = [[one["start_s"], one["end_s"]] for one in row["intervals"]]
    boxes = row["boxes"] or [{"x": 0, "y": 0, "width": row["width_px"], "height": row["height_px"]}]
    data = base64.b64encode(content).decode()
    asked = row["conversations"][0]["value"].removeprefix("<video>\n")
    answer = f"{row['key']}. {row['answer']}" if row["key"] else row["answer"]
    where = "".join(f" Row {cell['row']}, column {cell['column']}." for cell in row["cells"])
    told = f"{row['id']}, {row['split']}, {row['pairing'].replace('_', ' ')}; {row['duration_s']:.1f} s, "
    told += f"{row['width_px']} x {row['height_px']}."
    credit = " ".join(part for part in (row["licence"], row["credit"], row["url"]) if part)
    return (
        f'<article data-spans="{html.escape(str(spans))}"><h2>{html.escape(row["subset"])}</h2>'
        f'<div class="screen"><video controls muted loop preload="auto" src="data:video/mp4;base64,{data}"></video>'
        f"{''.join(_box(box, row) for box in boxes)}</div>"
        f'<div class="line">{"".join(_bar(span, row) for span in spans)}<b></b></div>'
        f'<p class="asked">{html.escape(asked)}</p><p class="right">{html.escape(answer)}</p>'
        f"<p><small>{html.escape(told + where)}<br>{html.escape(credit)}</small></p></article>"
    )


def _box(box: Mapping[str, int], row: Row) -> str:
    sides = {
        "left": box["x"] / row["width_px"],
        "top": box["y"] / row["height_px"],
        "width": box["width"] / row["width_px"],
        "height": box["height"] / row["height_px"],
    }
    return f'<div class="box" style="{";".join(f"{name}:{100 * share:.3f}%" for name, share in sides.items())}"></div>'


def _bar(span: Sequence[float], row: Row) -> str:
    start, length = (100 * seconds / row["duration_s"] for seconds in (span[0], span[1] - span[0]))
    return f'<i style="left:{start:.3f}%;width:{length:.3f}%"></i>'
