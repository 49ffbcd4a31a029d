#!/bin/sh
# Runs tests as on another processor, with the Python and the NumPy that Debian builds for it.
#
#     tests/emulate.sh arm64 tests/engine     64-bit ARM: the engine, cross-compiled, with NEON
#     tests/emulate.sh i386 tests/ops         an index type of 32 bits, as in browsers; no engine
#
# All is kept in build/ARCHITECTURE. Runs on Debian and Ubuntu, without an administrator. $PYTHON
# (python3) needs pip.
set -eu
architecture=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/build/$architecture
machine=$work/machine
python=${PYTHON:-python3}
tools="apt-get dpkg-deb"
case $architecture in
    arm64)
        triple=aarch64-linux-gnu loader=ld-linux-aarch64.so.1 emulator=qemu-aarch64
        tools="$tools $triple-g++ cmake ninja"
        ;;
    i386)
        triple=i386-linux-gnu loader=ld-linux.so.2 emulator=qemu-i386
        [ "$(uname -m)" != x86_64 ] || emulator=  # runs these programs itself
        ;;
    *) echo "$architecture is neither arm64 nor i386" >&2; exit 2 ;;
esac
for program in $tools $emulator; do
    command -v "$program" >/dev/null && continue
    echo "no $program: apt install qemu-user g++-aarch64-linux-gnu cmake ninja-build" >&2
    exit 1
done
mkdir -p "$work"

if [ ! -e "$work/.packages" ]; then
    rm -rf "$machine" "$work/site" "$work/apt"
    mkdir -p "$machine" "$work/apt/lists/partial" "$work/apt/archives/partial"
    : >"$work/apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]" \
        "http://deb.debian.org/debian trixie main" >"$work/apt/sources.list"
    cat >"$work/apt/configuration" <<END
APT { Architecture "$architecture"; Architectures { "$architecture"; }; Sandbox::User "root"; };
Debug::NoLocking "1";
Dir::State "$work/apt";
Dir::State::status "$work/apt/status";
Dir::Cache "$work/apt";
Dir::Etc { sourcelist "$work/apt/sources.list"; sourceparts "/dev/null"; };
END
    export APT_CONFIG="$work/apt/configuration"
    apt-get -qq update
    apt-get -qq install --download-only -y --no-install-recommends \
        python3 python3-numpy libpython3-dev
    for package in "$work"/apt/archives/*.deb; do dpkg-deb -x "$package" "$machine"; done
    # Pure Python, so that it does not matter for which processor.
    "$python" -m pip install --quiet --target "$work/site" --python-version 3.13 --platform any \
        --implementation py --abi none --only-binary=:all: \
        click rich pooch pytest "hypothesis<6.140" mpmath nanobind
    touch "$work/.packages"
fi

libraries=$machine/usr/lib/$triple
# The compiled modules are kept: an emulator takes half a minute to compile those of NumPy.
cat >"$work/python" <<END
#!/bin/sh
export PYTHONHOME=$machine/usr PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$work/cache
export PYTHONPATH=$work/src:$root:$work/site:$machine/usr/lib/python3/dist-packages
exec $emulator $libraries/$loader --library-path $libraries:$libraries/blas:$libraries/lapack \\
    --argv0 $work/python $machine/usr/bin/python3 "\$@"
END
chmod +x "$work/python"

rm -rf "$work/src"
mkdir "$work/src"
cp -rp "$root/src/chainrule" "$root/src/chainrule_command" "$work/src/"
rm -f "$work"/src/chainrule/engine/_native*.so
if [ "$architecture" = arm64 ]; then
    # Once: CMake asks the emulated Python for minutes. Ninja runs it again if CMakeLists.txt changes.
    [ -e "$work/engine/build.ninja" ] ||
        cmake -S "$root" -B "$work/engine" -G Ninja -DPython_EXECUTABLE="$work/python" \
        -DPython_NumPy_INCLUDE_DIR="$machine/usr/lib/python3/dist-packages/numpy/_core/include" \
        -DCMAKE_CXX_COMPILER=$triple-g++ -DCMAKE_CXX_FLAGS="-idirafter $machine/usr/include" \
        >"$work/log" || { cat "$work/log"; exit 1; }
    nice -n 10 cmake --build "$work/engine" >>"$work/log" || { cat "$work/log"; exit 1; }
    cp "$work"/engine/_native*.so "$work/src/chainrule/engine/"
fi

cd "$root"
"$work/python" -c "
import platform, numpy
from chainrule import engine
print(platform.machine(), 'index type', numpy.dtype(numpy.intp), engine.describe())"
# Without pytest's plugins: one imports all of Hypothesis at the end, whether a test used it or not.
export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1
exec "$work/python" -m pytest -q -p no:cacheprovider "$@"
