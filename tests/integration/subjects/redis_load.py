"""A redis-server under load, and the load itself, which knows what every key has to hold: redis_load.py DIR [OPTION...]

The OPTIONs are redis-server's. Three threads keep a connection each, for good: a connection that breaks is reported as
bad. Each has keys of its own and a model of them in Python; it compares every single reply with the model, and all of its
keys now and then. When DIR/finish appears, everything is compared once more, a digest of it is written to DIR/digest, the
server is told to shut down as its options say, and the status is 0. The server's files are in DIR/data.

    redis_load.py --digest DIR [OPTION...]      prints the digest of what a server finds in the files in DIR
"""
import hashlib
import os
import random
import socket
import subprocess
import sys
import threading
import time

from report import Report

KEYS = 300  # a thread's
BATCH = 40  # commands sent before their replies are read
THREADS = 3


class Connection:
    """RESP, as much of it as is needed."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.reader = self.socket.makefile("rb")

    def send(self, commands):
        parts = []
        for command in commands:
            words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
            parts.append(b"*%d\r\n" % len(words))
            parts.extend(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        self.socket.sendall(b"".join(parts))

    def receive(self):
        line = self.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.reader.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self.receive() for _ in range(int(rest))]
        raise ConnectionError(f"the server says {line!r}")

    def ask(self, *command):
        self.send([command])
        return self.receive()


class Load(threading.Thread):
    def __init__(self, number, port, report):
        super().__init__(daemon=True)
        self.number, self.report = number, report
        self.connection = Connection(port)
        self.random = random.Random(number)
        self.strings, self.lists, self.hashes = {}, {}, {}
        self.rounds = 0
        self.finish = False

    def run(self):
        try:
            while not self.finish:
                commands, expected = zip(*[self.one() for _ in range(BATCH)])
                self.connection.send(commands)
                for command, reply in zip(commands, expected):
                    self.compare(command, self.connection.receive(), reply)
                if self.rounds % 16 == 0:
                    self.compare_all()
                self.rounds += 1
                time.sleep(0.02)  # or the append-only file gets large
            self.compare_all()
        except Exception as error:  # whatever it is, the test has to hear of it
            self.report.bad(f"thread {self.number}: {type(error).__name__}: {error}")

    def one(self):
        """A command, the model changed by it, and the reply that the model expects."""
        key, what = f"{self.number}:{self.random.randrange(KEYS)}", self.random.randrange(10)
        if what < 4:
            self.strings[key] = self.random.randbytes(self.random.randrange(2000))
            return ("SET", "s" + key, self.strings[key]), "OK"
        if what == 4:
            return ("GET", "s" + key), self.strings.get(key)
        if what == 5:
            return ("DEL", "s" + key), int(self.strings.pop(key, None) is not None)
        if what == 6:
            values = self.lists.setdefault(key, [])
            values.append(b"%d" % self.random.randrange(10**9))
            return ("RPUSH", "l" + key, values[-1]), len(values)
        if what == 7:
            values = self.lists.get(key, [])
            reply = values.pop(0) if values else None
            if not values:
                self.lists.pop(key, None)
            return ("LPOP", "l" + key), reply
        field = b"%d" % self.random.randrange(50)
        fields = self.hashes.setdefault(key, {})
        fields[field] = fields.get(field, 0) + 7
        return ("HINCRBY", "h" + key, field, 7), fields[field]

    def compare_all(self):
        keys = [f"{self.number}:{number}" for number in range(KEYS)]
        questions = [("GET", "s" + key) for key in keys] + [("LRANGE", "l" + key, 0, -1) for key in keys]
        answers = [self.strings.get(key) for key in keys] + [self.lists.get(key, []) for key in keys]
        questions += [("HGETALL", "h" + key) for key in keys]
        self.connection.send(questions)
        for question, answer in zip(questions, answers):
            self.compare(question, self.connection.receive(), answer)
        for key in keys:
            flat = self.connection.receive()
            fields = dict(zip(flat[::2], map(int, flat[1::2])))
            self.compare(("HGETALL", "h" + key), fields, self.hashes.get(key, {}))

    def compare(self, command, reply, expected):
        if reply != expected:
            self.report.bad(f"thread {self.number}: {command[:2]} gave {str(reply)[:60]}, expected {str(expected)[:60]}")


def digest(connection):
    """Of all keys and what they hold, in an order of its own."""
    total = hashlib.sha256()
    for key in sorted(connection.ask("KEYS", "*")):
        question = {b"s": ("GET", key), b"l": ("LRANGE", key, 0, -1), b"h": ("HGETALL", key)}[key[:1]]
        value = connection.ask(*question)
        if key[:1] == b"h":
            value = sorted(zip(value[::2], value[1::2]))
        total.update(repr((key, value)).encode())
    return total.hexdigest()


def start_server(directory, options):
    """On a port that no program is given by itself, so that it is still free when the job comes back to it."""
    os.makedirs(f"{directory}/data", exist_ok=True)
    while True:
        port = random.randrange(10000, 30000)
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", f"{directory}/data", "--daemonize", "no", *options]
        with open(f"{directory}/redis.log", "ab") as log:
            server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while server.poll() is None:
            try:
                information = Connection(port).ask("INFO").splitlines()
                if b"process_id:%d" % server.pid in information and b"loading:0" in information:
                    return server, port
            except (ConnectionError, OSError):
                time.sleep(0.02)


def main():
    if sys.argv[1] == "--digest":
        server, port = start_server(sys.argv[2], sys.argv[3:])
        print(digest(Connection(port)))
        server.kill()
        server.wait()
        return 0
    directory = sys.argv[1]
    report = Report(directory)
    server, port = start_server(directory, sys.argv[2:])
    loads = [Load(number, port, report) for number in range(THREADS)]
    for load in loads:
        load.start()
    before = [0] * THREADS
    while not os.path.exists(f"{directory}/finish"):
        while any(load.rounds < rounds + 8 for load, rounds in zip(loads, before)):
            if server.poll() is not None:
                report.bad(f"the server has ended with {server.returncode}")
            time.sleep(0.005)
        before = [load.rounds for load in loads]
        if report.round == 0:
            report.ready()
        report.good()
    for load in loads:
        load.finish = True
    for load in loads:
        load.join()
    connection = Connection(port)
    report.write("digest", digest(connection))
    connection.send([("SHUTDOWN",)])
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
