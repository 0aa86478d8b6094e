#!/usr/bin/env python3
"""Mutation testing of the engine: each small change of its code must make a test fail.

Places and changes are those of cargo-mutants (`cargo mutants --list`, `.cargo/mutants.toml`). A
build for each of them would take days, so that the engine is built once with all of them: each
function that has any begins with a choice by the environment variable NATSHARD_MUTANT. Each test is
run once by itself to learn which functions it reaches and how long it takes; a change then meets
the tests that reach its function, the likeliest and quickest first, until one fails. For that,
functions are `const` only where a constant is made of them, and iterators of opaque type are boxed.
Changes that cannot be chosen when it runs for all that (those of constants, and of what they are
made of) get a build each, in the end.

  .ci/mutants.py                 all, or those that have no outcome yet in target/mutants
  .ci/mutants.py --only sweep.rs those of a file
  .ci/mutants.py --missed        those missed so far once more, too: after further tests were written
  .ci/mutants.py --survivors     those missed so far alone, against every test of the engine
  .ci/mutants.py --heap          those missed so far alone, against what measures heap and system calls
  .ci/mutants.py --models        those missed so far alone, against the loom models
  .ci/mutants.py --sampled       those missed so far alone, against the scenarios of shuttle
  .ci/mutants.py --report        what is known so far
"""

import argparse
import collections
import itertools
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
REACHED = "NATSHARD_REACHED"
CHOICE = f'''
/// Which change of the code is in force; in a run that learns what is reached, none.
#[doc(hidden)]
pub(crate) fn chosen_mutant(function: usize) -> u32 {{
    use std::sync::atomic::{{AtomicBool, AtomicU32, Ordering::Relaxed}};
    const UNKNOWN: u32 = u32::MAX - 1;
    const LEARNING: u32 = u32::MAX - 2;
    static CHOSEN: AtomicU32 = AtomicU32::new(UNKNOWN);
    static REACHED: [AtomicBool; 8192] = [const {{ AtomicBool::new(false) }}; 8192];
    if CHOSEN.load(Relaxed) == UNKNOWN {{
        let chosen = match std::env::var_os("{REACHED}") {{
            Some(_) => LEARNING,
            None => std::env::var("{VARIABLE}").ok().and_then(|id| id.parse().ok()).unwrap_or(u32::MAX),
        }};
        CHOSEN.store(chosen, Relaxed);
    }}
    if CHOSEN.load(Relaxed) == LEARNING && !REACHED[function].swap(true, Relaxed) {{
        use std::io::Write;
        let path = std::env::var_os("{REACHED}").expect("learning");
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{{function}}\\n").as_bytes())).expect("told");
    }}
    CHOSEN.load(Relaxed)
}}

/// One type for the iterators among which a choice is made.
pub(crate) fn boxed<'a, I: Iterator + 'a>(iterator: I) -> Box<dyn Iterator<Item = I::Item> + 'a> {{
    Box::new(iterator)
}}
'''
CONST = re.compile(r"\bconst\s+((?:unsafe\s+)?fn\s+(\w+))")
# About time, or about the text of the sources.
LEFT_OUT = {
    *("flood", "tenants_flood", "unpredictability", "subscribers_stress", "subscribers_memory"),
    "sources",
}
# About the process (its heap, its system calls), which learning what they reach would disturb, and
# boxed iterators.
MEASURING = {"footprint", "system_calls"}
# A suite of tests: how cargo builds it, where it runs, and how long it may take: a change first meets
# tests that take no longer than `quick`, and no more of them than `enough` in all (seconds). Whether
# what does not end is wrong: a model of a changed engine may only have more to explore.
Suite = collections.namedtuple("Suite", "cargo flags directory quick enough ends")
RELEASED = ["--release", "--config", "profile.release.lto=false", "--config", "profile.release.debug=false"]
TESTS = Suite(["--profile", "mutants", "--package", "natshard"], "", "crates/natshard", 4.0, 12.0, False)
MODELS = Suite([*RELEASED, "--package", "loom-tests"], "--cfg loom", "loom-tests", 60.0, 90.0, True)
SAMPLED = MODELS._replace(flags="--cfg shuttle")
SKIP = ["numbers_that_would_wrap_are_refused"]
# What waits for another thread may wait for ever where the code is wrong.
PATIENCE = 6.0
MEMORY = 6 << 30


