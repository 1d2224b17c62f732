#!/usr/bin/env bash
# Installs the package as somebody would who has nothing: tests/install/chroot.sh PACKAGE.deb [FOLDER]
#
# Makes a Debian without compilers in FOLDER (a temporary one by default), installs the package with
# apt, fetches models, ingests the demo video and asks for speeds. Needs root, debootstrap and the
# package sources that this machine uses. Prints the time that each step took.
set -euo pipefail

package=$(realpath "${1:?usage: tests/install/chroot.sh PACKAGE.deb [FOLDER]}")
if [ -n "${2:-}" ]; then
    root=$2
else
    root=$(mktemp -d)
fi
# The new machine's /proc goes before its files do.
clean_up() {
    umount "$root/proc" 2>/dev/null || true
    if [ -z "${2:-}" ]; then rm -rf "$root" "$root.log"; fi
}
trap 'clean_up "$@"' EXIT

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
mirror=$(apt-get indextargets --format '$(SITE)' "Created-By: Packages" "Codename: $suite" | head -n 1)
debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    exit 1
}

# Whatever makes this machine reach its package sources makes the new one reach them.
rm -f "$root"/etc/apt/sources.list
cp -a /etc/apt/. "$root/etc/apt/"
cp -aL /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
mkdir -p "$root/etc/ssl/certs"
cp -aL /etc/ssl/certs/. "$root/etc/ssl/certs/"
home=$root/root
for file in .config/pip/pip.conf .pip/pip.conf .npmrc; do
    [ ! -e "$HOME/$file" ] || install -D "$HOME/$file" "$home/$file"
done
[ ! -e /etc/pip.conf ] || cp -a /etc/pip.conf "$root/etc/"
cp "$package" "$home/"
# The loader finds libraries beside a program by it.
mount -t proc proc "$root/proc"

# run COMMAND...: inside the new machine, with its time.
run() {
    echo "\$ $*"
    local started=$SECONDS
    chroot "$root" env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        ${PIP_CERT:+PIP_CERT=$PIP_CERT} ${PIP_INDEX_URL:+PIP_INDEX_URL=$PIP_INDEX_URL} \
        ${http_proxy:+http_proxy=$http_proxy} ${https_proxy:+https_proxy=$https_proxy} \
        DEBIAN_FRONTEND=noninteractive bash -c "cd /root && $*"
    echo "($((SECONDS - started)) s)"
}

started=$SECONDS
run "apt-get update -qq && apt-get install -y -qq --no-install-recommends ./$(basename "$package") >apt.log 2>&1 || { tail -n 20 apt.log; exit 1; }"
# The package that brings certificates has written its own over this machine's.
cp -L --remove-destination /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
run "! command -v gcc && ! command -v cargo"
run "posedata models add base demo"
run 'mkdir public && cp "$(posedata models path demo)" public/ && posedata ingest public'
run "posedata query queries/velocity.sql --format csv | head -n 8"
echo "all of it: $((SECONDS - started)) s"
