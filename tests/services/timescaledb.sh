#!/bin/sh
# timescaledb.sh install|start|stop|status|dsn|psql: a private PostgreSQL 17 with TimescaleDB (Apache-2 edition).
#
# The packages are Debian 13's, fetched and verified by apt with lists of its own, unpacked into one folder and run with
# their own ld.so and libraries: the system's packages, sources and servers stay as they are, and no root is needed. As
# root the server runs as the account postgres, else nobody. Any number of clusters run off one installed tree.
#
#   TSDB_ROOT    where the programs go    (root: /var/cache/headend/timescaledb; else ~/.cache/headend/timescaledb)
#   TSDB_DATA    a cluster's folder       (one for each checkout, under $TSDB_ROOT/data)
#   TSDB_PORT    TCP port on 127.0.0.1    (a free one; a cluster keeps its port while that is free)
#   TSDB_DB      database, made by start  (headend)
#   TSDB_MIRROR  Debian mirror            (the one in this system's apt sources)
#   TSDB_SAFE    0: fsync off, for data that may be lost  (1: durable)
#   TSDB_SHARED_BUFFERS                   (256MB)
#
# Exit codes: 0 done, 1 failed, 2 wrong usage, 3 not running, 69 TimescaleDB cannot be had on this machine.
set -eu
umask 022
unset PGOPTIONS PGSERVICE PGSSLMODE PGHOSTADDR PGPASSWORD PGPASSFILE PGREQUIREAUTH 2>/dev/null || true
export PGCONNECT_TIMEOUT=10
SUITE=trixie PG=17 DB=${TSDB_DB:-headend} KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
UPDATE_SECONDS=45 DOWNLOAD_SECONDS=60 LOCK_SECONDS=110 START_SECONDS=60

die() { code=$1; shift; echo "timescaledb.sh: $*" >&2; exit "$code"; }

find_account() {   # the server refuses to run as root
  ACCOUNT=
  [ "$(id -u)" = 0 ] || return 0
  for ACCOUNT in postgres nobody headend; do ! id "$ACCOUNT" >/dev/null 2>&1 || return 0; done
  echo "timescaledb.sh: no account postgres or nobody here: adding the system account $ACCOUNT to run the server" >&2
  useradd --system --user-group --no-create-home --home-dir /nonexistent "$ACCOUNT"
}
as_account() {
  if [ -z "$ACCOUNT" ]; then "$@"; else
    (cd / && exec setpriv --reuid="$ACCOUNT" --regid="$(id -g "$ACCOUNT")" --clear-groups "$@")
  fi
}
usable() {   # can the folder be made, and does the account reach and run what lies in it?
  mkdir -p "$1" 2>/dev/null && echo '#!/bin/sh' >"$1/.probe.$$" 2>/dev/null || return 1
  chmod 755 "$1/.probe.$$"; as_account "$1/.probe.$$" 2>/dev/null && ran=0 || ran=1
  rm -f "$1/.probe.$$"; return $ran
}
find_root() {
  if [ -n "${TSDB_ROOT:-}" ]; then set -- "$TSDB_ROOT"
  elif [ -n "$ACCOUNT" ]; then set -- /var/cache/headend/timescaledb /var/lib/headend/timescaledb /opt/headend/timescaledb
  else set -- "${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/headend/timescaledb"; fi
  for ROOT in "$@"; do
    case $ROOT in /*) ;; *) die 2 "TSDB_ROOT must be an absolute path" ;; esac
    [ ! -x "$ROOT/tree/usr/lib/postgresql/$PG/bin/postgres" ] || ! as_account test -x "$ROOT/tree/usr/lib/postgresql/$PG/bin/postgres" || return 0
    ! usable "$ROOT" || return 0
  done
  die 69 "cannot use $*: account ${ACCOUNT:-$(id -un)} must be able to reach it and run programs there (set TSDB_ROOT)"
}

install() {
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
  mirror=${TSDB_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 2>/dev/null | grep -m1 -E '/debian(\.list)?/*$' || true)}
  [ -n "$mirror" ] || die 69 "no Debian mirror in this system's apt sources (set TSDB_MIRROR)"
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
  # apt works out what is needed; of that, the server and its libraries are kept (no JIT, no perl wrappers).
  debs=$(apt_get 20 -s install "postgresql-$PG-timescaledb" | awk '$1 == "Inst" && $2 ~ /^(lib|zlib1g|postgresql-(client-)?[0-9])/ && $2 !~ /llvm|libz3|perl|l10n/ {print $2}')
  [ -n "$debs" ] || fetch_failed "package postgresql-$PG-timescaledb in $SUITE" 20
  # shellcheck disable=SC2086  # one argument for each package
  (cd "$apt/debs" && apt_get $DOWNLOAD_SECONDS download $debs >/dev/null) || fetch_failed packages $DOWNLOAD_SECONDS
  for deb in "$apt"/debs/*.deb; do dpkg-deb -x "$deb" "$new"; done
  rm -rf "$apt" "$new"/usr/share/doc "$new"/usr/share/man "$new"/usr/share/locale
  # Each program becomes a script that runs it under the unpacked ld.so; initdb and pg_ctl find their siblings too.
  lib=$(dirname "$(echo "$new"/usr/lib/*-linux-gnu/libc.so.6)"); ld=$(echo "$lib"/ld-linux-*.so.*)
  mv "$new/usr/lib/postgresql/$PG/bin" "$new/usr/lib/postgresql/$PG/bin.real"; mkdir "$new/usr/lib/postgresql/$PG/bin"
  for program in "$new/usr/lib/postgresql/$PG/bin.real"/*; do
    name=${program##*/} script=$new/usr/lib/postgresql/$PG/bin/${program##*/}
    printf '#!/bin/sh\nexec "%s" --inhibit-cache --library-path "%s" --argv0 "%s" "%s" "$@"\n' \
      "$ROOT/tree${ld#"$new"}" "$ROOT/tree${lib#"$new"}" "$BIN/$name" "$BIN.real/$name" >"$script"
    chmod 755 "$script"
  done
  touch "$new/.complete"; mv "$new" "$ROOT/tree"
}

