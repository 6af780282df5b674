"""The images' health check: exit status 0 if the process in this container says that it is well.

The API says so on its own port, the others on the one of FUNDUSMITH_HEALTH_PORT.
"""

import os
import sys
from http.client import HTTPConnection

SECONDS = 4


def main() -> None:
    port = os.environ.get("FUNDUSMITH_HEALTH_PORT") or os.environ["FUNDUSMITH_PORT"]
    connection = HTTPConnection("127.0.0.1", int(port), timeout=SECONDS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        told = answer.read().decode(errors="replace")
    except OSError as error:
        sys.exit(f"port {port}: {error}")
    if answer.status != 200:
        sys.exit(f"port {port}: {answer.status} {told}")


if __name__ == "__main__":
    main()
