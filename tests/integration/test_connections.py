"""TCP connections between a job and somebody outside of it."""
import contextlib
import random
import socket

import pytest
import world
from harness import LinesOf

PYTHON = "/usr/bin/python3"

# Sends to whoever connects, as much as that one takes, and counts on beside it.
SENDER = """
import socket, sys, threading, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
def send():
    connection, _ = listener.accept()
    try:
        while True:
            connection.sendall(b"x" * 65536)
    except OSError as error:
        print("lost", error.errno, flush=True)
threading.Thread(target=send, daemon=True).start()
number = 0
while True:
    number += 1
    print(number, flush=True)
    time.sleep(0.01)
"""


def test_killed_with_unsent_data(holdfast):
    """The kernel goes on delivering it to whom it was for, who does not read. It ends that for the connection of the
    restarted job, which has the same ports."""
    port = random.randrange(10000, 30000)  # none that a program is given by itself
    started = holdfast.run_detached("sender", PYTHON, "-c", SENDER, port)
    lines = LinesOf(holdfast.store / "jobs/sender/stdout.log")
    lines.wait_for(5)
    with socket.create_connection(("127.0.0.1", port)) as client:
        assert client.recv(1000)
        lines.wait_for(30)
        for _ in range(3):
            holdfast.checkpoint("sender")
            count = len(lines.lines())
            lines.wait_for(count + 10)
            world.kill_tree(started["pid"], also=[started["supervisor_pid"]])
            started = holdfast.resume("sender")
            lines.wait_for(count + 10)
        with pytest.raises(ConnectionResetError):
            while client.recv(1 << 20):
                pass
