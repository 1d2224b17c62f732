#!/usr/bin/env bash
# Makes a Debian package and a tarball of an installed tree: scripts/dist.sh STAGE VERSION FOLDER
#
# STAGE holds usr/bin, usr/lib and usr/share, as `make install DESTDIR=STAGE PREFIX=/usr` lays them.
# Which packages hold the libraries that the program needs is asked of dpkg, so the package fits the
# distribution that it was built on.
set -euo pipefail

usage="usage: scripts/dist.sh STAGE VERSION FOLDER"
stage=$(realpath "${1:?$usage}")
version=${2:?$usage}
folder=${3:?$usage}
mkdir -p "$folder"
folder=$(realpath "$folder")
architecture=$(dpkg --print-architecture)

# Files that are the same have the same time in every archive of one commit.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# dpkg-shlibdeps wants to find a source package around it.
mkdir "$scratch/debian"
printf 'Source: posedata\n\nPackage: posedata\nArchitecture: any\n' >"$scratch/debian/control"
# FFmpeg's libraries are loaded when a video is opened, so that the program does not name them; a
# program that does nothing names them instead.
loaded=$(sed -n 's/^    "\([a-z]*\)" version .*/-l\1/p' "$(dirname "$0")/../src/video/libraries.rs")
[ -n "$loaded" ] || { echo "src/video/libraries.rs names no libraries" >&2; exit 1; }
# shellcheck disable=SC2086
echo 'int main(void) { return 0; }' | cc -x c - -o "$scratch/loaded" -Wl,--no-as-needed $loaded
depends=$(cd "$scratch" && dpkg-shlibdeps -O --warnings=0 -l"$stage/usr/lib/posedata" \
    -e"$stage/usr/bin/posedata" -e"$stage/usr/lib/posedata/libduckdb.so" -e"$scratch/loaded" |
    sed 's/^shlibs:Depends=//')

# Packed relocations, which dpkg does not look for.
if readelf -d "$stage/usr/bin/posedata" | grep -q '(RELR)'; then
    depends="libc6 (>= 2.36), $depends"
fi

mkdir -p "$stage/DEBIAN"
cat >"$stage/DEBIAN/control" <<EOF
Package: posedata
Version: $version
Architecture: $architecture
Maintainer: the posedata authors
Section: science
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$stage" | cut -f1)
Depends: $depends, ca-certificates, python3, python3-pip
Description: turns folders of video into a queryable lake of human motion
 posedata finds the people in every frame of a video, measures joint angles,
 widths and speeds, and writes all of it as Parquet files with a DuckLake
 catalog, to be asked in SQL. It builds instruction datasets from them and
 fine-tunes small language models.
 .
 Models are fetched by "posedata models add base", with pip.
EOF

package=$folder/posedata_${version}_${architecture}.deb
dpkg-deb --root-owner-group --build "$stage" "$package" >/dev/null
rm -r "$stage/DEBIAN"

tarball=$folder/posedata-$version-linux-$(uname -m).tar.gz
tar -C "$stage/usr" --owner=0 --group=0 --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
    --transform "s,^\.,posedata-$version," -czf "$tarball" .

du -h "$package" "$tarball"
