#!/usr/bin/env python3
"""Mutation testing of the engine: each small change of its code must make a test fail.

Places and changes are those of cargo-mutants (`cargo mutants --list`, `.cargo/mutants.toml`). A
build for each of them would take days, so that the engine is built once with all of them: each
function that has any begins with a choice by the environment variable NATSHARD_MUTANT. Those that
cannot be chosen when it runs (constants, functions of constants, opaque return types) get a build
each, in the end.

  .ci/mutants.py                 all, or those that have no outcome yet in target/mutants
  .ci/mutants.py --only sweep.rs those of a file
  .ci/mutants.py --survivors     those missed so far once more, against every test of the engine
  .ci/mutants.py --report        what is known so far
"""

import argparse
import collections
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "mutants"
TREE = WORK / "tree"
OUTCOMES = WORK / "outcomes.jsonl"
VARIABLE = "NATSHARD_MUTANT"
CHOICE = f'''
/// Which change of the code is in force.
#[doc(hidden)]
pub(crate) fn chosen_mutant() -> u32 {{
    use std::sync::atomic::{{AtomicU32, Ordering::Relaxed}};
    static CHOSEN: AtomicU32 = AtomicU32::new(u32::MAX - 1);
    let known = CHOSEN.load(Relaxed);
    if known != u32::MAX - 1 {{
        return known;
    }}
    let chosen = std::env::var("{VARIABLE}").ok().and_then(|id| id.parse().ok());
    CHOSEN.store(chosen.unwrap_or(u32::MAX), Relaxed);
    chosen.unwrap_or(u32::MAX)
}}
'''
# The programs that tell most for their time; the others are for what these miss.
QUICK = ["--lib"] + [
    word
    for name in (
        "housekeeping model reconfigure surface subscribers tenants full_address fill wishes "
        "regressions regressions_fair contiguous_model tenants_model hardened"
    ).split()
    for word in ("--test", name)
]
# Too long, or about time, and so nothing that a mutant has to wait for.
SLOW = {"unpredictability", "subscribers_stress", "subscribers_memory"}
SKIP = ["--skip", "numbers_that_would_wrap_are_refused"]
# What waits for another thread may wait for ever where the code is wrong.
PATIENCE = 8.0
MEMORY = 6 << 30


def sh(command, **options):
    return subprocess.run(command, text=True, **options)


def mutants():
    """What cargo-mutants would change, numbered."""
    listed = sh(
        ["cargo", "mutants", "--list", "--json", "--package", "natshard"],
        cwd=ROOT, capture_output=True, check=True,
    )
    found = json.loads(listed.stdout)
    for number, mutant in enumerate(found):
        mutant["id"] = number
        # Lines move; what is changed in which function does not.
        mutant["key"] = mutant["name"]
    return found


class Text:
    """A file by lines and columns."""

    def __init__(self, text):
        self.text = text
        self.starts = [0]
        for line in text.splitlines(keepends=True):
            self.starts.append(self.starts[-1] + len(line))

    def at(self, position):
        return self.starts[position["line"] - 1] + position["column"] - 1

    def span(self, span):
        return self.at(span["start"]), self.at(span["end"])


def body_of(text, start, end):
    """Where the body of a function begins, by its braces; its signature."""
    depth, place = 0, start
    while place < end:
        two = text[place : place + 2]
        sign = text[place]
        if two == "//":
            place = text.index("\n", place)
        elif two == "->":
            place += 1
        elif sign in "([<":
            depth += 1
        elif sign in ")]>":
            depth -= 1
        elif sign == "{" and depth == 0:
            return place, text[start:place]
        place += 1
    raise ValueError("a function without a body")


def changed(text, start, end, mutant, source):
    """The part of a text with a change made in it."""
    low, high = source.span(mutant["span"])
    return text[start:low] + mutant["replacement"] + text[high:end]