# A cluster's folder holds cluster/ (the server's data), pgpass (the password, mode 600) and server.log.
port() { sed -n 's/^port = //p' "$CLUSTER/headend.conf" 2>/dev/null || true; }
dsn() {
  [ -n "$(port)" ] || die 3 "no cluster in $DATA yet (start makes one)"
  passfile=$(printf %s "$DATA/pgpass" | sed 's/%/%25/g; s/ /%20/g; s/&/%26/g; s/=/%3D/g; s/+/%2B/g; s/#/%23/g; s/?/%3F/g')
  echo "postgresql://postgres@127.0.0.1:$(port)/${1:-$DB}?passfile=$passfile"
}
sql() { database=$1; shift; "$BIN/psql" -XqAt -v ON_ERROR_STOP=1 -d "$(dsn "$database")" "$@" </dev/null; }
running() { [ -x "$BIN/pg_ctl" ] && as_account "$BIN/pg_ctl" -D "$CLUSTER" status >/dev/null 2>&1; }
write() { as_account sh -c 'umask 077; cat >"$1.new" && mv "$1.new" "$1"' sh "$1"; }

own_data() {
  mkdir -p "$DATA" || die 1 "cannot make $DATA (set TSDB_DATA)"
  if [ -n "$ACCOUNT" ] && ! as_account test -O "$DATA"; then
    [ -z "$(ls -A "$DATA")" ] || die 1 "$DATA is not empty and not a cluster of account $ACCOUNT: choose another TSDB_DATA"
    chown "$ACCOUNT:$(id -g "$ACCOUNT")" "$DATA"
  fi
  as_account test -w "$DATA" -a -x "$DATA" || die 1 "account ${ACCOUNT:-$(id -un)} cannot reach $DATA: a folder above it is closed (set TSDB_DATA)"
}
make_cluster() {
  secret=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
  as_account rm -rf "$CLUSTER.new"
  echo "127.0.0.1:*:*:postgres:$secret" | write "$DATA/pgpass"
  echo "$secret" | write "$DATA/secret"
  as_account "$BIN/initdb" -D "$CLUSTER.new" -U postgres -A scram-sha-256 --pwfile="$DATA/secret" -E UTF8 --locale=C \
    --locale-provider=builtin --builtin-locale=C.UTF-8 >/dev/null || die 1 "initdb failed in $DATA"
  rm -f "$DATA/secret"
  echo "include = 'headend.conf'" | as_account tee -a "$CLUSTER.new/postgresql.conf" >/dev/null
  as_account mv "$CLUSTER.new" "$CLUSTER"
}
configure() {   # configure PORT: written anew at each start, so that the environment of that start holds
  { cat <<EOF
port = $1
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
timescaledb.max_background_workers = 0   # this edition has no jobs; idle workers would block CREATE DATABASE ... TEMPLATE
timezone = 'UTC'
log_timezone = 'UTC'
shared_buffers = '${TSDB_SHARED_BUFFERS:-256MB}'
max_wal_size = '4GB'
wal_compression = lz4
max_locks_per_transaction = 256
max_worker_processes = 24
random_page_cost = 1.1
jit = off
EOF
  if [ "${TSDB_SAFE:-1}" = 0 ]; then printf '%s = off\n' fsync synchronous_commit full_page_writes
  else printf '%s = on\n' fsync synchronous_commit full_page_writes; fi
  } | write "$CLUSTER/headend.conf"
}
ready() { running && "$BIN/pg_isready" -q -h 127.0.0.1 -p "$(port)"; }
launch() {   # one attempt; comes back without a server where another attempt may help
  wanted=${TSDB_PORT:-0}
  [ "$wanted" != 0 ] || wanted=$(port)
  [ -n "$wanted" ] || wanted=$(shuf -i 20000-29999 -n 1)   # below the range that outgoing connections come from
  configure "$wanted"
  as_account sh -c 'umask 077; : >"$1"' sh "$DATA/server.log"
  ! as_account "$BIN/pg_ctl" -D "$CLUSTER" -w -t $START_SECONDS -l "$DATA/server.log" start >/dev/null 2>&1 9>&- || return 0
  # After a crash the old server's last processes may take a moment to go.
  ! grep -qE 'is still in use|lock file .* already exists' "$DATA/server.log" || return 0
  if grep -q 'could not bind' "$DATA/server.log" && [ "${TSDB_PORT:-0}" = 0 ]; then
    as_account sed -i '/^port = /d' "$CLUSTER/headend.conf"
    return 0
  fi
  die 1 "the server did not start: $(grep -m1 -E 'could not bind|FATAL' "$DATA/server.log" || echo "no answer") (see $DATA/server.log)"
}
start() {
  install; own_data
  {
    flock -w "$LOCK_SECONDS" 9 || die 1 "another start in $DATA did not end within $LOCK_SECONDS s"
    [ -e "$CLUSTER/PG_VERSION" ] || make_cluster
    tries=0
    until ready; do
      running || launch
      tries=$((tries + 1)); [ $tries -le $((START_SECONDS * 4)) ] || die 1 "the server takes no connections (see $DATA/server.log)"
      ready || sleep 0.25
    done
    [ -n "$(sql postgres -c "select 1 from pg_database where datname = '$DB'")" ] || sql postgres -c "create database \"$DB\""
    sql "$DB" -c 'set client_min_messages = error; create extension if not exists timescaledb'
  } 9>"$DATA/.lock"
}
stop() {
  for mode in fast immediate; do
    running || return 0
    ! as_account "$BIN/pg_ctl" -D "$CLUSTER" -w -t 30 -m $mode stop >/dev/null 2>&1 || return 0
  done
  ! running || die 1 "the server in $DATA did not stop"
}
status() {
  running || { echo "not running"; exit 3; }
  echo "running: $(dsn), $(sql "$DB" -c "select 'PostgreSQL ' || current_setting('server_version') || ', timescaledb ' || extversion || ' (' || current_setting('timescaledb.license') || ')' from pg_extension where extname = 'timescaledb'")"
}

case ${1:-} in install|start|stop|status|dsn|psql) ;; *) echo "usage: $0 install|start|stop|status|dsn|psql" >&2; exit 2 ;; esac
case $DB in *[!A-Za-z0-9_]*) die 2 "TSDB_DB may hold letters, digits and _ only" ;; esac
case ${TSDB_PORT:-0} in *[!0-9]*) die 2 "TSDB_PORT must be a number" ;; esac
here=$(cd "$(dirname "$0")" && pwd -P)
find_account
find_root
DATA=${TSDB_DATA:-$ROOT/data/$(printf %s "$here" | cksum | tr -d ' ')}
case $DATA in /*) ;; *) die 2 "TSDB_DATA must be an absolute path" ;; esac
CLUSTER=$DATA/cluster BIN=$ROOT/tree/usr/lib/postgresql/$PG/bin
case $1 in
  install) install ;;
  start) start; dsn ;;
  stop) stop ;;
  status) status ;;
  dsn) dsn ;;
  psql) shift; url=$(dsn); exec "$BIN/psql" "$url" "$@" ;;
esac
