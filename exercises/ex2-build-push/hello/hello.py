"""Say hello from wherever this runs."""

import os

print(f"Hello from process {os.getpid()}, on a machine called {os.uname().nodename}.")
