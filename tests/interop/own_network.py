"""A network of its own for a test: the loopback interface with multicast, which no other test hears."""
import os
import subprocess
import sys

INSIDE = "NVRD_TEST_OWN_NETWORK"
SECOND = "10.9.9.1"  # a further address of it


def leave_second():
    subprocess.run(["ip", "addr", "del", f"{SECOND}/24", "dev", "lo"], check=True)


def enter():
    """Runs the test again in such a network. True: this is in it; False: it cannot be made here."""
    if os.environ.get(INSIDE):
        for words in ("link set lo up", "link set lo multicast on", f"addr add {SECOND}/24 dev lo", "route add 224.0.0.0/4 dev lo"):
            subprocess.run(["ip", *words.split()], check=True)
        return True
    own = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*own, "true"], capture_output=True).returncode:
        return False
    sys.exit(subprocess.run([*own, sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"}).returncode)