def with_choices(source, group):
    """A file whose functions choose among these changes; lines of each, and those it cannot hold."""
    text, held, apart = source.text, {}, []
    functions = collections.defaultdict(list)
    for mutant in group:
        if mutant["function"] is None:
            apart.append(mutant)
        else:
            functions[source.span(mutant["function"]["span"])].append(mutant)
    # A function within another is a part of that one's body.
    spans = sorted(functions, key=lambda span: (span[0], -span[1]))
    outer = []
    for span in spans:
        if outer and span[1] <= outer[-1][1]:
            functions[outer[-1]] += functions.pop(span)
        else:
            outer.append(span)
    parts, last = [], 0
    for start, end in outer:
        brace, signature = body_of(text, start, end)
        returned = signature.rsplit("->", 1)[-1] if "->" in signature else ""
        # `pub const fn`, `const unsafe fn`
        if re.search(r"\bconst\s+(unsafe\s+)?fn\b", signature) or re.search(r"\bimpl\b", returned):
            apart += functions[start, end]
            continue
        parts.append(text[last:brace])
        parts.append("{ match crate::chosen_mutant() {\n")
        for mutant in functions[start, end]:
            begin = "".join(parts).count("\n") + 1
            parts.append(f"{mutant['id']} => {changed(text, brace, end, mutant, source)}\n")
            held[mutant["id"]] = (begin, "".join(parts).count("\n"))
        parts.append(f"_ => {text[brace:end]}\n}} }}")
        last = end
    parts.append(text[last:])
    return "".join(parts), held, apart


def copy_tree():
    """The sources as they stand, where they can be changed."""
    listed = sh(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    shutil.rmtree(TREE, ignore_errors=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)


def build(tests, environment=None):
    """Builds test programs; gives their paths, or the errors of the compiler."""
    command = ["cargo", "test", "--no-run", "--profile", "mutants", "--package", "natshard"]
    built = sh(
        command + tests + ["--message-format", "json"],
        cwd=TREE, capture_output=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(WORK / "target"), **(environment or {})},
    )
    programs, errors = [], []
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message["reason"] == "compiler-artifact" and message.get("executable"):
            programs.append((message["target"]["name"], message["executable"]))
        elif message["reason"] == "compiler-message" and message["message"]["level"] == "error":
            errors.append(message["message"])
    if built.returncode != 0 and not errors:
        sys.exit(built.stderr)
    return programs, errors


def build_with_choices(all_mutants, tests):
    """One build with every change that can be chosen; leaves out what does not compile."""
    unviable, apart = set(), set()
    files = collections.defaultdict(list)
    for mutant in all_mutants:
        files[mutant["file"]].append(mutant)
    sources = {name: Text((ROOT / name).read_text()) for name in files}
    while True:
        held = {}
        for name, group in files.items():
            wanted = [m for m in group if m["id"] not in unviable | apart]
            text, lines, others = with_choices(sources[name], wanted)
            apart |= {mutant["id"] for mutant in others}
            held[name] = lines
            (TREE / name).write_text(text)
        crate = TREE / "crates/natshard/src/lib.rs"
        crate.write_text((ROOT / "crates/natshard/src/lib.rs").read_text() + CHOICE)
        programs, errors = build(tests)
        if not errors:
            return programs, unviable, apart
        guilty = set()
        for error in errors:
            for span in error["spans"]:
                lines = held.get(span["file_name"], {})
                guilty |= {
                    number
                    for number, (low, high) in lines.items()
                    if low <= span["line_start"] <= high
                }
        if not guilty:
            sys.exit("\n".join(error["rendered"] for error in errors))
        print(f"  {len(guilty)} do not compile", flush=True)
        unviable |= guilty


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


LIVING = set()


def stop(*_):
    """Nobody else would end a program that waits for ever."""
    for child in list(LIVING):
        os.killpg(child.pid, signal.SIGKILL)
    os._exit(1)


def module_of(mutant):
    """The module whose own tests are the likeliest to fail."""
    module = mutant["file"].removeprefix("crates/natshard/src/").removesuffix(".rs")
    return module.split("/")[0] + "::"


def run(programs, environment, patience, tests=()):
    """Runs test programs until one fails; says which, and how."""
    for name, path in programs:
        # As cargo runs them.
        command = [path, "--quiet", *tests, *SKIP]
        child = subprocess.Popen(
            command, cwd=TREE / "crates/natshard", env={**os.environ, **environment},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=limited, start_new_session=True,
        )
        LIVING.add(child)
        try:
            if child.wait(patience.get(name, PATIENCE)) != 0:
                return "caught", name
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            return "timeout", name
        finally:
            LIVING.discard(child)
    return "missed", ""


