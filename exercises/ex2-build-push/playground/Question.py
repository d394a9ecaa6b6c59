"""Ask about a name of the lecture: names.json says what it stands for."""

import json
import os
from pathlib import Path

NAMES = json.loads(Path(__file__).with_name("names.json").read_text(encoding="utf-8"))

print(f"The playground of {os.environ.get('COURSE_CODE', 'nobody in particular')}.")
print("It knows " + ", ".join(sorted(NAMES)) + ".")
try:
    print(NAMES.get(input("Which one? ").strip().lower(), "That one is not in the lecture."))
except EOFError:
    print("Start it with -it to ask.")
