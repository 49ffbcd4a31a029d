#!/bin/sh
# Builds the engine with sanitizers into a folder of its own and runs the tests of the engine, of
# eager mode and of compiled programs under them.
#
#     tests/engine/sanitize.sh address,undefined [PYTHON]
#     tests/engine/sanitize.sh thread [PYTHON]
#
# The Python given needs nanobind, cmake, ninja, numpy, pytest and mpmath. GCC only.
set -eu
kind=$1
python=$(command -v "${2:-python}")
python=$(cd "$(dirname "$python")" && pwd)/$(basename "$python")  # CMake looks from elsewhere
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/src" "$work/build"
cp -r "$root/src/chainrule" "$work/src/"
rm -f "$work"/src/chainrule/engine/_native*.so
cp "$root/CMakeLists.txt" "$work/"
"$python" -m cmake -S "$work" -B "$work/build" -G Ninja -DPython_EXECUTABLE="$python" \
    -DCMAKE_MAKE_PROGRAM="$(dirname "$(command -v "$python")")/ninja" \
    -DCHAINRULE_SANITIZE="$kind" >"$work/log"
nice -n 10 "$python" -m cmake --build "$work/build" -j2 >>"$work/log" || { cat "$work/log"; exit 1; }
cp "$work"/build/_native*.so "$work/src/chainrule/engine/"
# An environment of its own: one with an editable install would import the engine installed there.
"$python" -m venv --without-pip "$work/venv"
packages=$("$python" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
printf '%s\n' "$work/src" "$root" "$packages" >"$(echo "$work"/venv/lib/python3*/site-packages)/instrumented.pth"
case $kind in
    *address*) library=libasan.so ;;
    *) library=libtsan.so ;;
esac
# Python itself is not instrumented and keeps memory until it ends, so leaks are not looked for;
# what matters is found where it happens, and ends the run.
cd "$root"
export LD_PRELOAD="$(g++ -print-file-name=$library) $(g++ -print-file-name=libstdc++.so)"
export ASAN_OPTIONS=detect_leaks=0:halt_on_error=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export TSAN_OPTIONS="halt_on_error=1:die_after_fork=0:suppressions=$root/tests/engine/tsan.supp"
"$work/venv/bin/python" -c "from chainrule import engine; print(engine.module().__file__)"
cd "$root/tests"
"$work/venv/bin/python" -m pytest engine optim test_gateway.py test_tape.py test_autograd.py \
    test_aliases.py test_tensor.py compiler -q -p no:cacheprovider --capture=sys --rootdir "$root" \
    -m "not memory" --ignore engine/test_faults_build.py
