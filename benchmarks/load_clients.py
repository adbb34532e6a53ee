"""The clients of the load run, each with one request in flight at a time, and what all of it took."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from benchmarks.load_match import FORM, signed

WARM_UP_S: Final = 2.0


@dataclass(slots=True)
class Outcome:
    """What the clients of one run saw.

    Attributes:
        ms: duration of each counted match.
        seconds: from the first counted one to the last.
        server_s: processor time of the server's processes meanwhile.
        client_s: processor time of the clients' process meanwhile.
        others_s: processor time that other programs of the machine took meanwhile.
        wrong: answers that were no match.
    """

    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    server_s: float = 0.0
    client_s: float = 0.0
    others_s: float = 0.0
    wrong: int = 0


def press(url: str, pid: int, body: str, connections: int, seconds: float) -> Outcome:
    """Send matches over so many connections for so long."""
    outcome, lock = Outcome(), threading.Lock()
    counting, over = threading.Event(), threading.Event()

    def client() -> None:
        link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        with contextlib.closing(link):
            while not over.is_set():
                content = signed(body)
                counted = counting.is_set()
                began = time.perf_counter()
                link.request("POST", "/", content, {"Content-Type": FORM})
                answer = json.loads(link.getresponse().read())
                taken = (time.perf_counter() - began) * 1000
                right = answer["Code"] == 200 and answer["Data"]["score"] > 80
                with lock:
                    if counted and right:
                        outcome.ms.append(taken)
                    outcome.wrong += not right

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    time.sleep(WARM_UP_S)
    began, server, own, all_of_it = time.perf_counter(), processor_s(pid), time.process_time(), busy_s()
    counting.set()
    time.sleep(seconds)
    outcome.seconds = time.perf_counter() - began
    outcome.server_s = processor_s(pid) - server
    outcome.client_s = time.process_time() - own
    outcome.others_s = max(0.0, busy_s() - all_of_it - outcome.server_s - outcome.client_s)
    over.set()
    for thread in threads:
        thread.join()
    return outcome


def processor_s(pid: int) -> float:
    """Processor time of a process and of all that it started, seconds; 0 where the system can't tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") + sum(processor_s(int(child)) for child in children)


def busy_s() -> float:
    """Processor time of everything on the machine so far, seconds; 0 where the system can't tell."""
    try:
        fields = [int(part) for part in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return 0.0
    idle = fields[3] + fields[4]
    return float(sum(fields) - idle) / os.sysconf("SC_CLK_TCK")
