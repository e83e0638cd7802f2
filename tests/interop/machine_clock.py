"""The machine's clock as nvrd sees it, by a library that stands before libc's (tests/faults/clock.c)."""
import atexit
import mmap
import os
import pathlib
import shutil
import struct
import subprocess
import tempfile

from daemon import HERE


class MachineClock:
    """By how much it is wrong, and whether anybody has set it; `environment` is for those who are to see it."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="nvrd-test-clock-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        shim, file = self.folder / "clock.so", self.folder / "clock"
        subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", shim, HERE.parent / "faults" / "clock.c", "-ldl"], check=True)
        file.write_bytes(bytes(16))
        with open(file, "r+b") as stream:
            self.memory = mmap.mmap(stream.fileno(), 16)
        self.environment = {"LD_PRELOAD": str(shim), "NVRD_TEST_CLOCK": str(file), "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"}

    def say(self, wrong_us, is_set):
        self.memory[:] = struct.pack("<qq", wrong_us, is_set)
