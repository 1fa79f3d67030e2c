"""The program: pip behind the hook. Run as this folder, with the rules and then pip's own arguments."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from ocibuild_hook.answers import configure, foresee, hash_on_arrival, name_what_does_not_read
from ocibuild_hook.programs import start_nothing
from ocibuild_hook.rules import HookRules
from ocibuild_hook.servers import ask_the_silent_once, count_what_comes, open_only_files
from ocibuild_hook.shelves import stay_offline
from ocibuild_hook.sources import keep_sdist, wheels_only
from ocibuild_hook.telling import Teller, end_with_reader
from pip._internal.cli.main import main as run_pip


def main(arguments: list[str]) -> int:
    """Run pip behind the hook: the rules, then pip's own arguments."""
    rules = HookRules(json.loads(arguments[0]))
    # First: whoever started us may be gone already.
    threading.Thread(target=end_with_reader, args=(rules.tell,), daemon=True).start()
    teller = Teller(rules.tell)
    configure(rules.settings)
    if rules.markers is not None:
        foresee(rules.markers)
    open_only_files(teller)
    count_what_comes(rules.most, teller)
    if rules.shelves is not None:
        stay_offline(rules.shelves)
    else:
        ask_the_silent_once()
    # Each wraps what the one before it has wrapped, so what comes last here is asked first: what may not be taken is
    # refused before anything is fetched to be hashed.
    hash_on_arrival()
    name_what_does_not_read(teller)
    wheels_only(rules, teller)
    if rules.keep is not None:
        keep_sdist(Path(rules.keep[1]), teller)
    if rules.builds:
        return run_pip(arguments[1:])
    # Not where something is built, which starts programs: this cannot be taken back.
    ended = start_nothing(teller)
    code = run_pip(arguments[1:])
    ended(code)
    return code


if __name__ == "__main__":
    # What pip imports later is looked for where it always is.
    sys.path.remove(str(Path(__file__).parent))
    sys.exit(main(sys.argv[1:]))
