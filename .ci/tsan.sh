#!/usr/bin/env bash
# The race detector over the engine's tests with threads. It needs a standard library built with it,
# else it reports races where there are none. Debian's packages of a compiler with the sources of its
# library, unpacked beside the project, and the detector's runtime of the stable toolchain do it.
#
#   .ci/tsan.sh                              the tests below
#   .ci/tsan.sh --test fill two_threads      these arguments of `cargo test`
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/tsan-toolchain
host=$(rustc -vV | sed -n 's/^host: //p')
if [ ! -e "$tools/ready" ]; then
  rm -rf "$tools" && mkdir -p "$tools/packages"
  dynamic=$(apt-cache depends libstd-rust-web-dev | grep -oE 'libstd-rust-web-[0-9.]+$' | head -1)
  llvm=$(apt-cache depends "$dynamic" | grep -oE 'libllvm[0-9]+' | head -1)
  (cd "$tools/packages" && apt-get download -qq rustc-web rust-web-src libstd-rust-web-dev "$dynamic" "$llvm")
  for package in "$tools"/packages/*.deb; do dpkg -x "$package" "$tools"; done
  runtime=$(rustc --print sysroot)/lib/rustlib/$host/lib/librustc-stable_rt.tsan.a
  # Under each name that a compiler of that packaging may ask for.
  for name in librustc-stable_rt.tsan.a librustc_rt.tsan.a; do
    cp "$runtime" "$tools/usr/lib/rustlib/$host/lib/$name"
  done
  touch "$tools/ready"
fi
export RUSTC=$tools/usr/bin/rustc RUSTC_BOOTSTRAP=1
export LD_LIBRARY_PATH=$tools/usr/lib:$(dirname "$(find "$tools/usr/lib" -name 'libLLVM*.so*' | head -1)")
export RUSTFLAGS="-Zsanitizer=thread --cfg natshard_portable --sysroot $tools/usr"
export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1"
# run ARG...: these tests. A filter of names holds for every test program of a run.
run() { cargo test -Zbuild-std --target "$host" --target-dir target/tsan -p natshard "$@"; }
if [ $# -gt 0 ]; then
  run "$@"
else
  # The longer test of f02, and f15, repeat what they do until it was done often enough: too long at
  # this pace.
  run --test faults -- f01_ f02_leases_ f03_ f07_ f16_ f19_ f21_
  run --test contiguous_threads --test fill --test reconfigure --test tenants_threads
fi