def sh(command, **options):
    return subprocess.run(command, text=True, **options)


def mutants():
    """What cargo-mutants would change, numbered."""
    listed = sh(
        ["cargo", "mutants", "--list", "--json", "--package", "natshard"],
        cwd=ROOT, capture_output=True, check=True,
    )
    found, seen = json.loads(listed.stdout), collections.Counter()
    for number, mutant in enumerate(found):
        mutant["id"] = number
        # Lines move; what is changed in which function does not.
        key = re.sub(r":\d+:\d+:", "", mutant["name"])
        seen[key] += 1
        mutant["key"] = f"{key} #{seen[key]}"
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


def without_const(text, kept):
    """A text whose functions are not `const`, but for those of these names."""
    return CONST.sub(lambda found: found[0] if found[2] in kept else found[1], text)


class Chosen:
    """A file whose functions choose among changes."""

    def __init__(self, source, group, numbers, kept, boxes):
        # By change, and by function: its first and last line.
        self.lines, self.functions, self.apart = {}, [], []
        text = source.text
        functions = collections.defaultdict(list)
        for mutant in group:
            if mutant["function"] is None:
                self.apart.append(mutant)
            else:
                functions[source.span(mutant["function"]["span"])].append(mutant)
        # A function within another is a part of that one's body.
        outer = []
        for span in sorted(functions, key=lambda span: (span[0], -span[1])):
            if outer and span[1] <= outer[-1][1]:
                functions[outer[-1]] += functions.pop(span)
            else:
                outer.append(span)
        parts, last = [], 0
        for start, end in outer:
            group = functions[start, end]
            brace, signature = body_of(text, start, end)
            wrap = self.wrapping(signature, text[brace:end])
            constant = CONST.search(signature)
            boxed = wrap != "{}" and not boxes
            if wrap is None or boxed or constant and constant[2] in kept:
                self.apart += group
                continue
            parts.append(without_const(text[last:brace], kept))
            number, first = next(numbers), self.line(parts)
            parts.append(f"{{ match crate::chosen_mutant({number}) {{\n")
            for mutant in group:
                mutant["reached_as"] = number
                begin = self.line(parts)
                body = without_const(changed(text, brace, end, mutant, source), kept)
                parts.append(f"{mutant['id']} => {wrap.format(body)}\n")
                self.lines[mutant["id"]] = (begin, self.line(parts) - 1)
            parts.append(f"_ => {wrap.format(without_const(text[brace:end], kept))}\n}} }}")
            self.functions.append((first, self.line(parts), [mutant["id"] for mutant in group]))
            last = end
        parts.append(without_const(text[last:], kept))
        self.text = "".join(parts)

    @staticmethod
    def line(parts):
        return sum(part.count("\n") for part in parts) + 1

    @staticmethod
    def wrapping(signature, body):
        """What the choices of a function are wrapped in, if it can choose."""
        returned = signature.rsplit("->", 1)[-1].strip() if "->" in signature else ""
        if not re.search(r"\bimpl\b", returned):
            return "{}"
        plain = returned.startswith("impl Iterator<") and not re.search(r"\b(Clone|Double|Exact)", returned)
        return "crate::boxed({})," if plain and "return" not in body else None


