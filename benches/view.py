"""How fast `posedata view` is in a real browser: run it with `make bench-view`.

    view.py POSEDATA LAKE

The lake holds demo.mp4, and an hour of rows at 60 frames a second without a file
(`benches/view.rs` makes it). Prints each measure beside what is wanted.
"""

import os
import pathlib
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "tests" / "browser"))
import browser

HOUR_FRAMES = 216_000
STEPS = 100
PLAY_SECS = 6
PLAY_ROUNDS = 5
CLOCK_TICKS_PER_SEC = os.sysconf("SC_CLK_TCK")

# When the skeleton was painted first, and when a curve was drawn last, on the clock since 1970.
WATCH = """
(() => {
  window.painted = { skeleton: null, curve: null, keys: [] };
  const now = () => performance.timeOrigin + performance.now();
  const proto = CanvasRenderingContext2D.prototype;
  const { arc, stroke } = proto;
  proto.arc = function (...place) {
    if (this.canvas.className === 'overlay') painted.skeleton ??= now();
    return arc.apply(this, place);
  };
  proto.stroke = function (...path) {
    if (path.length > 0 && this.canvas.closest('#chart')) painted.curve = now();
    return stroke.apply(this, path);
  };
  addEventListener('keydown', () => { painted.pressed = performance.now(); }, true);
})();
"""


def main():
    posedata, lake = sys.argv[1:]
    started = time.time()
    with viewer(posedata, lake) as url:
        server_secs = time.time() - started
        with browser.opened("about:blank") as page:
            page.context.add_init_script(WATCH)
            asked = time.time()
            # Nobody is seen in the demo's first frames.
            page.goto(f"{url}#frame=60")
            page.wait_for_function("() => painted.skeleton !== null")
            page_secs = page.evaluate("painted.skeleton") / 1000 - asked
            told("first frame with skeleton", server_secs + page_secs, "s", 1.5)
            told("  of which the server starts", server_secs, "s", 0.3)
            videos = browser.videos(page)
            demo = next(v for v in videos.values() if v["file"]["state"] == "source")
            hour = next(v for v in videos.values() if v["frame_count"] == HOUR_FRAMES)
            step(page, demo)
            back_from_jumps(page, demo)
            overlay(page, demo)
            curves(page, hour)


class viewer:
    """A viewer that runs as long as the block; gives the address that it prints."""

    def __init__(self, posedata, lake):
        command = [posedata, "view", "--no-open", "--port", "0", "--lake", lake]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self.process.stdout.readline().strip()

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def step(page, video):
    first = 20
    browser.go(page, video, frame=first)
    ways = {"ArrowRight": range(first + 1, first + 1 + STEPS), "ArrowLeft": range(first + STEPS - 1, first, -1)}
    for key, frames in ways.items():
        millis = []
        for frame in frames:
            page.keyboard.press(key)
            browser.wait_for_frame(page, frame)
            millis.append(page.evaluate("seen.last.at - painted.pressed"))
        way = {"ArrowRight": "on", "ArrowLeft": "back"}[key]
        told_steps(f"one frame {way}", millis)


def back_from_jumps(page, video):
    """Back over frames that were not shown before, after a look at the picture and without one."""
    page.reload()
    for rest_secs, when in [(1.0, "a jump and a look"), (0.0, "a jump")]:
        millis = []
        for place in (0.93, 0.31, 0.62) if rest_secs else (0.81, 0.2, 0.5):
            frame = int(place * video["frame_count"])
            browser.go(page, video, frame=frame)
            page.wait_for_timeout(1000 * rest_secs)
            for back in range(1, 31):
                page.keyboard.press("ArrowLeft")
                browser.wait_for_frame(page, frame - back)
                millis.append(page.evaluate("seen.last.at - painted.pressed"))
        told_steps(f"one frame back, after {when}", millis)


def told_steps(name, millis):
    told(f"{name}, median", statistics.median(millis), "ms", None)
    told(f"{name}, p95", statistics.quantiles(millis, n=20)[18], "ms", 100)
    told(f"{name}, longest", max(millis), "ms", None)


def overlay(page, video):
    """Core time of the whole browser while it plays, with and without what is drawn, by turns."""
    without, drawn = "", "skeleton,angles"
    shares = {without: [], drawn: []}
    for _ in range(PLAY_ROUNDS):
        for show in shares:
            shares[show].append(play(page, video, show))
    added = [100 * (more - less) for less, more in zip(shares[without], shares[drawn], strict=True)]
    told("play at speed 1, without overlay", 100 * statistics.median(shares[without]), "% of a core", None)
    told("the overlay adds", statistics.median(added), "% of a core", 5)


def play(page, video, show):
    """The part of a core that the browser takes while it plays."""
    browser.go_quietly(page, video, show=show, frame=1, loop=1)
    page.wait_for_timeout(1500)
    page.keyboard.press(" ")
    page.wait_for_timeout(1000)
    before, began = core_secs(), time.time()
    page.wait_for_timeout(PLAY_SECS * 1000)
    share = (core_secs() - before) / (time.time() - began)
    page.keyboard.press(" ")
    page.wait_for_timeout(500)
    return share


def curves(page, video):
    browser.go_quietly(page, video, show="skeleton,number")
    page.wait_for_timeout(1500)
    page.evaluate("() => { painted.curve = null; painted.asked = performance.timeOrigin + performance.now(); }")
    page.get_by_role("button", name="Knees").click()
    page.wait_for_function("() => painted.curve !== null")
    told(f"curves of {HOUR_FRAMES} rows", page.evaluate("painted.curve - painted.asked") / 1000, "s", 1.0)
    page.evaluate("() => { painted.curve = null; painted.asked = performance.timeOrigin + performance.now(); }")
    page.keyboard.press("+")
    page.wait_for_function("() => painted.curve !== null")
    told("  a step of zoom", page.evaluate("painted.curve - painted.asked"), "ms", None)


def core_secs():
    """Core time of all processes below this one but the viewer."""
    parents, secs = {}, {}
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            name, fields = (entry / "stat").read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        fields = fields.split()
        parents[int(entry.name)] = int(fields[1])
        is_viewer = name.endswith("(posedata")
        secs[int(entry.name)] = 0 if is_viewer else (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_SEC

    def is_below(process):
        while process in parents:
            process = parents[process]
            if process == os.getpid():
                return True
        return False

    return sum(spent for process, spent in secs.items() if is_below(process))


def told(name, value, unit, wanted):
    goal = "" if wanted is None else f"   wanted: below {wanted:g} {unit}"
    print(f"{name:<48} {value:>8.2f} {unit}{goal}", flush=True)


if __name__ == "__main__":
    main()
