#!/usr/bin/env python3
"""What real cameras do with RTSP sessions, one trial per row of the list of quirks, all at once.

Words on the command line choose rows: test_quirks.py q66 r13
"""
import sys
import time

import quirks
import quirks_session  # noqa: F401 - each registers its trials
import quirks_stream  # noqa: F401
import quirks_transport  # noqa: F401
from daemon import finish, report, wait_for


# --- all together ---

def check_end(nvrd, trials):
    """What is true of every camera: read after all trials, across nvrd's end."""
    cameras = [c for t in trials for c in t.cameras.values() if c.yaml]
    wrong = [c.name for c in cameras if c.of("SET_PARAMETER")]
    report(not wrong, "q71 no camera ever got SET_PARAMETER", wrong)
    wrong = [(c.name, a.number) for c in cameras for a, b in zip(c.sessions, c.sessions[1:]) if not a.closed or b.opened < a.closed - 0.05]
    report(not wrong, "q43 never two connections to a camera at once", wrong)
    text = nvrd.log()
    report(not any(word in text for word in ("anna:", "an%3Ana", "p%2F%25", "p/%?#")), "r5 no password is in the log")
    playing = [c for c in cameras if c.sessions and c.sessions[-1].played and not c.sessions[-1].closed]
    removed, playing = playing[::2], playing[1::2]
    nvrd.configure({c.name: c.yaml for c in cameras if c not in removed})
    nvrd.reload()
    gone = wait_for(lambda: all(c.of("TEARDOWN", len(c.sessions) - 1) for c in removed), 5)
    report(gone, "q84 cameras that are removed get their TEARDOWN", [c.name for c in removed if not c.of("TEARDOWN", len(c.sessions) - 1)])
    live = [(c, c.sessions[-1]) for c in playing if c.sessions[-1].played and not c.sessions[-1].closed]
    before = time.monotonic()
    status = nvrd.stop()
    took = time.monotonic() - before
    report(status == 0 and took < 4, "q84 it ends within 4 s though cameras do not answer TEARDOWN", (status, took))
    left = lambda: [c.name for c, session in live if not c.of("TEARDOWN", session.number)]
    wait_for(lambda: not left(), 5)
    wrong = left()
    report(live and not wrong, "q84 each camera got its TEARDOWN", wrong)


def main():
    started = time.monotonic()
    nvrd, _, trials = quirks.run([word.lower() for word in sys.argv[1:]])
    check_end(nvrd, trials)
    print(f"# {time.monotonic() - started:.0f} s, {sum(len(t.cameras) for t in trials)} cameras")
    finish()


main()