def copy_tree():
    """The sources as they stand, where they can be changed."""
    listed = sh(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    shutil.rmtree(TREE, ignore_errors=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (TREE / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, TREE / name)


def build(suite, tests):
    """Builds test programs; gives their paths, or the errors of the compiler."""
    target = WORK / "-".join(["target", *suite.flags.split()[1:]])
    built = sh(
        ["cargo", "test", "--no-run", *suite.cargo, *tests, "--message-format", "json"],
        cwd=TREE, capture_output=True,
        env={**os.environ, "CARGO_TARGET_DIR": str(target), "RUSTFLAGS": suite.flags},
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


class Build:
    """One build with every change that can be chosen, and what became of the others."""

    def __init__(self, suite, mutants, tests, boxes=True):
        self.suite, self.boxes = suite, boxes
        self.unviable, self.apart, self.kept = set(), set(), set()
        self.files = collections.defaultdict(list)
        for path in sorted((ROOT / "crates/natshard/src").rglob("*.rs")):
            self.files[str(path.relative_to(ROOT))] = []
        for mutant in mutants:
            self.files[mutant["file"]].append(mutant)
        self.sources = {name: Text((ROOT / name).read_text()) for name in self.files}
        self.elsewhere = set()
        self.elsewhere = self.not_here(mutants)
        while True:
            self.write()
            self.programs, errors = build(suite, tests)
            if not errors:
                return
            self.learn(errors)

    def write(self, edit=lambda text: text):
        numbers = itertools.count()
        self.chosen = {}
        for name, group in self.files.items():
            gone = self.unviable | self.apart | self.elsewhere
            wanted = [mutant for mutant in group if mutant["id"] not in gone]
            chosen = Chosen(self.sources[name], wanted, numbers, self.kept, self.boxes)
            self.chosen[name] = chosen
            self.apart |= {mutant["id"] for mutant in chosen.apart}
            (TREE / name).write_text(edit(chosen.text))
        crate = TREE / "crates/natshard/src/lib.rs"
        crate.write_text(crate.read_text() + CHOICE)

    def not_here(self, mutants):
        """Changes of functions that this build does not have, but another one (of models,
        failpoints, other processors): found by making each of them an error."""
        begin = re.compile(r"\{ match crate::chosen_mutant\((\d+)\) \{")
        self.write(lambda text: begin.sub(r'{ compile_error!("here \1"); match 0u32 {', text))
        _, errors = build(self.suite, ["--lib"])
        here = {int(it) for error in errors for it in re.findall(r"^here (\d+)$", error["message"])}
        return {it["id"] for it in mutants if it.get("reached_as", -1) not in here | {-1}}

    def learn(self, errors):
        """Leaves out what does not compile, or keeps functions constant that have to be."""
        kept, guilty, unclear = set(), set(), set()
        for error in errors:
            called = re.search(r"cannot call non-const .*?`([^`]+)`", error["message"])
            if called:
                kept.add(re.sub(r"<.*?>", "", called[1]).rsplit("::", 1)[-1])
                continue
            for span in error["spans"]:
                chosen = self.chosen.get(span["file_name"])
                if chosen is None:
                    continue
                line = span["line_start"]
                exact = {it for it, (low, high) in chosen.lines.items() if low <= line <= high}
                guilty |= exact
                if not exact:
                    around = [ids for low, high, ids in chosen.functions if low <= line <= high]
                    unclear |= {it for ids in around for it in ids}
        if not kept | guilty | unclear or kept and kept <= self.kept:
            sys.exit("\n".join(error["rendered"] for error in errors))
        self.kept |= kept
        if kept:
            print(f"  {len(kept)} are for constants", flush=True)
        elif guilty:
            print(f"  {len(guilty)} do not compile", flush=True)
            self.unviable |= guilty
        else:
            print(f"  {len(unclear)} are in functions that cannot choose", flush=True)
            self.apart |= unclear


def limited():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


LIVING = set()


def stop(*_):
    """Nobody else would end a program that waits for ever."""
    for child in list(LIVING):
        os.killpg(child.pid, signal.SIGKILL)
    os._exit(1)


def run(path, environment, patience, tests=(), suite=TESTS):
    """Runs a test program, or some tests of it; `caught` if it fails."""
    # As cargo runs them.
    child = subprocess.Popen(
        [path, *tests], cwd=TREE / suite.directory, env={**os.environ, **environment},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        preexec_fn=limited, start_new_session=True,
    )
    LIVING.add(child)
    try:
        return "missed" if child.wait(patience) == 0 else "caught"
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return "timeout"
    finally:
        LIVING.discard(child)


Test = collections.namedtuple("Test", "name path arguments took reaches")


def tests_of(path):
    """What a program's tests are called; one without a name if it has no harness."""
    listed = sh([path, "--list", "--format", "terse"], capture_output=True, cwd=TREE / "crates/natshard")
    names = re.findall(r"^(.*): test$", listed.stdout, re.MULTILINE)
    return [["--exact", name, "--test-threads=1"] for name in names if name not in SKIP] or [[]]


def learn(suite, programs):
    """Each test by itself: how long it takes and what it reaches."""
    learnt, told = [], WORK / "reached"
    for name, path in programs:
        if name in LEFT_OUT | MEASURING:
            continue
        for arguments in tests_of(path):
            told.unlink(missing_ok=True)
            began = time.monotonic()
            test = f"{name} {arguments[1]}" if arguments else name
            if run(path, {REACHED: str(told)}, 300.0, arguments, suite) != "missed":
                print(f"left out, fails without any change: {test}", flush=True)
                continue
            took = time.monotonic() - began
            reaches = set(map(int, told.read_text().split())) if told.exists() else set()
            learnt.append(Test(test, path, arguments, took, reaches))
    learnt.sort(key=lambda test: test.took)
    return learnt


def module_of(mutant):
    path = mutant["file"].removeprefix("crates/natshard/src/").removesuffix(".rs")
    return path.removesuffix("/mod").replace("/", "::")


class Order:
    """Which tests a change meets, and in which order."""

    def __init__(self, suite, tests, thorough):
        self.suite, self.tests, self.thorough = suite, tests, thorough
        self.catches = collections.defaultdict(collections.Counter)

    def of(self, mutant):
        function = mutant["reached_as"]
        module = module_of(mutant)
        own = f"natshard {module}::"
        caught, nearby = self.catches[function], self.catches[module]

        def rank(test):
            cost = test.took / (1 + nearby[test.name])
            return -caught[test.name], not test.name.startswith(own), cost

        spent = 0.0
        reaching = (test for test in self.tests if function in test.reaches)
        for test in sorted(reaching, key=rank):
            if self.thorough or test.took <= self.suite.quick and spent <= self.suite.enough:
                spent += test.took
                yield test

    def attempt(self, mutant):
        for test in self.of(mutant):
            patience = max(PATIENCE, 3 * test.took, min(20 * test.took, 60.0))
            chosen = {VARIABLE: str(mutant["id"])}
            outcome = run(test.path, chosen, patience, test.arguments, self.suite)
            if outcome == "caught" or outcome == "timeout" and not self.suite.ends:
                for where in (mutant["reached_as"], module_of(mutant)):
                    self.catches[where][test.name] += 1
                return outcome, test.name
        return "missed", ""


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


def one_by_one(apart):
    """Those that need a build each: of the library's own tests first."""
    for mutant in apart:
        source = Text((ROOT / mutant["file"]).read_text())
        path = TREE / mutant["file"]
        path.write_text(changed(source.text, 0, len(source.text), mutant, source))
        outcome = "missed", ""
        for which in (["--lib"], ["--tests"]):
            built, errors = build(TESTS, which) if outcome[0] == "missed" else ([], [])
            if errors:
                outcome = "unviable", ""
            for name, program in built:
                if outcome[0] == "missed" and name not in LEFT_OUT:
                    outcome = run(program, {}, 120.0, [word for it in SKIP for word in ("--skip", it)]), name
        note(mutant, *outcome)
        print(f"{outcome[0]:8}{mutant['name']}", flush=True)
        shutil.copy(ROOT / mutant["file"], path)


def against_heap(mutants):
    """What measures the whole process against those that nothing else caught."""
    tests = [word for name in sorted(MEASURING) for word in ("--test", name)]
    built = Build(TESTS, mutants, tests, False)
    programs = [(name, path) for name, path in built.programs if name in MEASURING]
    for name, path in programs:
        if run(path, {}, 60.0) != "missed":
            sys.exit(f"{name} fails without any change")
    for mutant in mutants:
        if mutant["id"] in built.unviable | built.apart | built.elsewhere:
            continue
        for name, path in programs:
            # Twice: they know of limits of time, too.
            outcomes = [run(path, {VARIABLE: str(mutant["id"])}, 30.0) for _ in range(2)]
            if "missed" not in outcomes:
                note(mutant, outcomes[0], name)
                print(f"caught  {mutant['name']}", flush=True)
                break


def report(all_mutants):
    found = known()
    by_file = collections.defaultdict(collections.Counter)
    missed = []
    for mutant in all_mutants:
        outcome = found.get(mutant["key"], {"outcome": "untried"})["outcome"]
        by_file[mutant["file"].removeprefix("crates/natshard/src/")][outcome] += 1
        if outcome == "missed":
            missed.append(mutant["name"])
    kinds = ["caught", "timeout", "missed", "unviable", "elsewhere", "untried"]
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
    arguments.add_argument("--heap", action="store_true", help="those missed, with what measures")
    arguments.add_argument("--models", action="store_true", help="those missed, with loom models")
    arguments.add_argument("--sampled", action="store_true", help="those missed, with shuttle")
    arguments.add_argument("--missed", action="store_true", help="those missed, too")
    arguments.add_argument("--again", action="store_true", help="those that have an outcome, too")
    arguments.add_argument("--report", action="store_true", help="only what is known so far")
    arguments.add_argument("--quick", action="store_true", help="not those that need a build each")
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
        if options.survivors or options.heap or options.models or options.sampled:
            return outcome == "missed"
        return options.again or outcome is None or options.missed and outcome == "missed"

    due = [mutant for mutant in all_mutants if is_due(mutant)]
    print(f"{len(due)} of {len(all_mutants)} changes to try; building", flush=True)
    copy_tree()
    if options.heap:
        against_heap(due)
        report(all_mutants)
        return
    suite = MODELS if options.models else SAMPLED if options.sampled else TESTS
    built = Build(suite, due, ["--lib", "--tests"])
    began = time.monotonic()
    tests = learn(suite, built.programs)
    print(f"{len(tests)} tests, learnt in {time.monotonic() - began:.0f} s", flush=True)
    order = Order(suite, tests, options.survivors)

    def attempt(mutant):
        if suite is not TESTS:
            # Survivors, which they stay unless one of these catches them.
            if mutant["id"] in built.unviable | built.elsewhere | built.apart:
                return
            outcome, test = order.attempt(mutant)
            if outcome == "caught":
                note(mutant, outcome, test)
            print(f"{outcome:8}{mutant['name']}", flush=True)
        elif mutant["id"] in built.unviable:
            note(mutant, "unviable", "")
        elif mutant["id"] in built.elsewhere:
            note(mutant, "elsewhere", "")
        elif mutant["id"] not in built.apart:
            outcome, test = order.attempt(mutant)
            note(mutant, outcome, test)
            if outcome == "missed":
                print(f"missed  {mutant['name']}", flush=True)

    with ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(attempt, due))
    copy_tree()
    if suite is TESTS and not options.quick:
        one_by_one([mutant for mutant in due if mutant["id"] in built.apart])
    report(all_mutants)


main()