def baseline(programs):
    """How long each may take: ten times what it takes by itself. All must pass, or are left out."""
    patience, usable = {}, []
    for name, path in programs:
        if name in SLOW:
            continue
        began = time.monotonic()
        outcome, _ = run([(name, path)], {}, {name: 300.0})
        took = time.monotonic() - began
        if outcome != "missed":
            sys.exit(f"{name} fails without any change")
        patience[name] = max(PATIENCE, 10 * took)
        usable.append((took, name, path))
    # The library's own tests, then what is quick.
    usable.sort(key=lambda it: (it[1] != "natshard", it[0]))
    return [(name, path) for _, name, path in usable], patience


def known():
    """Outcomes so far; the last of each counts."""
    found = {}
    if OUTCOMES.exists():
        for line in OUTCOMES.read_text().splitlines():
            outcome = json.loads(line)
            found[outcome["key"]] = outcome
    return found


def note(mutant, outcome, test):
    with OUTCOMES.open("a") as file:
        line = {"key": mutant["key"], "outcome": outcome, "test": test}
        file.write(json.dumps(line) + "\n")


def one_by_one(apart, tests):
    """Those that need a build each: of the library's own tests first."""
    for mutant in apart:
        source = Text((ROOT / mutant["file"]).read_text())
        path = TREE / mutant["file"]
        path.write_text(changed(source.text, 0, len(source.text), mutant, source))
        outcome = "missed", ""
        for programs in (["--lib"], tests):
            if outcome[0] == "missed":
                built, errors = build(programs)
                outcome = ("unviable", "") if errors else run(built, {}, {})
        note(mutant, *outcome)
        shutil.copy(ROOT / mutant["file"], path)


def report(all_mutants):
    found = known()
    by_file = collections.defaultdict(collections.Counter)
    missed = []
    for mutant in all_mutants:
        outcome = found.get(mutant["key"], {"outcome": "untried"})["outcome"]
        by_file[mutant["file"].removeprefix("crates/natshard/src/")][outcome] += 1
        if outcome == "missed":
            missed.append(mutant["name"])
    kinds = ["caught", "timeout", "missed", "unviable", "untried"]
    print(f"{'file':28}" + "".join(f"{kind:>10}" for kind in kinds))
    total = collections.Counter()
    for name, counts in sorted(by_file.items()):
        total += counts
        print(f"{name:28}" + "".join(f"{counts[kind]:>10}" for kind in kinds))
    print(f"{'all':28}" + "".join(f"{total[kind]:>10}" for kind in kinds))
    caught = total["caught"] + total["timeout"]
    viable = caught + total["missed"] + total["untried"]
    print(f"caught {caught} of {viable} viable ones, {100 * caught / max(viable, 1):.1f} %")
    for name in missed:
        print(f"missed  {name}")


def main():
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--only", default="", help="those in whose name this expression is found")
    arguments.add_argument("--survivors", action="store_true", help="those missed, with every test")
    arguments.add_argument("--again", action="store_true", help="those that have an outcome, too")
    arguments.add_argument("--report", action="store_true", help="only what is known so far")
    arguments.add_argument("--jobs", type=int, default=1, help="how many run at a time")
    options = arguments.parse_args()
    all_mutants = mutants()
    if options.report:
        report(all_mutants)
        return
    WORK.mkdir(parents=True, exist_ok=True)
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, stop)
    os.environ.setdefault("PROPTEST_CASES", "32")
    found = known()

    def is_due(mutant):
        outcome = found.get(mutant["key"], {"outcome": None})["outcome"]
        if not re.search(options.only, mutant["name"]):
            return False
        if options.survivors:
            return outcome == "missed"
        return options.again or outcome is None

    due = [mutant for mutant in all_mutants if is_due(mutant)]
    tests = ["--lib", "--tests"] if options.survivors else QUICK
    print(f"{len(due)} of {len(all_mutants)} changes to try; building", flush=True)
    copy_tree()
    programs, unviable, apart = build_with_choices(due, tests)
    programs, patience = baseline(programs)

    def attempt(mutant):
        if mutant["id"] in unviable:
            note(mutant, "unviable", "")
        elif mutant["id"] not in apart:
            chosen = {VARIABLE: str(mutant["id"])}
            outcome, test = run(programs[:1], chosen, patience, [module_of(mutant)])
            if outcome == "missed":
                outcome, test = run(programs, chosen, patience)
            note(mutant, outcome, test)
            if outcome == "missed":
                print(f"missed  {mutant['name']}", flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(attempt, due))
    copy_tree()
    one_by_one([mutant for mutant in due if mutant["id"] in apart], tests)
    report(all_mutants)


main()
