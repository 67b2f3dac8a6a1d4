"""One end of a connection whose other end is child_peer.c: peer.py listen|connect ADDRESS KEY [sha256] [huge] [stop].

With sha256 a Python before 3.12 shakes hands as the later ones do. With stop it goes away in the middle of the handshake.
The exit code is 3 where the key is refused.
"""
import hashlib
import hmac
import multiprocessing.connection as connection
import os
import struct
import sys
from multiprocessing import AuthenticationError

SIZES = (0, 1, 16384, 1 << 20)
ECHOED = 2 << 20
HUGE = 3 << 30
PREFIX = b"{sha256}"


def mac(key, message):
    return PREFIX + hmac.new(key, message, hashlib.sha256).digest()


def challenge(conn, key):
    message = PREFIX + os.urandom(40)
    conn.send_bytes(b"#CHALLENGE#" + message)
    right = hmac.compare_digest(conn.recv_bytes(256), mac(key, message))
    conn.send_bytes(b"#WELCOME#" if right else b"#FAILURE#")
    if not right:
        raise AuthenticationError("the answer is wrong")


def answer(conn, key):
    message = conn.recv_bytes(256)
    if not message.startswith(b"#CHALLENGE#" + PREFIX):
        raise AuthenticationError("this is no challenge")
    conn.send_bytes(mac(key, message[len(b"#CHALLENGE#"):]))
    if conn.recv_bytes(256) != b"#WELCOME#":
        raise AuthenticationError("the answer was refused")


def stop(conn, key):
    conn.recv_bytes(256)
    os.write(conn.fileno(), struct.pack("!i", 40) + b"{sha")
    os._exit(0)


def echo(conn):
    while True:
        try:
            data = conn.recv_bytes()
        except EOFError:
            return
        conn.send_bytes(data if len(data) <= ECHOED else b"%d" % len(data))


def exchange(conn, data):
    conn.send_bytes(data)
    back = conn.recv_bytes()
    if back != (data if len(data) <= ECHOED else b"%d" % len(data)):
        sys.exit("a message of %d bytes came back wrong" % len(data))


def main():
    role, address, key = sys.argv[1:4]
    options = sys.argv[4:]
    if key == "-":
        key = None
    else:
        with open(key, "rb") as file:
            key = file.read()
    if "sha256" in options and sys.version_info < (3, 12):
        connection.deliver_challenge, connection.answer_challenge = challenge, answer
    if "stop" in options:
        connection.answer_challenge = stop
    if address.startswith("tcp:"):
        host, port = address[4:].rsplit(":", 1)
        place = (host, int(port))
    else:
        place = address[5:] or None
    if role == "connect":
        with connection.Client(place, authkey=key) as conn:
            for size in SIZES:
                exchange(conn, bytes(i * 7 & 255 for i in range(min(size, 1000))) * (size // 1000 + 1) if size else b"")
            if "huge" in options:
                exchange(conn, bytes(HUGE))
    else:
        with connection.Listener(place, "AF_INET" if address.startswith("tcp:") else "AF_UNIX", authkey=key) as listener:
            name = listener.address
            print("unix:" + name if isinstance(name, str) else "tcp:%s:%d" % name, flush=True)
            with listener.accept() as conn:
                echo(conn)


try:
    main()
except AuthenticationError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
