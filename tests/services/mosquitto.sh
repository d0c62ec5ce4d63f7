#!/bin/sh
# mosquitto.sh install|run ARGUMENT...: the MQTT broker Eclipse Mosquitto, Debian 13's, without root.
#
# The packages are fetched and verified by apt with lists of its own, unpacked into one folder and run with their own
# ld.so and libraries: the system's packages, sources and servers stay as they are. `install` prints the program's path;
# `run` becomes the program.
#
#   MOSQUITTO_ROOT    where it goes    (root: /var/cache/headend/mosquitto; else ~/.cache/headend/mosquitto)
#   MOSQUITTO_MIRROR  Debian mirror    (the one in this system's apt sources)
#
# Exit codes: 0 done, 1 failed, 2 wrong usage, 69 Mosquitto cannot be had on this machine.
set -eu
umask 022
SUITE=trixie KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
UPDATE_SECONDS=45 DOWNLOAD_SECONDS=60 LOCK_SECONDS=110

die() { code=$1; shift; echo "mosquitto.sh: $*" >&2; exit "$code"; }

install() {
  mkdir -p "$ROOT" || die 69 "cannot make $ROOT (set MOSQUITTO_ROOT)"
  [ -e "$ROOT/tree/.complete" ] || {
    flock -w "$LOCK_SECONDS" 9 || die 69 "another install in $ROOT did not end within $LOCK_SECONDS s"
    [ -e "$ROOT/tree/.complete" ] || unpack
  } 9>"$ROOT/.lock"
}
unpack() {
  for tool in apt-get dpkg-deb; do
    command -v $tool >/dev/null || die 69 "$tool not found: the packages can only be unpacked on Debian or a relative"
  done
  [ -r "$KEYRING" ] || die 69 "$KEYRING is missing (package debian-archive-keyring): packages could not be verified"
  mirror=${MOSQUITTO_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 -E '/debian(\.list)?/*$' || true)}
  [ -n "$mirror" ] || die 69 "no Debian mirror in this system's apt sources (set MOSQUITTO_MIRROR)"
  apt=$ROOT/apt new=$ROOT/tree.new
  rm -rf "$apt" "$new" "$ROOT/tree"; mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/debs" "$new"
  echo "deb [signed-by=$KEYRING] $mirror $SUITE main" >"$apt/sources.list"
  : >"$apt/status"; : >"$apt/preferences"; : >"$apt/log"
  apt_get() {   # apt_get SECONDS ARGUMENT...
    seconds=$1; shift
    timeout -k 5 "$seconds" apt-get -qq -o Dir::State="$apt" -o Dir::State::status="$apt/status" -o Dir::Cache="$apt" \
      -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
      -o Dir::Etc::preferences="$apt/preferences" -o Dir::Etc::preferencesparts=/dev/null \
      -o APT::Default-Release= -o APT::Sandbox::User=root -o APT::Install-Recommends=0 -o APT::Update::Error-Mode=any \
      -o Acquire::Languages=none -o Acquire::Retries=1 -o Acquire::http::Timeout=15 -o Acquire::https::Timeout=15 \
      "$@" 2>>"$apt/log" </dev/null
  }
  fetch_failed() { die 69 "the Debian mirror gave no $1: $(grep -m1 '^E:' "$apt/log" || echo "no answer within $2 s")"; }
  apt_get $UPDATE_SECONDS update >/dev/null || fetch_failed "package lists of $SUITE" $UPDATE_SECONDS
  # apt works out what is needed; of that, the broker and its libraries are kept.
  debs=$(apt_get 20 -s install mosquitto | awk '$1 == "Inst" && $2 ~ /^(lib|zlib1g|mosquitto$)/ && $2 !~ /perl/ {print $2}')
  [ -n "$debs" ] || fetch_failed "package mosquitto in $SUITE" 20
  # shellcheck disable=SC2086  # one argument for each package
  (cd "$apt/debs" && apt_get $DOWNLOAD_SECONDS download $debs >/dev/null) || fetch_failed packages $DOWNLOAD_SECONDS
  for deb in "$apt"/debs/*.deb; do dpkg-deb -x "$deb" "$new"; done
  rm -rf "$apt" "$new"/usr/share
  lib=$(dirname "$(echo "$new"/usr/lib/*-linux-gnu/libc.so.6)"); ld=$(echo "$lib"/ld-linux-*.so.*)
  printf '#!/bin/sh\nexec "%s" --inhibit-cache --library-path "%s" "%s" "$@"\n' \
    "$ROOT/tree${ld#"$new"}" "$ROOT/tree${lib#"$new"}" "$ROOT/tree/usr/sbin/mosquitto" >"$new/mosquitto"
  chmod 755 "$new/mosquitto"
  touch "$new/.complete"; mv "$new" "$ROOT/tree"
}

case ${1:-} in install|run) ;; *) echo "usage: $0 install|run ARGUMENT..." >&2; exit 2 ;; esac
if [ -n "${MOSQUITTO_ROOT:-}" ]; then ROOT=$MOSQUITTO_ROOT
elif [ "$(id -u)" = 0 ]; then ROOT=/var/cache/headend/mosquitto
else ROOT=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/headend/mosquitto; fi
case $ROOT in /*) ;; *) die 2 "MOSQUITTO_ROOT must be an absolute path" ;; esac
install
[ "$1" = run ] || { echo "$ROOT/tree/mosquitto"; exit 0; }
shift
exec "$ROOT/tree/mosquitto" "$@"
