"""Requests a second that redis-benchmark reaches: redis_benchmark.py get|set CLIENTS DEPTH CALLS. The server is started
for this, on a free port of the loopback, and keeps nothing on disk; a thousand small keys."""
import shutil
import socket
import subprocess
import sys
import tempfile
import time


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, server):
    for _ in range(500):
        assert server.poll() is None, "redis-server has ended"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.01)
    raise TimeoutError("redis-server")


def measure(port, method, clients, depth, calls):
    command = ["redis-benchmark", "-p", str(port), "-c", clients, "-P", depth, "-r", "1000", "--csv"]
    for name, count in (("set", "20000"), (method, calls)):
        done = subprocess.run(command + ["-n", count, "-t", name], check=True, capture_output=True, text=True)
    return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))


def main():
    method, clients, depth, calls = sys.argv[1:5]
    port = free_port()
    folder = tempfile.mkdtemp()
    server = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                               "no", "--dir", folder], stdout=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        print(f"{measure(port, method, clients, depth, calls):.3f}")
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder)


main()
