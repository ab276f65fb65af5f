"""`make bench`: Pages beside what one would use instead, interleaved in one run; prints ratios.

Everything runs on loopback in a temporary folder, and is stopped at the end. Absolute figures are those
of the machine and the moment; the ratios are what counts. ARGS="--help" tells the options.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import delta
import deploys
import growth
import many
import memory
import reloads
import report
import rollback
import rules
import serving
from context import Bench
from picture import write_picture
from processes import Failed
from report import Table

PARTS: dict[str, Callable[[Bench], list[Table]]] = {
    "serving": serving.measure,
    "many": many.measure,
    "x-accel": serving.measure_x_accel,
    "rules": rules.measure,
    "deploys": deploys.measure,
    "delta": delta.measure,
    "rollback": rollback.measure,
    "growth": growth.measure,
    "memory": memory.measure,
    "reloads": reloads.measure,
}


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = Path(tempfile.mkdtemp(prefix="pages-bench-", dir=options.folder))
    # Tenants of the machine other than root do not look inside; nginx's workers must.
    folder.chmod(0o755)
    bench = Bench(options, folder)
    try:
        failed = _measure(bench)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        bench.processes.stop_all()
        bench.say("Clearing up")
        # A million files are gone sooner than with shutil, also when somebody is impatient now.
        subprocess.run(["rm", "-rf", folder], check=False, start_new_session=True)
    sys.exit(failed)


def _measure(bench: Bench) -> bool:
    """Every part that is asked for; prints as it goes. Did one fail?"""
    print(report.heading(), flush=True)
    tables, failed = [], False
    for name in bench.options.only or PARTS:
        try:
            new = PARTS[name](bench)
        except (Failed, OSError) as error:
            print(f"{name}: not measured: {error}\n", flush=True)
            bench.processes.stop_all()
            failed = True
            continue
        tables += new
        print("\n".join(table.text() for table in new), flush=True)
    if bench.options.json:
        report.write_json(bench.options.json, tables)
    if bench.options.picture:
        write_picture(bench.options.picture, tables)
    return failed


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=_names, help=f"parts to measure, of {','.join(PARTS)}; all of them by default")
    parser.add_argument("--full", action="store_true", help="everything: about 40 minutes and 10 GB of disk")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each measurement; medians are printed")
    parser.add_argument("--seconds", type=int, help="of load on each target in each round (1; with --full 2)")
    parser.add_argument("--connections", type=_numbers, default=[1, 32, 256], help="to serve at once (1,32,256)")
    parser.add_argument("--sites", type=_numbers, help="how many sites to serve (1,1000; with --full 1,1000,100000)")
    parser.add_argument("--registered", type=_numbers, help="how many sites the API knows (10,1000; 10,1000,100000)")
    parser.add_argument("--files", type=int, default=10_000, help="files of the site that is deployed")
    parser.add_argument("--megabytes", type=int, default=100, help="size of the site that is deployed")
    parser.add_argument("--folder", type=Path, help="where to make the temporary folder: the disk that is measured")
    parser.add_argument("--json", type=Path, help="also write every figure to this file")
    parser.add_argument("--picture", type=Path, help="also draw the ratios into this SVG file")
    options = parser.parse_args()
    options.seconds = options.seconds or (2 if options.full else 1)
    options.sites = options.sites or ([1, 1000, 100_000] if options.full else [1, 1000])
    options.registered = options.registered or ([10, 1000, 100_000] if options.full else [10, 1000])
    return options


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in PARTS]:
        raise argparse.ArgumentTypeError(f"there is no part {', '.join(unknown)}")
    return names


def _numbers(text: str) -> list[int]:
    return sorted(int(number) for number in text.split(","))


if __name__ == "__main__":
    main()
