"""A network of its own for a test: the loopback interface with multicast, which no other test hears."""
import os
import subprocess
import sys

INSIDE = "NVRD_TEST_OWN_NETWORK"
INTERFACE, FIRST, SECOND = "v0", "10.9.8.1", "10.9.7.1"  # of add_interface()


def configure(*lines):
    """False: the kernel does not have that."""
    return all(subprocess.run(["ip", *line.split()], capture_output=True).returncode == 0 for line in lines)


def add_interface():
    """One with two networks, as others are: the loopback interface has no address that a kernel sends multicast from."""
    return configure(f"link add {INTERFACE} type veth peer name v1", "link set v1 up", f"link set {INTERFACE} up", f"addr add {FIRST}/24 dev {INTERFACE}",
                     f"addr add {SECOND}/24 dev {INTERFACE}")


def enter():
    """Runs the test again in such a network. True: this is in it; False: it cannot be made here."""
    if os.environ.get(INSIDE):
        return configure("link set lo up", "link set lo multicast on", "addr add 10.9.9.1/24 dev lo", "route add 224.0.0.0/4 dev lo")
    own = ["unshare", "-n"] if os.geteuid() == 0 else ["unshare", "-rn"]
    if subprocess.run([*own, "true"], capture_output=True).returncode:
        return False
    sys.exit(subprocess.run([*own, sys.executable, *sys.argv], env={**os.environ, INSIDE: "1"}).returncode)
