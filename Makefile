# One-line aliases: run.py does the work, and runs where there is no make.
.PHONY: lab test check deep lint bench clean lock
lab test check deep lint bench clean lock:
	@python3 run.py $@
