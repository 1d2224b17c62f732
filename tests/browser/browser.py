"""A real Chromium with the viewer's page in it, and the eyes to read what is on the page.

The page is driven by keys and clicks as people would; nothing in it knows of these tests.
"""

import contextlib
import os
import shutil
import urllib.parse

from playwright.sync_api import sync_playwright

SIZE = {"width": 1280, "height": 720}

# Bars of a test clip: frame numbers in binary, the lowest bit on the left, on the whole width.
BARS = 10

# Every text that is drawn over a picture is noted with the bars of the picture below it, in the
# very task in which it is drawn. Landmarks are discs. Samples that the page decodes by itself are counted,
# and how often a player is sent elsewhere or plays.
EYES = """
(() => {
  const seen = { drawn: [], last: null, discs: 0, decoded: 0, moved: 0 };
  window.seen = seen;
  const bars = (canvas) => {
    const { width, height } = canvas;
    const row = canvas.getContext('2d').getImageData(0, height >> 1, width, 1).data;
    let number = 0;
    for (let bit = 0; bit < BARS; bit += 1) {
      const x = Math.floor(((bit + 0.5) * width) / BARS);
      if (row[4 * x] > 128) number += 2 ** bit;
    }
    return number;
  };
  const fillText = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
    fillText.call(this, text, ...place);
    const number = /^frame (\\d+) /.exec(text);
    const stage = this.canvas.parentElement;
    if (number === null || stage === null) return;
    const drawn = { number: Number(number[1]), bars: bars(stage.querySelector('.picture')), at: performance.now() };
    seen.drawn.push(drawn);
    seen.last = drawn;
  };
  const arc = CanvasRenderingContext2D.prototype.arc;
  CanvasRenderingContext2D.prototype.arc = function (...place) {
    if (this.canvas.className === 'overlay') seen.discs += 1;
    arc.apply(this, place);
  };
  // An empty page, with which a browser may begin, has no decoder.
  const { prototype } = window.VideoDecoder ?? { prototype: {} };
  const { decode } = prototype;
  prototype.decode = function (chunk) {
    seen.decoded += 1;
    decode.call(this, chunk);
  };
  for (const type of ['seeking', 'play']) document.addEventListener(type, () => { seen.moved += 1; }, true);
})();
""".replace("BARS", str(BARS))


def chromium():
    """Debian's Chromium, or whatever CHROMIUM names."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        raise SystemExit("there is no chromium: apt-get install chromium, or set CHROMIUM")
    return path


@contextlib.contextmanager
def opened(url):
    """A fresh browser that was led to the viewer by its address with the token."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        try:
            context = browser.new_context(viewport=SIZE, color_scheme="light")
            context.add_init_script(EYES)
            page = context.new_page()
            serve_assets(page, os.environ.get("VIEW_ASSETS"))
            page.problems = []
            page.on("pageerror", lambda error: page.problems.append(str(error)))
            page.on("console", lambda message: _console(page, message))
            page.goto(url)
            yield page
        finally:
            browser.close()


def serve_assets(page, folder):
    """Lets a change of the page be seen without a build: files come out of VIEW_ASSETS, if set."""
    if folder is None:
        return
    page.route(
        "**/assets/*",
        lambda route: route.fulfill(path=f"{folder}/{route.request.url.rsplit('/', 1)[1]}"),
    )


def _console(page, message):
    # A browser that was asked to play what it cannot play, or to show a thumbnail of nothing, says
    # so; that is the page's daily work.
    if message.type == "error" and "Failed to load resource" not in message.text:
        page.problems.append(message.text)


def videos(page):
    """The lake's videos by file name."""
    found = page.evaluate("fetch('/api/videos').then((answer) => answer.json())")
    return {video["file_name"]: video for video in found["videos"]}


def go(page, video, **state):
    """Leads the page to a state by its address, and waits for the picture."""
    page.evaluate("seen.drawn.length = 0; seen.last = null")
    go_quietly(page, video, **state)
    wait_for_frame(page, int(state.get("frame", video["first_frame"])))


def go_quietly(page, video, **state):
    """The same, also where no number is drawn."""
    fragment = urllib.parse.urlencode({"video": video["video_id"], **state})
    page.evaluate("(fragment) => { location.hash = fragment; }", fragment)
    page.wait_for_function(
        "(label) => document.querySelector('.stage').ariaLabel === label",
        arg=f"Video: {video['file_name']}",
    )


def wait_for_frame(page, number, millis=20_000):
    """Waits until the overlay says this number."""
    page.wait_for_function(
        "(number) => seen.last !== null && seen.last.number === number", arg=number, timeout=millis
    )


def last(page):
    """Number and bars that were drawn last."""
    drawn = page.evaluate("seen.last")
    return drawn["number"], drawn["bars"]
